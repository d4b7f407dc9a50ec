CREATE SCHEMA crm;
CREATE TABLE crm.order_events (
  event bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  order_id numeric(20,0) NOT NULL,
  status text NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

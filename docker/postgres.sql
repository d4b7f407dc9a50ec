-- What the destination needs once, after transforms/shop/destination.sql: a role that owns the schema crm, and may make the
-- schema that holds its progress. Its password is the one that rowtide-apply reads.
\set password `sed -n 's/^password=//p' /run/secrets/destination`
CREATE ROLE rowtide LOGIN PASSWORD :'password';
GRANT CREATE ON DATABASE crm TO rowtide;
ALTER SCHEMA crm OWNER TO rowtide;
ALTER TABLE crm.order_events OWNER TO rowtide;

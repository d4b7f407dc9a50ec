CREATE DATABASE shop CHARACTER SET utf8mb4;
USE shop;
CREATE TABLE customers (
  id INT UNSIGNED PRIMARY KEY AUTO_INCREMENT,
  first_name VARCHAR(40) NOT NULL,
  last_name VARCHAR(40) NOT NULL,
  email VARCHAR(100),
  phone VARCHAR(30),
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE orders (
  id BIGINT UNSIGNED PRIMARY KEY AUTO_INCREMENT,
  customer_id INT UNSIGNED NOT NULL,
  amount DECIMAL(10,2) NOT NULL,
  status ENUM('new','paid','shipped','cancelled') NOT NULL DEFAULT 'new',
  ordered_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
);
CREATE TABLE audit (
  id BIGINT UNSIGNED PRIMARY KEY AUTO_INCREMENT,
  who VARCHAR(40) NOT NULL,
  what TEXT
);
INSERT INTO customers (first_name, last_name, email, phone) VALUES
  ('Ada', 'Lovelace', 'ada@Example.org', '+44 20 7946 0001'),
  ('Grace', 'Hopper', 'grace@example.com', '+1 202 555 0101');
INSERT INTO orders (customer_id, amount) VALUES (1, 129.90), (2, 15.00);
INSERT INTO audit (who, what) VALUES ('setup', 'first rows');

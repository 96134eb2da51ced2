-- Sales of a business that only the tests know: four years, eight countries, as plain as they can be.

CREATE TEMP MACRO country_of(id) AS
    ['France', 'Germany', 'Italy', 'Netherlands', 'Norway', 'Spain', 'Sweden', 'United Kingdom'][id % 8 + 1];

CREATE TABLE products AS
SELECT i::INTEGER AS product_id, concat('Model ', i) AS product, ['home', 'work', 'service'][i % 3 + 1] AS category,
       DATE '2019-03-01' AS launched, (100 * i)::DECIMAL(14, 2) AS list_price_eur
FROM range(1, 10) t(i);

CREATE TABLE customers AS
SELECT i::INTEGER AS customer_id, concat('Customer ', i) AS customer, country_of(i) AS country,
       ['Households', 'Small business', 'Fleet'][i % 3 + 1] AS segment
FROM range(1, 401) t(i);

-- Two lines an order. Revenue grows from month to month.
CREATE TABLE order_lines AS
SELECT i + 1 AS line_id, i // 2 + 1 AS order_id, DATE '2022-01-01' + (sqrt(i / 60000) * 1461)::INTEGER AS order_date,
       (i // 2 * 7 % 400 + 1)::INTEGER AS customer_id, product_id, country_of(i // 2 * 7 % 400 + 1) AS country,
       ['Online shop', 'Installers', 'Wholesale'][i // 2 % 3 + 1] AS channel, (i % 5 + 1)::INTEGER AS units,
       list_price_eur, (i % 10)::INTEGER AS discount_pct,
       ((i % 5 + 1) * list_price_eur * (100 - i % 10) / 100)::DECIMAL(14, 2) AS revenue_eur
FROM range(60000) t(i) JOIN products ON product_id = i % 9 + 1
WHERE order_date <= DATE '2025-12-31' ORDER BY line_id;

CREATE TABLE returns AS
SELECT line_id // 50 AS return_id, line_id, order_id, product_id, country, order_date + 9 AS return_date, units,
       revenue_eur AS refund_eur, 'Changed mind' AS reason
FROM order_lines WHERE line_id % 50 = 0;

CREATE TABLE targets AS
SELECT country_of(c) AS country, strftime(DATE '2022-01-01' + to_months(m::INTEGER), '%Y-%m') AS month,
       400000::DECIMAL(14, 2) AS target_eur
FROM range(8) t(c), range(48) u(m) ORDER BY ALL;

CREATE VIEW sales AS
SELECT line_id, order_id, order_date, strftime(order_date, '%Y') AS year,
       concat(year(order_date), '-Q', quarter(order_date)) AS quarter, strftime(order_date, '%Y-%m') AS month,
       l.country, product, category, channel, segment, customer_id, customer,
       units, l.list_price_eur, discount_pct, revenue_eur
FROM order_lines l JOIN products USING (product_id) JOIN customers USING (customer_id);

COMMENT ON VIEW sales IS 'One row per order line with product and customer joined in. Start here.';
COMMENT ON COLUMN sales.revenue_eur IS 'net invoiced revenue of the line in EUR: after discount, before returns';
COMMENT ON TABLE returns IS 'One row per order line sent back.';
COMMENT ON TABLE targets IS 'Revenue target of each country and month.';

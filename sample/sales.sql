-- Four years of Voltbay's sales. Every draw is a slice of an MD5 sum and every amount is an integer of cents, so
-- that the figures are the same on every machine; doubles are only multiplied, divided and floored, never summed.

CREATE TEMP MACRO draw(what, id) AS md5_number_lower(concat('voltbay/', what, '/', id));
CREATE TEMP MACRO bits(drawn, slice) AS CAST((drawn >> (16 * slice)) & 65535 AS INTEGER);
CREATE TEMP MACRO chance(drawn, slice, permille) AS bits(drawn, slice) * 1000 < permille * 65536;
CREATE TEMP MACRO pick(drawn, slice, choices) AS CAST(bits(drawn, slice) * choices // 65536 AS INTEGER);
CREATE TEMP MACRO eur(cents) AS CAST(CAST(cents AS DECIMAL(18, 0)) * 0.01 AS DECIMAL(14, 2));

CREATE TEMP TABLE months AS
SELECT m, CAST(DATE '2022-01-01' + to_months(CAST(m AS INTEGER)) AS DATE) AS first_day,
       [850, 900, 1080, 1100, 1060, 1000, 850, 800, 1080, 1130, 1180, 970][m % 12 + 1] AS season
FROM range(48) t(m);

-- share: permille of orders in January 2022; slope: permille added each month
CREATE TEMP TABLE countries AS
SELECT * FROM (VALUES
    ('Germany', 260, 12, ['Alster', 'Isar', 'Neckar', 'Spree', 'Harz', 'Weser', 'Eifel', 'Taunus']),
    ('United Kingdom', 170, 32, ['Severn', 'Pennine', 'Tyne', 'Mersey', 'Wold', 'Lomond', 'Avon', 'Clyde']),
    ('France', 150, 11, ['Loire', 'Garonne', 'Jura', 'Armor', 'Vosges', 'Rhone', 'Savoie', 'Landes']),
    ('Netherlands', 110, 9, ['Polder', 'Maas', 'Veluwe', 'Waal', 'Duin', 'Zaan', 'Betuwe', 'Vecht']),
    ('Italy', 90, 9, ['Arno', 'Tevere', 'Adige', 'Etna', 'Brenta', 'Ticino', 'Piave', 'Lario']),
    ('Spain', 80, 16, ['Ebro', 'Tajo', 'Sierra', 'Duero', 'Levante', 'Costa', 'Jucar', 'Meseta']),
    ('Sweden', 75, 5, ['Vanern', 'Skane', 'Dalarna', 'Siljan', 'Malar', 'Gota', 'Uppland', 'Oland']),
    ('Norway', 65, 0, ['Fjord', 'Glomma', 'Nidelva', 'Lofot', 'Hardanger', 'Mjosa', 'Dovre', 'Vestfold'])
) t(country, share, slope, places);

CREATE TEMP TABLE segments AS
SELECT * FROM (VALUES
    ('Households', 780, 0, 60000, ['Household']),
    ('Small business', 110, 480, 6000, ['Bakery', 'Dental', 'Hotel', 'Garage', 'Studio', 'Garden Centre']),
    ('Fleet', 20, 330, 240, ['Logistics', 'Couriers', 'Mobility', 'Parcel', 'Transport', 'Care Drivers']),
    ('Housing association', 90, 190, 900, ['Housing', 'Homes', 'Residences', 'Living'])
) t(segment, home_share, workplace_share, customers, trades);

CREATE TABLE products AS
SELECT CAST(product_id AS INTEGER) AS product_id, product, category, launched, eur(cents) AS list_price_eur
FROM (VALUES
    (1, 'Voltbay Home 7', 'home', DATE '2019-03-01', 54900),
    (2, 'Voltbay Home 11', 'home', DATE '2019-03-01', 69900),
    (3, 'Voltbay Home 22', 'home', DATE '2020-09-01', 94900),
    (4, 'Voltbay Home Flex', 'home', DATE '2024-06-01', 84900),
    (5, 'Voltbay Work Duo', 'workplace', DATE '2020-05-01', 212000),
    (6, 'Voltbay Work Pro', 'workplace', DATE '2021-02-01', 329000),
    (7, 'Voltbay Cable Lock', 'accessories', DATE '2019-03-01', 4900),
    (8, 'Voltbay Load Balancer', 'accessories', DATE '2020-05-01', 24900),
    (9, 'Voltbay Care Plan', 'service', DATE '2021-10-01', 9900)
) t(product_id, product, category, launched, cents);

CREATE TEMP TABLE chargers AS
SELECT * FROM (VALUES (1, 260), (2, 410), (3, 210), (4, 240), (5, 80), (6, 40)) t(product_id, share);

CREATE TEMP TABLE pools AS
SELECT *, sum(pool) OVER (ORDER BY segment, country) - pool + 2 AS first_id
FROM (SELECT country, segment, customers * share // 1000 AS pool, places, trades FROM countries, segments);

CREATE TABLE customers AS
SELECT CAST(first_id + i AS INTEGER) AS customer_id,
       CASE WHEN segment = 'Households' THEN concat('Household ', first_id + i)
            ELSE concat(places[i % 8 + 1], ' ', trades[(i + i // 8) % len(trades) + 1],
                        CASE WHEN i < 8 * len(trades) THEN '' ELSE concat(' ', i // (8 * len(trades)) + 1) END)
       END AS customer,
       country, segment
FROM pools, range(pool) t(i)
UNION ALL SELECT 1, 'Kanaal Express', 'Netherlands', 'Fleet'
ORDER BY 1;

-- What is ordered: one row per month, country, charger, channel and segment, with the expected number of orders.
CREATE TEMP TABLE demand AS
WITH channels AS (
    SELECT m, channel, CASE channel WHEN 'Online shop' THEN online
                                    WHEN 'Installers' THEN (1000 - online) * 45 / 100
                                    WHEN 'Wholesale' THEN (1000 - online) * 35 / 100
                                    ELSE (1000 - online) * 20 / 100 END AS weight
    FROM (SELECT m, 180 + 5 * m AS online FROM months),
         (VALUES ('Online shop'), ('Installers'), ('Wholesale'), ('Car dealers')) t(channel)
), cells AS (
    SELECT m, first_day, country, product_id, category, channel, segment,
           season * (960 + pick(draw('month', concat(m, country)), 0, 81)) / 1e6
             * share_of_country * (1000 + slope * m) / 1e6 * share_of_charger / 1000.0 * weight / 1000.0
             * CASE category WHEN 'home' THEN home_share ELSE workplace_share END / 1000.0 * 2490 AS base
    FROM months
    JOIN channels USING (m)
    CROSS JOIN (SELECT country, share AS share_of_country, slope FROM countries)
    CROSS JOIN (SELECT product_id, share AS share_of_charger, category, launched
                FROM chargers JOIN products USING (product_id))
    CROSS JOIN segments
    WHERE first_day >= launched
)
SELECT *, base
    * CASE WHEN country = 'Germany' AND category = 'home' AND m IN (22, 23) THEN 1.35
           WHEN country = 'Germany' AND category = 'home' AND m >= 24 THEN 0.55 ELSE 1 END
    * CASE WHEN product_id = 3 AND m BETWEEN 18 AND 20 THEN 0.4 ELSE 1 END
    * CASE WHEN product_id = 2 AND m >= 29 THEN 0.55 ELSE 1 END
    * CASE WHEN product_id = 5 AND m >= 36 THEN 0.9 ELSE 1 END
    * CASE WHEN channel = 'Wholesale' AND m BETWEEN 30 AND 32 THEN 1.15 ELSE 1 END
    * CASE WHEN country = 'France' AND segment = 'Housing association' AND m >= 36 THEN 1.8 ELSE 1 END AS expected,
    row_number() OVER (ORDER BY m, country, product_id, channel, segment) AS cell
FROM cells;

CREATE TEMP TABLE orders AS
WITH counted AS (
    SELECT *, CAST(floor(expected + bits(draw('count', cell), 0) / 65536.0) AS INTEGER) AS n FROM demand
), drawn AS (
    SELECT m, first_day, country, product_id, category, channel, segment, 0 AS customer_id,
           draw('order', cell * 10000 + i) AS d, draw('more', cell * 10000 + i) AS e
    FROM counted, range(n) t(i)
    UNION ALL
    SELECT m, first_day, 'Netherlands', 6, 'workplace', 'Installers', 'Fleet', 1,
           draw('kanaal', m * 10 + i), draw('kanaal more', m * 10 + i)
    FROM months, range(5) t(i) WHERE m <= 32
)
SELECT row_number() OVER (ORDER BY order_date, d) + 100000 AS order_id, *
FROM (
    SELECT m, d, e, country, product_id, category, channel, segment,
           first_day + pick(d, 0, CAST(day(last_day(first_day)) AS INTEGER)) AS order_date,
           CASE WHEN customer_id = 1 THEN 1
                WHEN segment = 'Fleet' THEN first_id + CAST(bits(d, 1) AS BIGINT) * bits(d, 1) // 65536 * pool // 65536
                ELSE first_id + (bits(d, 1) * 65536::BIGINT + bits(d, 2)) % pool END AS customer_id,
           CASE WHEN customer_id = 1 THEN 8
                WHEN segment = 'Households' THEN 1 + CAST(chance(d, 3, 50) AS INTEGER)
                WHEN segment = 'Small business' THEN 1 + pick(d, 3, 4)
                WHEN segment = 'Fleet' THEN 2 + pick(d, 3, 11)
                ELSE 2 + pick(d, 3, 9) END AS units,
           CASE segment WHEN 'Households' THEN pick(e, 0, 7) WHEN 'Small business' THEN 3 + pick(e, 0, 8)
                        WHEN 'Fleet' THEN 10 + pick(e, 0, 11) ELSE 6 + pick(e, 0, 9) END
             + CASE WHEN channel = 'Wholesale' AND m BETWEEN 30 AND 32 THEN 18
                    WHEN channel = 'Wholesale' THEN 4 ELSE 0 END AS discount_pct
    FROM drawn JOIN pools USING (country, segment)
);

CREATE TABLE order_lines AS
WITH parts AS (
    SELECT *, 1 AS position FROM orders
    UNION ALL
    SELECT * REPLACE (7 AS product_id), 2 FROM orders WHERE category = 'home' AND chance(e, 1, 300)
    UNION ALL
    SELECT * REPLACE (8 AS product_id, 1 AS units), 3 FROM orders
    WHERE chance(e, 2, CASE category WHEN 'home' THEN 140 ELSE 450 END)
    UNION ALL
    SELECT * REPLACE (9 AS product_id), 4 FROM orders
    WHERE chance(e, 3, CASE WHEN m < 21 THEN 100 WHEN channel = 'Online shop' THEN 420 ELSE 120 END)
), priced AS (
    SELECT *, CASE WHEN product_id = 5 AND m < 36 THEN 189000
                   ELSE CAST(list_price_eur * 100 AS BIGINT) END AS cents
    FROM parts JOIN (SELECT product_id, list_price_eur FROM products) USING (product_id)
)
SELECT order_id * 10 + position AS line_id, order_id, order_date, CAST(customer_id AS INTEGER) AS customer_id,
       product_id, country, channel, units, eur(cents) AS list_price_eur, discount_pct,
       eur((units * cents * (100 - discount_pct) + 50) // 100) AS revenue_eur
FROM priced ORDER BY line_id;

CREATE TABLE returns AS
WITH drawn AS (
    SELECT *, draw('return', line_id) AS d,
           product_id = 3 AND order_date BETWEEN DATE '2023-04-01' AND DATE '2023-06-30' AS recalled
    FROM order_lines WHERE product_id <> 9
), sent_back AS (
    SELECT *, CASE WHEN recalled AND chance(d, 0, 220) THEN DATE '2023-07-03' + pick(d, 1, 45)
                   ELSE order_date + 5 + pick(d, 1, 36) END AS return_date,
           CASE WHEN recalled AND chance(d, 0, 220) THEN 'Recall'
                ELSE ['Changed mind', 'Defective', 'Wrong model', 'Damaged in transit'][pick(d, 2, 4) + 1]
           END AS reason
    FROM drawn WHERE chance(d, 0, CASE WHEN recalled THEN 240 ELSE 20 END)
)
SELECT row_number() OVER (ORDER BY return_date, line_id) AS return_id, line_id, order_id, product_id, country,
       return_date, units, revenue_eur AS refund_eur, reason
FROM sent_back WHERE return_date <= DATE '2025-12-31' ORDER BY return_id;

-- attained: permille of the year's target that the year's revenue comes to
CREATE TABLE targets AS
WITH attained AS (
    SELECT * FROM (VALUES
        ('Germany', [1030, 1060, 790, 1010]), ('United Kingdom', [1040, 1060, 1050, 1030]),
        ('France', [1010, 1020, 990, 1060]), ('Netherlands', [1000, 1020, 940, 970]),
        ('Italy', [1000, 990, 980, 820]), ('Spain', [990, 1010, 1030, 1020]),
        ('Sweden', [1010, 1000, 980, 1010]), ('Norway', [1000, 980, 990, 1000])
    ) t(country, permille)
), years AS (
    SELECT country, year(order_date) AS year, CAST(sum(revenue_eur) * 100 AS BIGINT) AS cents
    FROM order_lines GROUP BY ALL
)
SELECT country, strftime(first_day, '%Y-%m') AS month,
       eur(cents * season // (12 * permille[year - 2021]) // 10000 * 10000) AS target_eur
FROM months JOIN years ON years.year = year(first_day) JOIN attained USING (country) ORDER BY country, month;

CREATE VIEW sales AS
SELECT line_id, order_id, order_date, strftime(order_date, '%Y') AS year,
       concat(year(order_date), '-Q', quarter(order_date)) AS quarter, strftime(order_date, '%Y-%m') AS month,
       l.country, product, category, channel, segment, customer_id, customer,
       units, l.list_price_eur, discount_pct, revenue_eur
FROM order_lines l JOIN products USING (product_id) JOIN customers USING (customer_id);

COMMENT ON VIEW sales IS 'One row per order line with product and customer joined in. Start here.';
COMMENT ON COLUMN sales.year IS 'of the order date, as text: 2024';
COMMENT ON COLUMN sales.quarter IS 'of the order date, as text: 2024-Q1';
COMMENT ON COLUMN sales.month IS 'of the order date, as text: 2024-01';
COMMENT ON COLUMN sales.country IS 'country of the customer';
COMMENT ON COLUMN sales.segment IS 'kind of customer';
COMMENT ON COLUMN sales.channel IS 'where the order came from';
COMMENT ON COLUMN sales.units IS 'pieces on the line';
COMMENT ON COLUMN sales.list_price_eur IS 'list price of one piece on the order date, EUR';
COMMENT ON COLUMN sales.discount_pct IS 'discount on the list price, percent';
COMMENT ON COLUMN sales.revenue_eur IS 'net invoiced revenue of the line in EUR: after discount, before returns';
COMMENT ON TABLE order_lines IS 'One row per order line.';
COMMENT ON COLUMN order_lines.line_id IS 'unique';
COMMENT ON COLUMN order_lines.order_id IS 'one order has one to four lines';
COMMENT ON COLUMN order_lines.revenue_eur IS 'net invoiced revenue of the line in EUR: after discount, before returns';
COMMENT ON TABLE customers IS 'One row per customer.';
COMMENT ON COLUMN customers.customer IS 'name; households carry a number instead of a name';
COMMENT ON TABLE products IS 'One row per product.';
COMMENT ON COLUMN products.launched IS 'first day on sale';
COMMENT ON COLUMN products.list_price_eur IS 'list price of one piece today, EUR';
COMMENT ON TABLE returns IS 'One row per order line sent back.';
COMMENT ON COLUMN returns.refund_eur IS 'revenue paid back, EUR; not taken off revenue_eur of the order line';
COMMENT ON COLUMN returns.reason IS 'why the customer sent it back';
COMMENT ON TABLE targets IS 'Revenue target of each country and month.';
COMMENT ON COLUMN targets.month IS 'as text: 2024-01';
COMMENT ON COLUMN targets.target_eur IS 'target for revenue_eur, EUR';

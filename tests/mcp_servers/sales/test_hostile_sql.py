"""What the guard and the bounded process do with a statement: refuse it with advice, stop it, cut it, or run it."""

import gc
from pathlib import Path

import pytest

from mcp_servers.sales import own_data
from mcp_servers.sales.query_worker import MAX_CELL_CHARS
from mcp_servers.sales.sandbox import Sandbox
from mcp_servers.sales.sql_guard import Refused
from tests.data import SALES

MAX_ROWS = 20

HARMLESS_BUT_BIG = [
    "SELECT repeat('x', 1000000) AS long",
    "SELECT * FROM sales ORDER BY line_id",
    "SELECT range(100000) AS numbers",
    "SELECT i FROM range(1000000) t(i)",
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    return own_data.load(SALES, folder)[0]


@pytest.fixture(scope="module")
def sandbox(database: Path) -> Sandbox:
    return Sandbox(database)


@pytest.mark.slow
def test_the_next_statement_finds_a_new_worker(database: Path) -> None:
    sandbox = Sandbox(database, time_limit_s=2)
    with pytest.raises(Refused, match="time limit of 2 seconds; filter earlier"):
        sandbox.run("SELECT count(*) FROM range(100000000000)", 1)
    assert sandbox.run("SELECT count(*) FROM targets", 1)["rows"] == [[384]]


@pytest.mark.parametrize("sql", HARMLESS_BUT_BIG)
def test_a_big_result_is_cut(sandbox: Sandbox, sql: str) -> None:
    found = sandbox.run(sql, MAX_ROWS)
    assert len(found["rows"]) <= MAX_ROWS
    assert found["row_count"] == 1 or found["row_count"] > MAX_ROWS
    assert max(len(str(cell)) for row in found["rows"] for cell in row) <= MAX_CELL_CHARS


@pytest.mark.parametrize(
    ("sql", "advice"),
    [
        ("DROP TABLE products", "only a SELECT statement"),
        ("SELECT 1; SELECT 2", "exactly one SELECT statement; this has 2"),
        ("WITH a AS (DELETE FROM targets RETURNING *) SELECT * FROM a", "only SELECT is allowed in WITH"),
        ("SELECT * FROM read_csv('x.csv')", "the tables are customers, order_lines, products, returns, sales, targets"),
        ("SELECT * FROM orders", "there is no table 'orders'; the tables are customers"),
        ("SHOW TABLES", "describe_schema"),
        ("PIVOT sales ON year USING sum(units)", "GROUP BY"),
        ("SELECT random()", "the same answer each time"),
        ("SELECT ago(INTERVAL 1 DAY)", "the same answer each time"),
        ("SELECT current_date", "write out the date"),
        ("SELECT * FROM sales USING SAMPLE 3", "use LIMIT or filter"),
        ("SELECT json_serialize_plan('SELECT 1')", "write the SQL itself"),
        ("SELECT '\ud800'", "write plain text"),
        ("SELECT length(repeat('x', 1000000000))", "too much memory; filter"),
        (f"SELECT {', '.join('1' for _ in range(60))}", "60 columns, the limit is 50"),
        (f"SELECT '{'x' * 20_000}'", "the limit is 10000"),
    ],
)
def test_a_refusal_says_what_to_do_instead(sandbox: Sandbox, sql: str, advice: str) -> None:
    with pytest.raises(Refused) as refusal:
        sandbox.run(sql, MAX_ROWS)
    assert advice in str(refusal.value)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 AS n",
        "  select 1 as n /* ; */ ; ;  -- ;",
        "SELECT length('ä;') - 1 AS n;",
        "WITH one AS (SELECT 1 AS n) SELECT n FROM one",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION SELECT n FROM r) FROM r",
        "FROM (VALUES (1)) t(n)",
        "SELECT n FROM range(1, 2) t(n)",
        "SELECT unnest([1]) AS n",
        "(SELECT 1 AS n) INTERSECT (SELECT count(DISTINCT month) // 48 FROM main.targets)",
        'SELECT count(*) // 9 AS n FROM "products"',
        "SELECT nullif(2, 1) - 1 AS n",
        "SELECT split_part('0-1', '-', 2)::int AS n",
        "SELECT year(DATE '2024-01-01') - 2023 AS n",
        "SELECT list_sum(list_transform([0, 1], lambda x: x)) AS n",
        "SELECT row_number() OVER (ORDER BY country) AS n FROM SALES QUALIFY n = 1",
    ],
)
def test_an_honest_select_is_run(sandbox: Sandbox, sql: str) -> None:
    assert sandbox.run(sql, MAX_ROWS)["rows"] == [[1]]


def test_rows_keep_the_order_that_the_statement_asks_for(sandbox: Sandbox) -> None:
    found = sandbox.run("SELECT line_id FROM order_lines ORDER BY revenue_eur DESC, line_id DESC", MAX_ROWS)["rows"]
    both = "SELECT line_id, revenue_eur FROM order_lines WHERE line_id IN ({})"
    kept = dict(sandbox.run(both.format(", ".join(str(row[0]) for row in found)), MAX_ROWS)["rows"])
    assert [row[0] for row in found] == sorted(kept, key=lambda line: (-kept[line], -line))


def test_the_worker_ends_with_its_sandbox(database: Path) -> None:
    sandbox = Sandbox(database)
    sandbox.run("SELECT 1", 1)
    worker = sandbox._idle[0]._process
    assert worker is not None
    del sandbox
    gc.collect()
    assert worker.poll() is not None

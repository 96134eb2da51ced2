"""SQL that means harm, or does harm without meaning to: all of it is refused or bounded, and nothing changes."""

import gc
import hashlib
from pathlib import Path

import pytest

from mcp_servers.sales import generate
from mcp_servers.sales.query_worker import MAX_CELL_CHARS
from mcp_servers.sales.sandbox import Sandbox
from mcp_servers.sales.sql_guard import Refused

MAX_ROWS = 20

CHANGES = [
    "DROP TABLE products",
    "DELETE FROM sales",
    "UPDATE targets SET target_eur = 0",
    "INSERT INTO targets VALUES ('Norway', '2026-01', 1)",
    "TRUNCATE order_lines",
    "ALTER TABLE products ADD COLUMN x INTEGER",
    "CREATE TABLE copy AS SELECT * FROM sales",
    "CREATE TEMP TABLE copy AS SELECT * FROM sales",
    "CREATE OR REPLACE VIEW sales AS SELECT 1",
    "CREATE MACRO sum(x) AS 0",
    "WITH gone AS (DELETE FROM targets RETURNING *) SELECT * FROM gone",
    "WITH new AS (INSERT INTO targets VALUES ('Norway', '2026-01', 1) RETURNING *) SELECT * FROM new",
    "SELECT 1; DROP TABLE products",
    "SELECT 1 /* */; DELETE FROM targets --",
    "BEGIN TRANSACTION",
    "CHECKPOINT",
    "VACUUM",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "SELECT setseed(0.5)",
    "SELECT write_log('noise')",
]
REACHES_OUT = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/proc/self/environ')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'https://example.org/data.parquet'",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT 1 WHERE EXISTS (FROM read_csv('/etc/passwd'))",
    "COPY products TO 'stolen.csv'",
    "COPY (SELECT 1) TO PROGRAM 'sh'",
    "EXPORT DATABASE 'stolen'",
    "ATTACH 'other.duckdb' AS other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('sales')",
    "SELECT * FROM json_execute_serialized_sql('{}')",
    "SELECT getenv('HOME')",
    "SELECT * FROM Path",
]
LOOKS_INSIDE = [
    "SET memory_limit = '100GB'",
    "RESET lock_configuration",
    "PRAGMA enable_external_access",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "SELECT current_setting('temp_directory')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_databases",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM pg_catalog.pg_class",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM about.version",
    "SELECT * FROM (WITH duckdb_databases AS (SELECT 1) SELECT 1) JOIN duckdb_databases ON true",
    "SHOW ALL TABLES",
    "EXPLAIN ANALYZE SELECT 1",
    "SELECT random()",
    "",
    "-- nothing",
    "SELECT",
    "SELECT '" + "x" * 20_000 + "'",
    "SELECT " + "(" * 4000 + "1" + ")" * 4000,
    "SELECT " + "NOT " * 2400 + "true",
    "SELECT * FROM sales, sales s2, sales s3, sales s4",
    "SELECT \x00 1",
]
EXHAUSTS = [
    "SELECT count(*) FROM range(100000000000)",
    "SELECT sum(hash(a.line_id + b.line_id)) FROM order_lines a, order_lines b",
    "SELECT * FROM sales a, sales b WHERE a.customer || b.customer = 'x'",
    "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT count(*) FROM r",
    "WITH RECURSIVE r(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM r) SELECT max(length(s)) FROM r",
    "SELECT length(repeat('x', 1000000000))",
    "SELECT lpad('x', 2000000000, 'y')",
    "SELECT printf('%2000000000d', 1)",
    "SELECT range(100000000)",
    "SELECT list(i) FROM range(100000000) t(i)",
    "SELECT count(DISTINCT i) FROM range(100000000) t(i)",
    "SELECT levenshtein(repeat('a', 300000), repeat('b', 300000))",
    "SELECT regexp_replace(repeat('a', 100000), 'a', repeat('b', 100000), 'g')",
    "SELECT string_agg(repeat('x', 1000), '') FROM range(1000000)",
]
HARMLESS_BUT_BIG = [
    "SELECT repeat('x', 1000000) AS long",
    "SELECT * FROM sales ORDER BY line_id",
    "SELECT range(100000) AS numbers",
    "SELECT i FROM range(1000000) t(i)",
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "sales").mkdir()
    return generate.ensure(folder)[0]


@pytest.fixture(scope="module")
def sandbox(database: Path) -> Sandbox:
    return Sandbox(database)


@pytest.fixture(scope="module")
def impatient(database: Path) -> Sandbox:
    return Sandbox(database, time_limit_s=0.5)


def state(database: Path) -> tuple[str, list[str]]:
    return hashlib.sha256(database.read_bytes()).hexdigest(), sorted(each.name for each in database.parent.iterdir())


@pytest.mark.parametrize("sql", [*CHANGES, *REACHES_OUT, *LOOKS_INSIDE])
def test_a_hostile_statement_is_refused_and_changes_nothing(sandbox: Sandbox, database: Path, sql: str) -> None:
    before = state(database)
    with pytest.raises(Refused) as refusal:
        sandbox.run(sql, MAX_ROWS)
    assert 20 < len(str(refusal.value)) < 1000
    assert state(database) == before
    assert sandbox.run("SELECT count(*) FROM targets", 1)["rows"] == [[384]]


@pytest.mark.parametrize("sql", EXHAUSTS)
def test_a_statement_that_exhausts_time_or_memory_is_stopped(impatient: Sandbox, database: Path, sql: str) -> None:
    before = state(database)
    with pytest.raises(Refused, match=r"time limit|memory"):
        impatient.run(sql, MAX_ROWS)
    assert state(database) == before


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
        ("WITH a AS (DELETE FROM targets RETURNING *) SELECT * FROM a", "only SELECT may stand in WITH"),
        ("SELECT * FROM read_csv('x.csv')", "the tables are customers, order_lines, products, returns, sales, targets"),
        ("SELECT * FROM orders", "there is no table 'orders'; the tables are customers"),
        ("SHOW TABLES", "describe_schema"),
        ("PIVOT sales ON year USING sum(units)", "GROUP BY"),
        ("SELECT random()", "the same answer each time"),
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
    worker = sandbox._process._process
    assert worker is not None
    del sandbox
    gc.collect()
    assert worker.poll() is not None

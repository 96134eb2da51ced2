"""Sales in Postgres, on a real server: what is read and how, by whom, how much, and when it is read again."""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from mcp.server.fastmcp import FastMCP

from mcp_servers.base.reloading import Newest, Progress
from mcp_servers.base.results import Table
from mcp_servers.base.serving import StartupError
from mcp_servers.sales.postgres import Bounds, Postgres
from mcp_servers.sales.server import build
from mcp_servers.sales.warehouse import Warehouse
from tests.mcp_servers.postgres_server import PASSWORD, Server
from tests.mcp_servers.waiting import soon

README = Path(__file__).parents[3] / "mcp_servers" / "sales" / "README.md"
NEVER_S = 3600.0
ORDERS = "CREATE TABLE orders AS SELECT i AS id, i * 1.5 AS amount FROM generate_series(1, 3) i"
BOSS = ("CREATE ROLE boss", "GRANT INSERT ON orders TO boss")
READ_ALL = ("GRANT USAGE ON SCHEMA public TO shop", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO shop")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "own"


def source(server: Server, kept: Path, bounds: Bounds | None = None) -> Postgres:
    return Postgres(server.url("shop", "shop"), kept, 5.0, bounds or Bounds())


def loaded(server: Server, kept: Path, *statements: str) -> Warehouse:
    server.run(*statements, *READ_ALL, database="shop")
    return source(server, kept).load(Progress())


def columns(warehouse: Warehouse, table: str) -> dict[str, str]:
    found = warehouse.rows("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", [table])
    return dict(found)


async def table(server: FastMCP, tool: str, **arguments: Any) -> Table:
    result: Any = await server.call_tool(tool, arguments)
    return Table.model_validate(result.structuredContent)


async def test_agents_query_a_copy_of_tables_and_views(postgres_server: Server, shop: str, kept: Path) -> None:
    postgres_server.run(
        "CREATE TABLE sales (order_id int, order_date date, country text, revenue_eur numeric(12, 2), units int)",
        "INSERT INTO sales VALUES (1, '2024-03-01', 'Germany', 100.5, 2), (2, '2025-01-31', 'France', 20, 1)",
        "COMMENT ON TABLE sales IS 'One row per order line.'",
        "COMMENT ON COLUMN sales.units IS 'pieces, it''s said'",
        'CREATE VIEW "Big Orders" AS SELECT order_id AS "Order No.", revenue_eur FROM sales WHERE revenue_eur > 50',
        *READ_ALL,
        database=shop,
    )
    said = kept.with_name("shop.toml")
    said.write_text(
        '[roles]\ntable = "sales"\ndate = "order_date"\namount = "revenue_eur"\nquantity = "units"\n'
        'order = "order_id"\ndimensions = ["country"]\n'
    )
    server = build(postgres_server.url("shop", shop), kept, said)
    assert (await table(server, "revenue_by", dimensions=["country"])).rows == [
        ["Germany", 100.5, 2, 1],
        ["France", 20.0, 1, 1],
    ]
    assert (await table(server, "query", sql="SELECT order_no FROM big_orders")).rows == [[1]]
    schema = await table(server, "describe_schema")
    assert ["sales", "units", "INTEGER", "pieces, it's said", "1; 2"] in schema.rows
    assert ["big_orders", "order_no", "INTEGER", "original name: Order No.", "1"] in schema.rows
    assert "sales: 2 rows. One row per order line." in schema.notes
    assert "big_orders: 1 rows. original name: Big Orders" in schema.notes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "values", "becomes", "read"),
    [
        ("int8", ["-9223372036854775808", None], "BIGINT", [-(2**63), None]),
        ("numeric(12,2)", ["1234567890.12", None], "DECIMAL(12,2)", [Decimal("1234567890.12"), None]),
        ("numeric(12,2)", ["1.5", "NaN"], "DECIMAL(12,2)", [Decimal("1.50"), None]),
        ("numeric", ["0.1", "123.456"], "DECIMAL(18,3)", [Decimal("0.100"), Decimal("123.456")]),
        ("numeric", ["12345678901234567890.5"], "DECIMAL(38,1)", [Decimal("12345678901234567890.5")]),
        ("numeric", ["1e50", "-Infinity"], "DOUBLE", [1e50, None]),
        ("numeric(5,-2)", ["12345"], "DECIMAL(18,0)", [Decimal(12300)]),
        ("money", ["12.50"], "DECIMAL(18,2)", [Decimal("12.50")]),
        ("float8", ["0.1", "1e300"], "DOUBLE", [0.1, 1e300]),
        ("boolean", ["t", "f", None], "BOOLEAN", [True, False, None]),
        ("date", ["2024-02-29", "infinity", "0044-03-15 BC", None], "DATE", [date(2024, 2, 29), None, None, None]),
        (
            "timestamp",
            ["2024-02-29 23:59:59.123456"],
            "TIMESTAMP",
            [datetime.fromisoformat("2024-02-29T23:59:59.123456")],
        ),
        ("timestamptz", ["2024-03-01 00:30:00+02"], "TIMESTAMP", [datetime.fromisoformat("2024-02-29T22:30")]),
        ("time", ["23:59:59"], "TIME", [time(23, 59, 59)]),
        ("interval", ["1 day 02:00:00"], "INTERVAL", [timedelta(days=1, hours=2)]),
        ("uuid", ["6f2b8e0e-7f4a-4f0e-9d0c-2a7c7a1d3b11"], "UUID", [UUID("6f2b8e0e-7f4a-4f0e-9d0c-2a7c7a1d3b11")]),
        ("jsonb", ['{"a": [1, "ü"]}', None], "JSON", ['{"a": [1, "ü"]}', None]),
        ("int[]", ["{1,NULL,3}", "{}", None], "BIGINT[]", [[1, None, 3], [], None]),
        ("int[]", ["{{1,2},{3,4}}"], "JSON", ["[[1,2],[3,4]]"]),
        ("text[]", ['{"a,b","say \\"hi\\"",NULL}'], "VARCHAR[]", [["a,b", 'say "hi"', None]]),
        ("date[]", ["{2024-01-01}"], "JSON", ['["2024-01-01"]']),
        ("mood", ["happy", None], "VARCHAR", ["happy", None]),
        ("amount", ["7.25"], "DECIMAL(9,2)", [Decimal("7.25")]),
        ("char(5)", ["ab"], "VARCHAR", ["ab"]),
        ("inet", ["10.0.0.0/8"], "VARCHAR", ["10.0.0.0/8"]),
        ("int4range", ["[1,5)"], "VARCHAR", ["[1,5)"]),
        ("text", ["", None, "\\N", "a\nb", '"', "007", "ü😀"], "VARCHAR", ["", None, "\\N", "a\nb", '"', "007", "ü😀"]),
    ],
)
def test_types_keep_their_meaning(
    postgres_server: Server,
    shop: str,
    kept: Path,
    kind: str,
    values: list[str | None],
    becomes: str,
    read: list[Any],
) -> None:
    postgres_server.run(
        "CREATE TYPE mood AS ENUM ('happy', 'sad')",
        "CREATE DOMAIN cents AS numeric(9, 2)",
        "CREATE DOMAIN amount AS cents CHECK (VALUE > 0)",
        f"CREATE TABLE t (i serial, v {kind})",
        database=shop,
    )
    with postgres_server.connected(shop) as connection:
        for value in values:
            connection.execute(f"INSERT INTO t (v) VALUES (%s::text::{kind})", [value])
    warehouse = loaded(postgres_server, kept)
    assert columns(warehouse, "t")["v"] == becomes
    assert [value for (value,) in warehouse.rows("SELECT v FROM t ORDER BY i")] == read


def test_what_was_lost_or_left_out_is_told(postgres_server: Server, shop: str, kept: Path) -> None:
    warehouse = loaded(
        postgres_server,
        kept,
        "CREATE TABLE t (at timestamptz, day date, photo bytea)",
        "INSERT INTO t VALUES (now(), 'infinity', 'x')",
    )
    assert dict(
        warehouse.rows("SELECT column_name, comment FROM duckdb_columns() WHERE NOT internal AND schema_name = 'main'")
    ) == {
        "at": "times are UTC",
        "day": "1 values that no DATE can hold are missing",
    }
    assert warehouse.rows("SELECT comment FROM duckdb_tables() WHERE schema_name = 'main'") == [("left out: photo",)]


def test_only_what_the_role_may_read_is_read(postgres_server: Server, shop: str, kept: Path) -> None:
    postgres_server.run(
        ORDERS,
        "CREATE TABLE people (id int, name text, wage int)",
        "CREATE TABLE secrets (word text)",
        "CREATE SCHEMA other",
        "CREATE TABLE other.orders (id int)",
        "CREATE SCHEMA hidden",
        "CREATE TABLE hidden.t (id int)",
        "CREATE TABLE parts (day date) PARTITION BY RANGE (day)",
        "CREATE TABLE parts_2024 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
        "INSERT INTO parts VALUES ('2024-05-01')",
        "GRANT USAGE ON SCHEMA public, other TO shop",
        "GRANT SELECT ON orders, other.orders, hidden.t, parts, parts_2024 TO shop",
        "GRANT SELECT (id, name) ON people TO shop",
        database=shop,
    )
    warehouse = source(postgres_server, kept).load(Progress())
    tables = dict(
        warehouse.rows("SELECT table_name, estimated_size FROM duckdb_tables() WHERE schema_name = 'main' ORDER BY 1")
    )
    assert tables == {"orders": 3, "other_orders": 0, "parts": 1, "people": 0}
    assert list(columns(warehouse, "people")) == ["id", "name"]


def test_the_role_of_the_readme_reads_and_nothing_else(postgres_server: Server, shop: str, kept: Path) -> None:
    [block] = re.findall(r"```sql\n(.*?)```", README.read_text(), re.DOTALL)
    statements = [each.strip() for each in block.split(";") if each.strip()]
    postgres_server.run("CREATE TABLE sales (a int)", "CREATE TABLE targets (a int)", database=shop)
    postgres_server.run(*statements, database=shop)
    url = postgres_server.url("tollgate", shop, password="long%20and%20random")
    try:
        assert set(columns(Postgres(url, kept, 5.0).load(Progress()), "sales")) == {"a"}
        for harm in ("INSERT INTO sales VALUES (1)", "TRUNCATE targets", "CREATE TABLE x (a int)"):
            for read_only in (None, False):  # as it comes, and when somebody lifts what only is a default
                with psycopg.connect(url) as connection:
                    connection.read_only = read_only
                    with pytest.raises(
                        psycopg.Error, match=r"permission denied" if read_only is False else "read-only"
                    ):
                        connection.execute(harm)
    finally:
        postgres_server.run("DROP OWNED BY tollgate", "DROP ROLE tollgate", database=shop)


@pytest.mark.parametrize(
    ("grants", "what"),
    [
        (["GRANT INSERT ON orders TO shop"], "public.orders"),
        (["GRANT TRUNCATE ON orders TO shop"], "public.orders"),
        (["GRANT UPDATE (amount) ON orders TO shop"], "public.orders"),
        (["GRANT DELETE ON orders TO PUBLIC"], "public.orders"),
        (["ALTER TABLE orders OWNER TO shop"], "public.orders"),
        (["GRANT pg_write_all_data TO shop"], "public.orders"),
        ([*BOSS, "ALTER ROLE shop NOINHERIT", "GRANT boss TO shop"], "public.orders"),
        (["ALTER ROLE shop SUPERUSER"], "everything"),
        (["GRANT pg_execute_server_program TO shop"], "everything"),
    ],
)
def test_a_role_that_can_write_is_refused(
    postgres_server: Server, shop: str, kept: Path, grants: list[str], what: str
) -> None:
    postgres_server.run(ORDERS, *READ_ALL, *grants, database=shop)
    try:
        with pytest.raises(StartupError, match=rf"^the role shop of the Postgres database can write to {what}.*README"):
            source(postgres_server, kept).load(Progress())
    finally:
        postgres_server.run("DROP OWNED BY shop CASCADE", database=shop)
        if BOSS[0] in grants:
            postgres_server.run("DROP OWNED BY boss", "DROP ROLE boss", database=shop)


@contextmanager
def busy(server: Server) -> Iterator[psycopg.Connection[Any]]:
    """A transaction in the database that is under way."""
    with psycopg.connect(host=str(server.folder), port=server.port, user="root", dbname="shop") as connection:
        yield connection


def test_the_copy_is_of_one_moment_and_asks_for_no_more_than_reading(
    postgres_server: Server, shop: str, kept: Path
) -> None:
    postgres_server.run(ORDERS, *READ_ALL, database=shop)
    newest = Newest(source(postgres_server, kept), NEVER_S)
    with busy(postgres_server) as other:
        other.execute("INSERT INTO orders VALUES (4, 6)")
        newest.look()
        now = newest.now()
        assert now
        assert now.rows("SELECT count(*) FROM orders") == [(3,)]
    with source(postgres_server, kept)._transaction() as rows:
        shown = {name: rows.execute(f"SHOW {name}").fetchone() for name in ("statement_timeout", "lock_timeout")}
        assert shown == {"statement_timeout": ("2min",), "lock_timeout": ("5s",)}
        assert rows.execute(
            "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        ).fetchone() == ("tollgate sales",)
        assert rows.execute("SHOW transaction_read_only").fetchone() == ("on",)
        assert rows.execute("SHOW transaction_isolation").fetchone() == ("repeatable read",)


@pytest.mark.slow
def test_a_table_that_is_locked_for_long_is_told(postgres_server: Server, shop: str, kept: Path) -> None:
    postgres_server.run(ORDERS, *READ_ALL, database=shop)
    with busy(postgres_server) as other:
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StartupError, match="lock timeout"):
            source(postgres_server, kept).load(Progress())


@pytest.mark.parametrize("bounds", [Bounds(rows=2), Bounds(bytes=10), Bounds(seconds=0)])
def test_too_much_is_refused_with_what_to_do(postgres_server: Server, shop: str, kept: Path, bounds: Bounds) -> None:
    postgres_server.run(ORDERS, *READ_ALL, database=shop)
    with pytest.raises(StartupError, match=r"\(at public\.orders\); GRANT the role less, or a view"):
        source(postgres_server, kept, bounds).load(Progress())
    assert list((kept / "sales").iterdir()) == []


def test_nothing_to_read_is_told(postgres_server: Server, shop: str, kept: Path) -> None:
    postgres_server.run(ORDERS, database=shop)
    with pytest.raises(StartupError, match="the role shop of the Postgres database can read no table; GRANT it SELECT"):
        source(postgres_server, kept).load(Progress())


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO orders VALUES (4, 6)",
        "UPDATE orders SET amount = 7 WHERE id = 1",
        "DELETE FROM orders WHERE id = 1",
        "TRUNCATE orders",
        "ALTER TABLE orders ADD COLUMN note text",
        "ALTER TABLE orders RENAME COLUMN amount TO revenue",
        "COMMENT ON COLUMN orders.amount IS 'in EUR'",
        "CREATE TABLE more (a int); GRANT SELECT ON more TO shop",
        "REVOKE SELECT (amount), SELECT ON orders FROM shop; GRANT SELECT (id) ON orders TO shop",
    ],
)
def test_a_change_is_noticed_and_bumps_the_version(postgres_server: Server, shop: str, kept: Path, change: str) -> None:
    postgres_server.run(ORDERS, *READ_ALL, database=shop)
    newest = Newest(source(postgres_server, kept), 0.05)
    before = newest.now()
    assert before
    postgres_server.run(*change.split("; "), database=shop)
    old = before.data_version
    soon(newest.ready, lambda version: version != old, "the reload")
    assert newest.note is None
    assert before.rows("SELECT sum(amount) FROM orders") == [(Decimal("9.0"),)]


def test_activity_that_changes_nothing_we_read_leaves_the_version(
    postgres_server: Server, shop: str, kept: Path
) -> None:
    postgres_server.run(ORDERS, *READ_ALL, "CREATE TABLE log (a int)", database=shop)
    first, second = source(postgres_server, kept), source(postgres_server, kept.with_name("replica"))
    newest = Newest(first, NEVER_S)
    old = newest.now()
    assert old
    state = first.state()
    postgres_server.run("INSERT INTO log SELECT generate_series(1, 1000)", database=shop)
    soon(first.state, lambda now: now != state, "the counters' move")
    newest.look()
    assert newest.now() is old
    assert second.load(Progress()).data_version == old.data_version  # so replicas agree


async def test_a_database_that_is_gone_leaves_the_last_copy_with_a_note(
    postgres_server: Server, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with postgres_server.database("shop"):
        postgres_server.run(ORDERS, *READ_ALL, database="shop")
        server = build(postgres_server.url("shop", "shop"), kept, refresh_s=0.05)
    soon(lambda: caplog.messages, bool, "the line in the log")
    found = await table(server, "query", sql="SELECT count(*) FROM orders")
    assert found.rows == [[3]]
    assert found.notes[-1].startswith("newer data could not be read; these are from 20")
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://shop:sEcr3t@pass@127.0.0.1:1/shop",
        "postgresql://shop:sEcr3t/pass@127.0.0.1:1/shop",
        "postgresql://shop:sEcr3t%zz@127.0.0.1:1/shop",
        "postgresql://shop:sEcr3t@127.0.0.1:1/shop",
        "postgresql://shop@127.0.0.1:1/shop?password=sEcr3t",
        "postgresql://shop:sEcr3t@127.0.0.1:1/shop?nonsense=1",
        "postgresql://[::1/shop:sEcr3t@x",
        "postgresql://shop:sEcr3t/shop",
        "postgresql://shop:sEcr3t@127.0.0.1:port/shop",
    ],
)
def test_no_message_holds_the_password(kept: Path, url: str) -> None:
    with pytest.raises(StartupError) as refusal:
        Postgres(url, kept, 5.0).load(Progress())
    assert "sEcr3t" not in str(refusal.value)
    assert "pass@" not in str(refusal.value)
    assert "sEcr3t" not in "".join(traceback.format_exception(refusal.value))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("rest", ["sEcr3t@pass@db/shop", "sEcr3t/pass@db/shop", "sEcr3t%zz@db/shop", "sEcr3t/shop"])
def test_a_password_that_is_not_encoded_is_told(kept: Path, rest: str) -> None:
    with pytest.raises(StartupError, match=r"special characters in the password percent-encoded \(@ is %40\)"):
        Postgres(f"postgresql://shop:{rest}", kept, 5.0)


def test_a_wrong_password_is_told(postgres_server: Server, shop: str, kept: Path) -> None:
    with pytest.raises(StartupError, match='password authentication failed for user "shop"') as refusal:
        Postgres(postgres_server.url(shop, shop, password="sEcr3t"), kept, 5.0).load(Progress())
    assert "sEcr3t" not in str(refusal.value)

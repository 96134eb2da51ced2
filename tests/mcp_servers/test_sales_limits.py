"""No question keeps the sales server for long, whoever asked it and whether or not somebody still waits."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import httpx
import pytest
from mcp.server.fastmcp.exceptions import ToolError

from mcp_servers.sales.sandbox import Sandbox
from mcp_servers.sales.server import build
from mcp_servers.sales.sql_guard import Refused
from tests.mcp_servers.program import HEADERS, SECONDS, call, served

ENDLESS = "SELECT count(*) AS n FROM range(100000000) x, range(100000) y WHERE x.range * y.range % 7 = 3"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return made(tmp_path / "own.duckdb", "CREATE TABLE t AS SELECT 1 AS a")


def made(path: Path, statement: str) -> Path:
    with duckdb.connect(str(path)) as connection:
        connection.execute(statement)
    return path


def refusal(sandbox: Sandbox) -> str:
    with pytest.raises(Refused) as refused:
        sandbox.run(ENDLESS, 1)
    return str(refused.value)


def test_a_query_waits_for_those_of_others_only_so_long(database: Path) -> None:
    sandbox = Sandbox(database, time_limit_s=1.0)
    assert sandbox.run("SELECT a FROM t", 1)["rows"] == [[1]]
    with ThreadPoolExecutor(4) as threads:
        said = [each.result() for each in [threads.submit(refusal, sandbox) for _ in range(4)]]
    assert any(each.startswith("busy: queries of others are running; try again in 1 s") for each in said)
    assert any(each.startswith("stopped after the time limit of 1 seconds") for each in said)
    assert sandbox.run("SELECT a FROM t", 1)["rows"] == [[1]], "the turn was given back"


async def test_a_prepared_question_is_stopped_by_the_database(tmp_path: Path) -> None:
    columns = "DATE '2024-01-01' AS order_date, 1 AS revenue_eur, 1 AS units, 1 AS order_id"
    path = made(tmp_path / "own.duckdb", f"CREATE VIEW sales AS SELECT {columns} FROM ({ENDLESS}) WHERE n > 0")
    with pytest.raises(ToolError, match="stopped after 10 seconds; ask for less, by filters or a period"):
        await build(path, tmp_path / "data").call_tool("revenue_by", {"dimensions": []})


def test_who_asks_too_much_is_told_so_while_the_database_still_works_on_it(tmp_path: Path, database: Path) -> None:
    options = ("--data", str(database), "--data-dir", str(tmp_path / "data"), "--max-call-s", "1")
    with served("mcp_servers.sales", tmp_path, *options) as program:
        answer = httpx.post(program.endpoint, json=call("query", sql=ENDLESS), headers=HEADERS, timeout=SECONDS).json()
    assert answer["result"]["content"][0]["text"] == "query was stopped after 1 s; ask for less, by filters"


async def test_a_schema_of_very_many_columns_is_cut(tmp_path: Path) -> None:
    path = made(
        tmp_path / "wide.duckdb", f"CREATE TABLE wide ({', '.join(f'c{each} INTEGER' for each in range(1100))})"
    )
    schema = (await build(path, tmp_path / "data").call_tool("describe_schema", {})).structuredContent
    assert (len(schema["rows"]), schema["row_count"], schema["truncated"]) == (1000, 1100, True)

"""No question keeps the sales server for long, whoever asked it and whether or not somebody still waits."""

import asyncio
from pathlib import Path
from typing import Any, cast

import duckdb
import httpx
import pytest
from mcp.server.fastmcp.exceptions import ToolError

from mcp_servers.base.bounded import Bounded, Died
from mcp_servers.sales import database as database_module
from mcp_servers.sales import server as server_module
from mcp_servers.sales.sandbox import Sandbox
from mcp_servers.sales.server import build
from mcp_servers.sales.warehouse import Warehouse
from tests.mcp_servers.program import HEADERS, SECONDS, call, served, until

ENDLESS = "SELECT count(*) AS n FROM range(100000000) x, range(100000) y WHERE x.range * y.range % 7 = 3"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return made(tmp_path / "own.duckdb", "CREATE TABLE t AS SELECT 1 AS a")


def made(path: Path, statement: str) -> Path:
    with duckdb.connect(str(path)) as connection:
        connection.execute(statement)
    return path


def test_a_file_that_is_removed_while_its_process_starts_is_read_all_the_same(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox, ask = Sandbox(database), Bounded.ask

    def dies_first(process: Bounded, request: Any) -> Any:
        if database.exists():
            database.unlink()
            raise Died(1)
        return ask(process, request)

    monkeypatch.setattr(Bounded, "ask", dies_first)
    assert sandbox.run("SELECT a FROM t", 1)["rows"] == [[1]]


async def test_a_query_waits_for_others_of_its_caller_only_so_long(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "START_S", 0.0)
    server = build(database, tmp_path / "data", time_limit_s=1.0)
    assert (await server.call_tool("query", {"sql": "SELECT a FROM t"})).structuredContent["rows"] == [[1]]
    asked = [server.call_tool("query", {"sql": ENDLESS}) for _ in range(4)]
    said = [str(each) for each in await asyncio.gather(*asked, return_exceptions=True)]
    assert any("busy: other queries are running; try again in 1 s" in each for each in said)
    assert any("stopped after the time limit of 1 seconds" in each for each in said)
    after = await server.call_tool("query", {"sql": "SELECT a FROM t"})
    assert after.structuredContent["rows"] == [[1]], "the turn was given back"


@pytest.mark.slow
def test_a_statement_of_a_tool_is_stopped_by_the_database(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "STATEMENT_LIMIT_S", 1)
    warehouse = Warehouse(lambda: (database, "1"))
    with pytest.raises(ToolError, match="stopped after 1 seconds; ask for less, by filters or a period"):
        server_module._told(warehouse, None, lambda opened: opened.rows(ENDLESS), ())


@pytest.mark.slow
def test_who_asks_too_much_is_told_so_and_has_its_turn_until_the_database_has_stopped(
    tmp_path: Path, database: Path
) -> None:
    def asked(tenant: str, sql: str) -> dict[str, Any]:
        message = call("query", sql=sql)
        message["params"]["_meta"] = {"caller": {"agent": "sales", "scope": "*", "tenant": tenant}}
        result = httpx.post(program.endpoint, json=message, headers=HEADERS, timeout=SECONDS).json()["result"]
        return cast("dict[str, Any]", result)

    options = ("--data", str(database), "--data-dir", str(tmp_path / "data"), "--max-call-s", "1")
    with served("mcp_servers.sales", tmp_path, *options) as program:
        said = {asked("a", ENDLESS)["content"][0]["text"] for _ in range(3)}
        until(lambda: not asked("b", "SELECT a FROM t")["isError"], "another caller is answered")
        threads = Path(f"/proc/{program.process.pid}/task")
        processes = [child for each in threads.glob("*/children") for child in each.read_text().split()]
    assert said == {"query was stopped after 1 s; ask for less, by filters"}
    assert len(processes) <= 2, "one for each caller"


@pytest.mark.slow
async def test_a_schema_of_very_many_columns_is_cut(tmp_path: Path) -> None:
    path = made(
        tmp_path / "wide.duckdb", f"CREATE TABLE wide ({', '.join(f'c{each} INTEGER' for each in range(1100))})"
    )
    schema = (await build(path, tmp_path / "data").call_tool("describe_schema", {})).structuredContent
    assert (len(schema["rows"]), schema["row_count"], schema["truncated"]) == (1000, 1100, True)

"""Heavy SQL of one caller does not keep another's waiting, whatever a caller says of itself."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from tests.mcp_servers.program import HEADERS, SECONDS, SECRET, Program, bearer, call, metric, served, token, until

pytestmark = pytest.mark.slow

ENDLESS = "SELECT count(*) AS n FROM range(100000000) x, range(100000) y WHERE x.range * y.range % 7 = 3"
LIGHT = "SELECT a FROM t"


async def asked(client: httpx.AsyncClient, program: Program, tenant: str, sql: str, claimed: str) -> Any:
    """Ask in the name of the tenant in the token, while the message claims another."""
    message = call("query", sql=sql)
    message["params"]["_meta"] = {"caller": {"agent": "sales", "scope": "*", "tenant": claimed}}
    headers = HEADERS | bearer(token("sales", tenant=tenant))
    answer = await client.post(program.endpoint, json=message, headers=headers, timeout=SECONDS)
    return answer.json()["result"]


@pytest.fixture
def sales(tmp_path: Path) -> Iterator[Program]:
    database = str(tmp_path / "own.duckdb")
    with duckdb.connect(database) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    options = ("--data", database, "--data-dir", str(tmp_path / "data"), "--max-wait-s", "60")
    with served("mcp_servers.sales", tmp_path, *options, TOLLGATE_MCP_SECRET=SECRET) as program:
        yield program


async def test_heavy_queries_of_one_caller_leave_room_for_a_light_one_of_another(sales: Program) -> None:
    async with httpx.AsyncClient() as client:
        began = time.monotonic()
        await asked(client, sales, "b", LIGHT, "b")
        quiet = time.monotonic() - began
        heavy = [asyncio.create_task(asked(client, sales, "a", ENDLESS, f"a{each}")) for each in range(12)]
        await asyncio.to_thread(until, lambda: metric(sales, "tollgate_mcp_calls_waiting") == 5, "all have come")
        began = time.monotonic()
        answers = [await asked(client, sales, "b", LIGHT, "a0") for _ in range(3)]
        seconds = time.monotonic() - began
        ended = sum(each.done() for each in heavy)
        await gone(*heavy)
    assert [each["structuredContent"]["rows"] for each in answers] == [[[1]]] * 3
    assert ended == 0, "one runs to its limit of 5 seconds, the others wait"
    assert seconds < 1 + 5 * quiet, "a process had to start both times"


async def gone(*calls: "asyncio.Task[Any]") -> None:
    for each in calls:
        each.cancel()
    await asyncio.wait(calls)

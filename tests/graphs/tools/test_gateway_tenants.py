"""Tenants take turns at the tools: what one of them asks for keeps no other waiting."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from graphs.errors import ServerUnavailable
from graphs.tools.buckets import BURST_SHARE
from graphs.tools.gateway import Asking, ToolGateway
from graphs.tools.limits import ToolLimits
from graphs.tools.tokens import Signer
from tests.graphs.unruly_mcp import EVERYTHING, Unruly, claims
from tests.mcp_servers.program import SECRET, served

AGENT = Asking("sales", ("sales.*",))
BARE = ToolLimits(cache_seconds=0)
BURST = 12
ENDLESS = "SELECT count(*) AS n FROM range(100000000) x, range(100000) y WHERE x.range * y.range % 7 = 3"


@pytest.fixture(params=["HTTP", "stdio"])
async def sales(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ToolGateway]:
    """A gateway to a `sales` server, which it speaks to in this way."""
    database = tmp_path / "own.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    options = ("--data", str(database), "--data-dir", str(tmp_path / "data"))
    if request.param == "stdio":
        command = " ".join([sys.executable, "-m", "mcp_servers.sales", "--stdio", *options])
        async with ToolGateway({"sales": command}, limits=BARE) as gateway:
            yield gateway
    else:
        with served("mcp_servers.sales", tmp_path, *options, TOLLGATE_MCP_SECRET=SECRET) as program:
            servers, secret = {"sales": program.endpoint}, SecretStr(SECRET)
            async with ToolGateway(servers, limits=BARE, signer=Signer(secret)) as gateway:
                yield gateway


@contextlib.asynccontextmanager
async def begun(calls: Iterable[Coroutine[Any, Any, Any]]) -> AsyncIterator[list["asyncio.Task[Any]"]]:
    """These calls, begun in their order and given up at the end."""
    tasks = [asyncio.create_task(each) for each in calls]
    await asyncio.sleep(0)
    try:
        yield tasks
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.slow
async def test_heavy_queries_of_one_tenant_leave_room_for_a_light_one_of_another(sales: ToolGateway) -> None:
    async def query(tenant: str, sql: str) -> object:
        return (await sales.call(AGENT, "sales", "query", {"sql": sql}, tenant=tenant)).content["rows"]

    began = time.monotonic()
    await query("b", "SELECT a FROM t")
    quiet = time.monotonic() - began
    async with begun(query("a", ENDLESS) for _ in range(20)) as heavy:
        began = time.monotonic()
        answers = [await query("b", "SELECT a FROM t") for _ in range(3)]
        seconds = time.monotonic() - began
        assert not any(each.done() for each in heavy), "one runs to its limit of 5 seconds, the others wait"
    assert answers == [[[1]]] * 3
    assert seconds < 1 + 5 * quiet, "that had to start a process, too"


async def test_a_tenant_whose_calls_wait_keeps_none_of_another_waiting(unruly: Unruly) -> None:
    async with ToolGateway(unruly.servers, limits=ToolLimits(at_once=3, most_waiting=4)) as gateway:

        async def call(tenant: str, tool: str, name: str) -> object:
            return await gateway.call(EVERYTHING, "unruly", tool, {"name": name}, tenant=tenant)

        await gateway.tools(EVERYTHING)
        async with begun(call("a", "wait", str(each)) for each in range(6)) as many:
            await asyncio.to_thread(unruly.called.wait, 30)
            await asyncio.wait_for(call("b", "read", "b"), 30)
            equal = call("b", "wait", "5")  # does not wait with the last of the others
            async with begun([equal, call("c", "read", "c")]) as others:
                with pytest.raises(ServerUnavailable, match="is busy, and 4 calls are waiting"):
                    await asyncio.wait_for(many[5], 30)
                unruly.may_answer.set()
                await asyncio.gather(*many[:5], *others)


async def test_a_tenant_who_calls_too_often_leaves_tokens_to_others(unruly: Unruly, redis_client: Redis) -> None:
    limits = ToolLimits(cache_seconds=0, rates={"unruly.read": BURST * BURST_SHARE})
    async with ToolGateway(unruly.servers, client=redis_client, limits=limits) as gateway:

        async def read(tenant: str) -> object:
            return await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"}, tenant=tenant)

        await gateway.tools(EVERYTHING)
        async with begun(read("a") for _ in range(BURST + 12)) as many:
            for first in asyncio.as_completed(many):
                await first
                if (before := sum(each.done() for each in many)) >= BURST:
                    break
            await read("b")
            assert sum(each.done() for each in many) - before <= 4, "every other token is for this tenant"


async def test_a_server_is_told_a_pseudonym_of_the_tenant(unruly: Unruly) -> None:
    secret = SecretStr(SECRET)
    async with ToolGateway(unruly.servers, signer=Signer(secret), limits=BARE) as gateway:
        for tenant in ("acme", "acme", "umbrella", ""):
            await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"}, tenant=tenant)
    told = [claims(each, SECRET).get("tenant") for each in unruly.tokens[-4:]]
    assert told == [told[0], told[0], told[2], None]
    assert (
        len({"acme", told[0], told[2], Signer(secret).pseudonym("acme", "other"), Signer().pseudonym("acme", "unruly")})
        == 5
    )

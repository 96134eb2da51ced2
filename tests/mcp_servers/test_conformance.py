"""Every tool of every server, called by a plain client of the SDK, over HTTP and over stdio."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client

from app.config.servers import NAMES
from tests.app import offline_team
from tests.mcp_servers.conformance import (
    SERVERS,
    Conforming,
    a_web,
    check_answer,
    check_listing,
    check_refusal,
    files,
)
from tests.mcp_servers.program import REPOSITORY, SECRET, bearer, served, session, token

Opened = Callable[[Conforming, Path], AbstractAsyncContextManager[ClientSession]]


@asynccontextmanager
async def over_http(server: Conforming, folder: Path) -> AsyncIterator[ClientSession]:
    (_, module, *options), environment = server.program(mcp_secret=SECRET)
    with served(module, folder, *options, **environment) as program:
        async with session(program, bearer(token(server.name))) as client:
            yield client


@asynccontextmanager
async def over_stdio(server: Conforming, folder: Path) -> AsyncIterator[ClientSession]:
    arguments, environment = server.program()
    program = StdioServerParameters(
        command=sys.executable, args=[*arguments, "--stdio"], cwd=REPOSITORY, env=environment
    )
    async with stdio_client(program) as (read, write), ClientSession(read, write) as client:
        await client.initialize()
        yield client


def test_every_server_takes_part() -> None:
    there = {path.parent.name for path in (REPOSITORY / "mcp_servers").glob("*/__main__.py")}
    assert {server.name for server in SERVERS} == set(NAMES) >= there


@pytest.mark.parametrize(
    "opened", [pytest.param(over_http, id="http"), pytest.param(over_stdio, id="stdio", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
async def test_a_server_conforms(server: Conforming, opened: Opened, tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with AsyncExitStack() as stack:
        model = stack.enter_context(offline_team.serving())
        places = {"data": str(data), "model": model, **stack.enter_context(a_web())}
        server = server.at(**places)
        client = await stack.enter_async_context(opened(server, tmp_path))
        tools = (await client.list_tools()).tools
        check_listing(server, tools)
        tools = [tool for tool in tools if tool.name in server.tools]
        for tool in tools:  # the first call may have data generated, or keep vectors: what nobody can tell apart later
            await client.call_tool(tool.name, server.tools[tool.name].arguments)
        before = files(data)
        for tool in tools:
            ask = partial(client.call_tool, tool.name)
            await check_answer(server, tool, ask)
            await check_refusal(server, tool, ask)
        assert files(data) == before, "every tool claims to be read-only"

"""The gateway against servers that die, hang and return: bounded time, one reconnect, nothing left behind."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.processes import Addresses
from graphs.errors import ServerUnavailable, ToolFailure
from graphs.governance.tools import ToolGateway

POINTS = {"points": [{"label": "2023", "value": 10}, {"label": "2024", "value": 15}]}


@contextlib.contextmanager
def analytics(port: int = 0) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """An analytics server of the test's own, to be mistreated."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        command = [sys.executable, "-m", "mcp_servers.analytics", "--fd", str(listener.fileno()), "--exit-with-stdin"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()])
        port = listener.getsockname()[1]
    try:
        yield process, port
    finally:
        process.kill()
        process.wait()
        if process.stdin:
            process.stdin.close()


def endpoint(port: int) -> dict[str, str]:
    return {"analytics": f"http://127.0.0.1:{port}/mcp"}


async def test_a_call_gives_text_for_the_model_and_structure_for_the_store(addresses: Addresses) -> None:
    async with ToolGateway(addresses.servers) as gateway:
        result = await gateway.call("analytics", "growth", {"series": POINTS})
    assert result.content["kind"] == "table"
    assert "2024,15" in result.text
    assert result.duration_ms < 10_000


async def test_one_session_serves_all_calls(addresses: Addresses) -> None:
    before = len(asyncio.all_tasks())
    async with ToolGateway(addresses.servers) as gateway:
        await asyncio.gather(*(gateway.call("analytics", "growth", {"series": POINTS}) for _ in range(20)))
        owners = [each for each in asyncio.all_tasks() if each.get_name().startswith("mcp session")]
        assert len(owners) == 1
    assert len(asyncio.all_tasks()) == before


async def test_a_refusal_reaches_the_model_as_it_was_said(addresses: Addresses) -> None:
    async with ToolGateway(addresses.servers) as gateway:
        with pytest.raises(ToolFailure, match="Japan"):
            await gateway.call("sales", "revenue_by", {"dimensions": ["year"], "filters": {"country": ["Japan"]}})


async def test_tools_are_offered_by_name_or_by_server(addresses: Addresses) -> None:
    async with ToolGateway(addresses.servers) as gateway:
        one = await gateway.tools(["sales.query"])
        both = await gateway.tools(["sales.*", "analytics.growth"])
        with pytest.raises(ToolFailure, match="sales has no tool sell; it has: describe_schema"):
            await gateway.tools(["sales.sell"])
        with pytest.raises(ServerUnavailable, match="no MCP server 'moon' is configured"):
            await gateway.tools(["moon.*"])
    assert [tool.name for tool in one] == ["sales__query"]
    assert {"sales__revenue_by", "analytics__growth"} <= {tool.name for tool in both}


async def test_a_restarted_server_is_found_again() -> None:
    with analytics() as (process, port):
        async with ToolGateway(endpoint(port)) as gateway:
            await gateway.call("analytics", "growth", {"series": POINTS})
            process.kill()
            process.wait()
            with analytics(port):
                again = await gateway.call("analytics", "growth", {"series": POINTS})
    assert again.content["kind"] == "table"


async def test_a_server_that_is_gone_is_named_at_once() -> None:
    with analytics() as (process, port):
        async with ToolGateway(endpoint(port)) as gateway:
            await gateway.call("analytics", "growth", {"series": POINTS})
            process.kill()
            process.wait()
            started = time.monotonic()
            with pytest.raises(ServerUnavailable, match=r"the MCP server analytics at http://127\.0\.0\.1"):
                await gateway.call("analytics", "growth", {"series": POINTS})
    assert time.monotonic() - started < 10


async def test_a_server_that_hangs_costs_no_more_than_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with ToolGateway(endpoint(silent.getsockname()[1]), call_timeout_s=0.5) as gateway:
            started = time.monotonic()
            with pytest.raises(ToolFailure, match=r"gave no answer within 0\.5 s"):
                await gateway.call("analytics", "growth", {"series": POINTS})
    assert time.monotonic() - started < 10


async def test_a_huge_result_is_cut_at_a_line_and_says_so(addresses: Addresses) -> None:
    async with ToolGateway(addresses.servers, output_chars=300) as gateway:
        result = await gateway.call("sales", "revenue_by", {"dimensions": ["month", "country"]})
    assert len(result.text) < 400
    assert "# cut:" in result.text.splitlines()[-1]
    assert len(result.content["rows"]) > 100


def test_the_gateway_is_the_only_user_of_the_adapters() -> None:
    root = Path(__file__).parents[2]
    sources = [path for folder in ("agents", "app", "graphs", "evals") for path in (root / folder).rglob("*.py")]
    users = [path.relative_to(root).as_posix() for path in sources if "langchain_mcp_adapters" in path.read_text()]
    assert users == ["graphs/governance/tools.py"]

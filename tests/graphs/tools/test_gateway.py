"""The gateway against servers that die, hang and return: bounded time, one reconnect, nothing left behind.

What is about calls is tested without the cache; its own tests are at the end.
"""

import asyncio
import contextlib
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.running.processes import Addresses
from graphs.errors import ServerUnavailable, ToolFailure
from graphs.tools.gateway import Asking, ToolGateway
from graphs.tools.limits import ToolLimits
from graphs.tools.session import TOOL
from tests.graphs.unruly_mcp import Unruly

EVERYTHING = Asking("test", ("analytics.*", "unruly.*", "knowledge_base.*", "sales.*"))
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
        result = await gateway.call(EVERYTHING, "analytics", "growth", {"series": POINTS})
    assert result.content["kind"] == "table"
    assert "2024,15" in result.text
    assert result.duration_ms < 10_000


async def test_one_session_serves_all_calls(addresses: Addresses) -> None:
    before = len(asyncio.all_tasks())
    async with ToolGateway(addresses.servers, limits=ToolLimits(cache_seconds=0)) as gateway:
        await asyncio.gather(*(gateway.call(EVERYTHING, "analytics", "growth", {"series": POINTS}) for _ in range(20)))
        owners = [each for each in asyncio.all_tasks() if each.get_name().startswith("mcp session")]
        assert len(owners) == 1
    assert len(asyncio.all_tasks()) == before


async def test_a_refusal_reaches_the_model_as_it_was_said(addresses: Addresses) -> None:
    async with ToolGateway(addresses.servers) as gateway:
        with pytest.raises(ToolFailure, match="Japan"):
            await gateway.call(
                EVERYTHING, "sales", "revenue_by", {"dimensions": ["year"], "filters": {"country": ["Japan"]}}
            )


async def test_tools_are_offered_by_name_or_by_server(addresses: Addresses) -> None:
    async with ToolGateway(addresses.servers) as gateway:
        one = await gateway.tools(Asking("test", ("sales.query",)))
        both = await gateway.tools(Asking("test", ("sales.*", "analytics.growth")))
        with pytest.raises(ToolFailure, match="sales has no tool sell; it has: describe_schema"):
            await gateway.tools(Asking("test", ("sales.sell",)))
        with pytest.raises(ServerUnavailable, match="no MCP server 'moon' is configured"):
            await gateway.tools(Asking("test", ("moon.*",)))
    assert [tool.name for tool in one] == ["sales__query"]
    assert {"sales__revenue_by", "analytics__growth"} <= {tool.name for tool in both}


async def test_names_of_tools_are_such_as_every_model_takes(unruly: Unruly) -> None:
    async with ToolGateway(unruly.servers) as gateway:
        tools = await gateway.tools(Asking("test", ("unruly.*",)))
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", each.name) for each in tools)
    assert {each.name: (each.metadata or {})[TOOL] for each in tools}["unruly__read_odd_name"] == "read.odd/name"


@pytest.mark.slow
async def test_a_restarted_server_is_found_again() -> None:
    with analytics() as (process, port):
        async with ToolGateway(endpoint(port), limits=ToolLimits(cache_seconds=0)) as gateway:
            await gateway.call(EVERYTHING, "analytics", "growth", {"series": POINTS})
            process.kill()
            process.wait()
            with analytics(port):
                again = await gateway.call(EVERYTHING, "analytics", "growth", {"series": POINTS})
    assert again.content["kind"] == "table"


async def test_a_server_that_is_gone_is_named_at_once_and_where_it_was_only_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with analytics() as (process, port):
        async with ToolGateway(endpoint(port), limits=ToolLimits(cache_seconds=0)) as gateway:
            await gateway.call(EVERYTHING, "analytics", "growth", {"series": POINTS})
            process.kill()
            process.wait()
            started = time.monotonic()
            with pytest.raises(ServerUnavailable, match="the MCP server analytics does not answer") as told:
                await gateway.call(EVERYTHING, "analytics", "growth", {"series": POINTS})
    assert str(port) not in str(told.value)
    assert f"the MCP server analytics at http://127.0.0.1:{port}/mcp does not answer" in caplog.text
    assert time.monotonic() - started < 10


async def test_a_program_that_is_not_there_is_not_told_by_its_path(caplog: pytest.LogCaptureFixture) -> None:
    async with ToolGateway({"analytics": "/opt/ours/analytics --key secret"}) as gateway:
        with pytest.raises(ServerUnavailable, match="No such file or directory") as told:
            await gateway.call(EVERYTHING, "analytics", "growth", {"series": POINTS})
    assert "/opt" not in str(told.value)
    assert "/opt/ours/analytics" in caplog.text


async def test_a_server_that_hangs_costs_no_more_than_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with ToolGateway(endpoint(silent.getsockname()[1]), limits=ToolLimits(timeout_s=0.5)) as gateway:
            started = time.monotonic()
            with pytest.raises(ServerUnavailable, match=r"list of tools of analytics gave no answer within 0\.5 s"):
                await gateway.call(EVERYTHING, "analytics", "growth", {"series": POINTS})
    assert time.monotonic() - started < 10


async def test_a_huge_result_is_cut_at_a_line_and_says_so(addresses: Addresses) -> None:
    async with ToolGateway(addresses.servers, limits=ToolLimits(output_chars=300)) as gateway:
        result = await gateway.call(EVERYTHING, "sales", "revenue_by", {"dimensions": ["month", "country"]})
    assert len(result.text) < 400
    assert "# cut:" in result.text.splitlines()[-1]
    assert len(result.content["rows"]) > 100


def test_the_gateway_is_the_only_user_of_the_adapters() -> None:
    root = Path(__file__).parents[3]
    sources = [path for folder in ("agents", "app", "graphs", "evals") for path in (root / folder).rglob("*.py")]
    users = {path.relative_to(root).as_posix() for path in sources if "langchain_mcp_adapters" in path.read_text()}
    peers = {"evals/incident/session_per_call.py", "evals/bench/gateway.py"}  # what the gateway is compared with
    peers.add("evals/bench/startup.py")  # times their import
    assert users - peers == {"graphs/tools/session.py"}


async def test_a_repeatable_call_is_made_once_and_answered_alike(unruly: Unruly) -> None:
    async with ToolGateway(unruly.servers) as gateway:
        first = await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
        first.content["structured"]["rows"].clear()  # what one caller does with it is not seen by the next
        again = await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
        other = await gateway.call(EVERYTHING, "unruly", "read", {"name": "b"})
    assert [first.cached, again.cached, other.cached] == [False, True, False]
    assert (again.text, again.content["structured"]["number"], again.content["structured"]["rows"]) == (
        first.text,
        1,
        [[1, "two", 0.1, None]],
    )
    assert other.content["structured"]["number"] == 2
    assert unruly.calls == ["read", "read"]


@pytest.mark.parametrize("tool", ["only_read", "only_idempotent", "write"])
async def test_only_what_is_read_only_and_idempotent_is_kept(unruly: Unruly, tool: str) -> None:
    async with ToolGateway(unruly.servers) as gateway:
        results = [await gateway.call(EVERYTHING, "unruly", tool, {"name": "a"}) for _ in range(2)]
    assert [each.cached for each in results] == [False, False]
    assert len(unruly.calls) == 2


async def test_of_a_server_that_names_no_version_of_its_data_nothing_is_kept(unruly: Unruly) -> None:
    unruly.data_version = ""
    async with ToolGateway(unruly.servers) as gateway:
        results = [await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"}) for _ in range(2)]
    assert [each.cached for each in results] == [False, False]


async def test_a_failure_is_asked_for_again(unruly: Unruly) -> None:
    async with ToolGateway(unruly.servers) as gateway:
        for _ in range(2):
            with pytest.raises(ToolFailure):
                await gateway.call(EVERYTHING, "unruly", "fail", {"name": "a"})
    assert len(unruly.calls) == 2


async def test_with_no_time_to_keep_them_every_call_reaches_the_server(unruly: Unruly) -> None:
    async with ToolGateway(unruly.servers, limits=ToolLimits(cache_seconds=0)) as gateway:
        results = await asyncio.gather(*(gateway.call(EVERYTHING, "unruly", "read", {"name": "a"}) for _ in range(3)))
    assert not any(each.cached for each in results)
    assert len(unruly.calls) == 3


async def test_equal_calls_at_once_reach_the_server_once(unruly: Unruly) -> None:
    async with ToolGateway(unruly.servers) as gateway:
        await gateway.tools(Asking("test", ("unruly.*",)))
        asking = [asyncio.create_task(gateway.call(EVERYTHING, "unruly", "wait", {"name": "a"})) for _ in range(8)]
        await asyncio.to_thread(unruly.called.wait, 30)
        unruly.may_answer.set()
        results = await asyncio.gather(*asking)
    assert unruly.calls == ["wait"]
    assert sorted(each.cached for each in results) == [False] + [True] * 7


async def test_a_hanging_call_is_given_up_by_all_who_share_it_in_time(unruly: Unruly) -> None:
    async with ToolGateway(unruly.servers, limits=ToolLimits(timeout_s=0.5)) as gateway:
        await gateway.tools(Asking("test", ("unruly.*",)))
        started = time.monotonic()
        given_up = await asyncio.gather(
            *(gateway.call(EVERYTHING, "unruly", "wait", {"name": "a"}) for _ in range(3)), return_exceptions=True
        )
    assert all("gave no answer within" in str(each) for each in given_up)
    assert time.monotonic() - started < 10


async def test_what_was_kept_of_other_data_is_dropped(unruly: Unruly) -> None:
    async with ToolGateway(unruly.servers) as gateway:
        before = [await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"}) for _ in range(2)]
        unruly.data_version = "v2"
        await gateway.call(EVERYTHING, "unruly", "read", {"name": "b"})
        after = [await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"}) for _ in range(2)]
    assert [each.cached for each in [*before, *after]] == [False, True, False, True]
    assert [each.content["data_version"] for each in [*before, *after]] == ["v1", "v1", "v2", "v2"]


async def test_every_tool_of_ours_is_kept(addresses: Addresses) -> None:
    async with ToolGateway(addresses.servers) as gateway:
        offered = await gateway.tools(Asking("test", [f"{server}.*" for server in addresses.servers]))
        hints = [(each.name, (each.metadata or {})) for each in offered]
        one, again = [await gateway.call(EVERYTHING, "sales", "revenue_by", {"dimensions": ["year"]}) for _ in range(2)]
    assert [name for name, each in hints if not (each.get("readOnlyHint") and each.get("idempotentHint"))] == []
    assert (again.cached, again.text, again.content) == (True, one.text, one.content)

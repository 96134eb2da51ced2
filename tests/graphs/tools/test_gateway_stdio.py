"""Programs that are spoken to over stdio and chatter, hang, end or say too much: each costs a bounded time, and the
next call has a new one where that helps."""

import asyncio
import os
import shlex
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from graphs.errors import ServerUnavailable, ToolFailure
from graphs.tools.gateway import Asking, ToolGateway
from graphs.tools.limits import ToolLimits
from safe_http.shown import shown
from tests.graphs import odd_program
from tests.graphs.tools.test_gateway_chaos import eventually, nothing_left, told

AGENT = Asking("test", ("odd.*",))
LIMITS = ToolLimits(cache_seconds=0, timeout_s=20, probe_s=0.05)
QUICK = ToolLimits(cache_seconds=0, timeout_s=1, probe_s=0.5)

Odd = Callable[..., dict[str, str]]


@pytest.fixture
def odd(tmp_path: Path) -> Odd:
    """The server that behaves so when it is started first, and so later."""

    def server(first: str, later: str = "well") -> dict[str, str]:
        return {"odd": shlex.join([sys.executable, odd_program.__file__, str(tmp_path), first, later])}

    return server


@pytest.fixture
def pids(tmp_path: Path) -> Callable[[], list[int]]:
    """Of the programs that were started."""
    return lambda: [int(each) for each in (tmp_path / "pids").read_text().split()]


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_what_a_program_says_besides_is_no_harm(odd: Odd, caplog: pytest.LogCaptureFixture) -> None:
    async with nothing_left(), ToolGateway(odd("junk"), limits=LIMITS) as gateway:
        assert (await gateway.call(AGENT, "odd", "add", {})).text == "The sum is 42."
    assert "Traceback" not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("hangs_at", ["initialize", "tools/list"])
async def test_a_program_that_hangs_at_its_start_is_killed_and_the_next_call_has_a_new_one(
    odd: Odd, pids: Callable[[], list[int]], hangs_at: str
) -> None:
    async with nothing_left(), ToolGateway(odd(f"{hangs_at} then deaf"), limits=QUICK) as gateway:
        with pytest.raises(ServerUnavailable, match=r"list of tools of odd gave no answer within 1 s"):
            await gateway.call(AGENT, "odd", "add", {})
        assert (await gateway.call(AGENT, "odd", "add", {})).text == "The sum is 42."
        first, _ = pids()
        await eventually(lambda: not runs(first))


async def test_a_program_that_ends_at_once_is_named_at_once(odd: Odd, pids: Callable[[], list[int]]) -> None:
    began = time.monotonic()
    async with nothing_left(), ToolGateway(odd("exit", "exit"), limits=LIMITS) as gateway:
        with pytest.raises(ServerUnavailable, match="the MCP server odd does not answer"):
            await gateway.call(AGENT, "odd", "add", {})
    assert time.monotonic() - began < LIMITS.timeout_s
    assert len(pids()) == 2


@pytest.mark.slow
async def test_a_program_that_no_longer_answers_is_pinged_and_begun_anew(
    odd: Odd, pids: Callable[[], list[int]]
) -> None:
    servers, registry = odd("tools/call then deaf"), CollectorRegistry()
    async with nothing_left(), ToolGateway(servers, limits=QUICK, registry=registry) as gateway:
        with pytest.raises(ServerUnavailable, match=r"odd\.add gave no answer within 1 s"):
            await gateway.call(AGENT, "odd", "add", {})
        await eventually(lambda: not runs(pids()[0]))
        assert told(registry, "replica_up", "odd", shown(servers["odd"])) == [0]
        assert (await gateway.call(AGENT, "odd", "add", {})).text == "The sum is 42."
        assert told(registry, "replica_up", "odd", shown(servers["odd"])) == [1]


async def test_a_program_that_answers_a_ping_is_kept(odd: Odd, pids: Callable[[], list[int]]) -> None:
    servers, registry = odd("tools/call"), CollectorRegistry()
    async with nothing_left(), ToolGateway(servers, limits=QUICK, registry=registry) as gateway:
        with pytest.raises(ServerUnavailable, match=r"odd\.add gave no answer within 1 s"):
            await gateway.call(AGENT, "odd", "add", {})
        await eventually(lambda: told(registry, "replica_up", "odd", shown(servers["odd"])) == [1])
        assert runs(pids()[0])


async def test_an_answer_that_is_none_is_told_at_once(odd: Odd) -> None:
    async with nothing_left(), ToolGateway(odd("malformed"), limits=LIMITS) as gateway:
        with pytest.raises(ServerUnavailable, match="it answered with something other than JSON-RPC"):
            await gateway.call(AGENT, "odd", "add", {})


async def test_more_than_is_read_is_refused_and_the_program_goes_on(odd: Odd, pids: Callable[[], list[int]]) -> None:
    async with nothing_left(), ToolGateway(odd("large"), limits=LIMITS) as gateway:
        tracemalloc.start()
        try:
            for _ in range(2):
                with pytest.raises(ToolFailure, match="it sent more than 4194304 bytes; ask for less"):
                    await gateway.call(AGENT, "odd", "add", {})
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(pids()) == 1
    assert most < odd_program.BIG / 2


async def test_a_program_ends_with_the_gateway_however_deaf_it_is(
    odd: Odd, pids: Callable[[], list[int]], tmp_path: Path
) -> None:
    async with nothing_left(), ToolGateway(odd("tools/call then deaf"), limits=QUICK) as gateway:
        call = asyncio.create_task(gateway.call(AGENT, "odd", "add", {}))
        await eventually((tmp_path / "asked").exists)
        call.cancel()
    assert not runs(pids()[0])

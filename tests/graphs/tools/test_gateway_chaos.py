"""The gateway in bad times: every fault costs bounded time and one try more at most, and leaves nothing behind."""

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from redis.asyncio import Redis

from graphs.errors import ServerUnavailable, ToolFailure
from graphs.tools.gateway import Asking, ToolGateway
from graphs.tools.limits import ToolLimits
from graphs.tools.metrics import MOST_TOOLS, ToolMetrics
from graphs.tools.tokens import Signer
from tests.graphs.unruly_mcp import EVERYTHING, Fault, Unruly, claims
from tests.mcp_servers.program import metric, served, until

BARE = ToolLimits(cache_seconds=0, probe_s=0.05)
SECRET = SecretStr("a secret of thirty-two characters")
FAULTS: list[Fault] = ["503", "500", "wrong type", "dropped", "cut off", "forbidden"]


@contextlib.asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """No task and no connection more than before."""
    tasks, sockets = len(asyncio.all_tasks()), _sockets()
    yield
    await eventually(lambda: len(asyncio.all_tasks()) <= tasks and _sockets() <= sockets)


def _sockets() -> int:
    """Open ones, those of the server in its thread included."""
    open_files = []
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the folder's own
            open_files.append(each.readlink().name)
    return sum(name.startswith("socket:") for name in open_files)


async def eventually(truth: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not truth():
        assert time.monotonic() < end, (asyncio.all_tasks(), _sockets())
        await asyncio.sleep(0.02)


def told(registry: CollectorRegistry, what: str, server: str, *replicas: str) -> list[float | None]:
    """What Prometheus is told of each replica."""
    labels = [{"server": server, "replica": each} for each in replicas]
    return [registry.get_sample_value(f"tollgate_tool_{what}", each) for each in labels]


@pytest.fixture
def two() -> Iterator[tuple[Unruly, Unruly]]:
    with Unruly().running() as one, Unruly().running() as other:
        yield one, other


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_only_reads_is_tried_once_more(unruly: Unruly, fault: Fault) -> None:
    async with nothing_left(), ToolGateway(unruly.servers, limits=BARE) as gateway:
        unruly.faults = [fault]
        result = await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
        assert result.content["structured"]["number"] == 1
        unruly.faults = [fault, fault]
        with pytest.raises(ServerUnavailable, match="the MCP server unruly does not answer"):
            await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
        assert unruly.faults == []
        await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
    assert unruly.requests["initialize"] == 1


@pytest.mark.parametrize(("fault", "tries"), [("dropped", 1), ("cut off", 1), ("500", 1), ("503", 2), ("forbidden", 2)])
async def test_what_may_have_changed_something_is_not_tried_again(unruly: Unruly, fault: Fault, tries: int) -> None:
    async with ToolGateway(unruly.servers, limits=BARE) as gateway:
        unruly.faults = [fault, fault]
        with pytest.raises(ServerUnavailable):
            await gateway.call(EVERYTHING, "unruly", "write", {"name": "a"})
    assert unruly.requests["tools/call"] == tries


async def test_calls_beside_a_failing_one_are_not_disturbed(unruly: Unruly) -> None:
    async with ToolGateway(unruly.servers, limits=BARE) as gateway:
        beside = asyncio.create_task(gateway.call(EVERYTHING, "unruly", "wait", {"name": "a"}))
        await asyncio.to_thread(unruly.called.wait, 30)
        unruly.faults = ["503", "503"]
        with pytest.raises(ServerUnavailable):
            await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
        unruly.may_answer.set()
        assert (await beside).content["structured"]["number"] == 1
    assert unruly.requests["initialize"] == 1


async def test_a_hanging_call_ends_by_its_deadline_also_at_the_server(unruly: Unruly) -> None:
    async with nothing_left(), ToolGateway(unruly.servers, limits=ToolLimits(timeout_s=0.5, at_once=1)) as gateway:
        unruly.faults = ["hang"]
        with pytest.raises(ServerUnavailable, match=r"unruly\.read gave no answer within 0\.5 s"):
            await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
        assert await asyncio.to_thread(unruly.left.wait, 10)
        assert (await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})).content["structured"]["number"] == 1


async def test_a_call_that_is_cancelled_ends_at_the_server(unruly: Unruly) -> None:
    async with nothing_left(), ToolGateway(unruly.servers, limits=ToolLimits(at_once=1, cache_seconds=0)) as gateway:
        await gateway.tools(EVERYTHING)
        unruly.faults = ["hang"]
        call = asyncio.create_task(gateway.call(EVERYTHING, "unruly", "read", {"name": "a"}))
        await eventually(lambda: not unruly.faults)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await asyncio.to_thread(unruly.left.wait, 10)
        assert (await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})).content["structured"]["number"] == 1


@pytest.mark.parametrize("stateful", [False, True])
async def test_more_than_is_read_is_refused_and_the_session_goes_on(stateful: bool) -> None:
    with Unruly(stateful=stateful).running() as unruly:
        async with ToolGateway(unruly.servers, limits=BARE) as gateway:
            unruly.faults = ["oversized"]
            with pytest.raises(ToolFailure, match="it sent more than 4194304 bytes; ask for less"):
                await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
            assert (await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})).content["structured"][
                "number"
            ] == 1
    assert unruly.requests["initialize"] == 1


async def test_an_answer_that_breaks_its_own_schema_is_no_answer(unruly: Unruly) -> None:
    async with ToolGateway(unruly.servers, limits=BARE) as gateway:
        assert (await gateway.call(EVERYTHING, "unruly", "count", {"name": "a"})).content["structured"] == {"number": 1}
        unruly.faults = ["other content"]
        with pytest.raises(
            ToolFailure, match=r'unruly\.count gave no usable answer: "not one" is not of type "integer"'
        ):
            await gateway.call(EVERYTHING, "unruly", "count", {"name": "a"})


@pytest.mark.slow
async def test_a_server_that_is_killed_in_the_middle_of_a_call_costs_no_more_than_another_try(tmp_path: Path) -> None:
    slow, agent = "tests.mcp_servers.slow_server", Asking("test", ("slow.*",))
    options = ("--folder", str(tmp_path))
    for name in ("one", "other", "data"):
        (tmp_path / name).mkdir()
    async with nothing_left():
        with served(slow, tmp_path / "one", *options) as one, served(slow, tmp_path / "other", *options) as other:
            registry, servers = CollectorRegistry(), {"slow": f"{one.endpoint},{other.endpoint}"}
            async with ToolGateway(servers, limits=BARE, registry=registry) as gateway:
                await gateway.tools(agent)
                call = asyncio.create_task(gateway.call(agent, "slow", "wait", {"file": "go"}))
                await eventually(lambda: told(registry, "under_way", "slow", one.endpoint, other.endpoint) == [1, 0])
                await asyncio.to_thread(until, lambda: metric(one, "tollgate_mcp_calls_in_flight") == 1, "it is called")
                one.process.kill()
                await asyncio.to_thread(until, lambda: metric(other, "tollgate_mcp_calls_in_flight") == 1, "again")
                (tmp_path / "go").touch()
                assert (await call).content["data_version"]
                other.process.kill()
                began = time.monotonic()
                with pytest.raises(ServerUnavailable, match="the MCP server slow does not answer"):
                    await gateway.call(agent, "slow", "wait", {"file": "go"})
                assert time.monotonic() - began < 10


@pytest.mark.parametrize("stateful", [False, True])
async def test_a_restart_costs_one_new_session_however_many_call(stateful: bool) -> None:
    unruly = Unruly(stateful=stateful)
    async with nothing_left(), contextlib.AsyncExitStack() as stack:
        with unruly.running():
            gateway = await stack.enter_async_context(ToolGateway(unruly.servers, limits=BARE))
            await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
        with unruly.running():
            calls = [gateway.call(EVERYTHING, "unruly", "read", {"name": "a"}) for _ in range(20)]
            results = await asyncio.gather(*calls)
            await stack.aclose()
    assert {each.content["structured"]["number"] for each in results} == set(range(2, 22))
    assert unruly.requests["initialize"] == (2 if stateful else 1)  # without state there is nothing to begin anew


@pytest.mark.slow
async def test_a_session_over_stdio_is_begun_anew_when_its_program_died(tmp_path: Path) -> None:
    started = tmp_path / "pids"
    program = f"import os; open({str(started)!r}, 'a').write(f'{{os.getpid()}} '); import runpy, sys; "
    program += "sys.argv = ['analytics', '--stdio']; runpy.run_module('mcp_servers.analytics', run_name='__main__')"
    (tmp_path / "server.py").write_text(program)
    agent = Asking("test", ("analytics.*",))
    points = {"series": {"points": [{"label": "2023", "value": 10}, {"label": "2024", "value": 15}]}}
    command = f"{sys.executable} {tmp_path / 'server.py'}"
    async with nothing_left(), ToolGateway({"analytics": command}, limits=BARE) as gateway:
        await gateway.call(agent, "analytics", "growth", points)
        os.kill(int(started.read_text().split()[-1]), 9)
        again = await asyncio.gather(*(gateway.call(agent, "analytics", "growth", points) for _ in range(5)))
    assert {each.content["kind"] for each in again} == {"table"}
    assert len(started.read_text().split()) == 2


async def test_calls_go_to_the_replica_with_the_fewest(two: tuple[Unruly, Unruly]) -> None:
    one, other = two
    limits = ToolLimits(cache_seconds=0, at_once=4, most_waiting=2)
    async with ToolGateway({"unruly": f"{one.url},{other.url}"}, limits=limits) as gateway:
        asking = [asyncio.create_task(gateway.call(EVERYTHING, "unruly", "wait", {"name": "a"})) for _ in range(8)]
        await eventually(lambda: len(one.calls) == len(other.calls) == 3)  # a place at each is left to other tenants
        with pytest.raises(ServerUnavailable, match="is busy, and 2 calls are waiting"):
            await gateway.call(EVERYTHING, "unruly", "wait", {"name": "a"})
        for each in two:
            each.may_answer.set()
        await asyncio.gather(*asking)
    assert (one.most_at_once, other.most_at_once) == (3, 3)


async def test_a_call_waits_for_a_place_no_longer_than_its_deadline(unruly: Unruly) -> None:
    limits = ToolLimits(cache_seconds=0, at_once=1, timeout_s=0.5)
    async with nothing_left(), ToolGateway(unruly.servers, limits=limits) as gateway:
        await gateway.tools(EVERYTHING)
        calls = [gateway.call(EVERYTHING, "unruly", "wait", {"name": "a"}) for _ in range(3)]
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert sorted("is busy" in str(each) for each in ended) == [False, True, True]
        unruly.may_answer.set()
        await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})


async def test_a_replica_that_goes_and_comes_back_is_left_out_meanwhile(unruly: Unruly) -> None:
    registry, other = CollectorRegistry(), Unruly()
    async with contextlib.AsyncExitStack() as stack:
        with other.running():
            servers = {"unruly": f"{unruly.url},{other.url}"}
            gateway = await stack.enter_async_context(ToolGateway(servers, limits=BARE, registry=registry))
            await asyncio.gather(*(gateway.call(EVERYTHING, "unruly", "read", {"name": "a"}) for _ in range(10)))
            before = len(other.calls)
            assert 0 < before < 10
        for _ in range(10):
            await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
        assert (len(unruly.calls), len(other.calls)) == (20 - before, before)
        await eventually(lambda: told(registry, "replica_up", "unruly", unruly.url, other.url) == [1, 0])
        with other.running():
            await eventually(lambda: told(registry, "replica_up", "unruly", unruly.url, other.url) == [1, 1])
            await asyncio.gather(*(gateway.call(EVERYTHING, "unruly", "read", {"name": "a"}) for _ in range(10)))
            assert len(other.calls) > before
            await stack.aclose()


async def test_a_replica_that_failed_a_call_is_not_asked_again_before_it_is_looked_at(unruly: Unruly) -> None:
    registry, gone = CollectorRegistry(), Unruly()
    with gone.running():
        pass
    servers = {"unruly": f"{gone.url},{unruly.url}"}
    limits = ToolLimits(cache_seconds=0, probe_s=600)
    async with ToolGateway(servers, limits=limits, registry=registry) as gateway:
        for _ in range(5):
            await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
    assert registry.get_sample_value("tollgate_tool_retries_total", {"server": "unruly"}) == 1
    assert len(unruly.calls) == 5


async def test_a_replica_that_is_not_ready_is_not_asked(two: tuple[Unruly, Unruly]) -> None:
    registry, (one, other) = CollectorRegistry(), two
    async with ToolGateway({"unruly": f"{one.url},{other.url}"}, limits=BARE, registry=registry) as gateway:
        await gateway.tools(EVERYTHING)
        one.ready = False
        await eventually(lambda: told(registry, "replica_up", "unruly", one.url, other.url) == [0, 1])
        await asyncio.gather(*(gateway.call(EVERYTHING, "unruly", "read", {"name": "a"}) for _ in range(4)))
    assert (len(one.calls), len(other.calls)) == (0, 4)


async def test_a_busy_replica_sends_the_call_to_another_and_fills_no_log(
    two: tuple[Unruly, Unruly], caplog: pytest.LogCaptureFixture
) -> None:
    registry, (one, other) = CollectorRegistry(), two
    async with ToolGateway({"unruly": f"{one.url},{other.url}"}, limits=BARE, registry=registry) as gateway:
        with pytest.raises(ServerUnavailable, match="it is busy"):
            await gateway.call(EVERYTHING, "unruly", "busy", {"name": "a"})
        assert told(registry, "replica_up", "unruly", one.url, other.url) == [1, 1]
    assert (one.calls, other.calls) == (["busy"], ["busy"])
    assert "does not answer" not in caplog.text


async def test_the_breaker_is_one_for_all_workers_and_lets_a_probe_through(unruly: Unruly, redis_client: Redis) -> None:
    limits = ToolLimits(cache_seconds=0, failures=2, open_s=1)
    async with contextlib.AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(ToolGateway(unruly.servers, client=redis_client, limits=limits))
            for _ in range(2)
        ]
        unruly.faults = ["500"] * 4
        for _ in range(2):
            with pytest.raises(ServerUnavailable, match="HTTP 500"):
                await one.call(EVERYTHING, "unruly", "read", {"name": "a"})
        began = unruly.requests["tools/call"]
        with pytest.raises(ServerUnavailable, match=r"circuit open for 1 s; go on without it"):
            await other.call(EVERYTHING, "unruly", "read", {"name": "a"})
        assert unruly.requests["tools/call"] == began
        end = time.monotonic() + 10
        while True:
            with contextlib.suppress(ServerUnavailable):
                await one.call(EVERYTHING, "unruly", "read", {"name": "a"})
                break
            assert time.monotonic() < end
            await asyncio.sleep(0.05)


async def test_while_a_probe_is_under_way_others_wait_for_its_verdict(unruly: Unruly, redis_client: Redis) -> None:
    limits = ToolLimits(cache_seconds=0, failures=1, open_s=0.6)
    async with ToolGateway(unruly.servers, client=redis_client, limits=limits) as gateway:
        unruly.faults = ["500"] * 2
        with pytest.raises(ServerUnavailable, match="HTTP 500"):
            await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
        probe = asyncio.create_task(_until_admitted(gateway, "wait"))
        await asyncio.to_thread(unruly.called.wait, 10)
        others = [asyncio.create_task(gateway.call(EVERYTHING, "unruly", "read", {"name": n})) for n in "bc"]
        done, _ = await asyncio.wait(others, timeout=0.2)
        assert not done
        unruly.may_answer.set()
        await asyncio.gather(probe, *others)


async def _until_admitted(gateway: ToolGateway, tool: str) -> None:
    """Call as soon as the breaker lets a call through."""
    while True:
        with contextlib.suppress(ServerUnavailable):
            await gateway.call(EVERYTHING, "unruly", tool, {"name": "a"})
            return
        await asyncio.sleep(0.05)


async def test_only_a_call_that_had_its_full_time_says_that_a_server_is_away(
    unruly: Unruly, redis_client: Redis
) -> None:
    registry = CollectorRegistry()
    limits = ToolLimits(cache_seconds=0, timeout_s=1.5, failures=1, probe_s=600, rates={"unruly.read": 60})
    async with ToolGateway(unruly.servers, client=redis_client, limits=limits, registry=registry) as gateway:
        await asyncio.gather(*(gateway.call(EVERYTHING, "unruly", "read", {"name": "a"}) for _ in range(6)))
        unruly.faults = ["hang"]
        with pytest.raises(ServerUnavailable, match=r"unruly is busy: the call had \d\.\d s left after its wait"):
            await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})  # which waits for the token bucket first
        unruly.faults = ["hang"]
        cancelled = asyncio.create_task(gateway.call(EVERYTHING, "unruly", "only_read", {"name": "a"}))
        await eventually(lambda: not unruly.faults)
        cancelled.cancel()
        assert told(registry, "replica_up", "unruly", unruly.url) == [1]
        await gateway.call(EVERYTHING, "unruly", "only_read", {"name": "a"})
        for _ in range(5):  # on a busy machine a call may lose some of its time before it is sent
            unruly.faults = ["hang"]
            with pytest.raises(ServerUnavailable, match=r"gave no answer within 1\.5 s; ask for less, or go on"):
                await gateway.call(EVERYTHING, "unruly", "only_read", {"name": "a"})
            if told(registry, "replica_up", "unruly", unruly.url) == [0]:
                break
        assert told(registry, "replica_up", "unruly", unruly.url) == [0]
        with pytest.raises(ServerUnavailable, match="circuit open for"):
            await gateway.call(EVERYTHING, "unruly", "only_read", {"name": "a"})


async def test_a_token_bucket_is_one_for_all_workers(unruly: Unruly, redis_client: Redis) -> None:
    limits = ToolLimits(cache_seconds=0, timeout_s=0.5, rates={"unruly.read": 20})
    async with contextlib.AsyncExitStack() as stack:
        gateways = [
            await stack.enter_async_context(ToolGateway(unruly.servers, client=redis_client, limits=limits))
            for _ in range(2)
        ]
        for each in gateways:
            await each.tools(EVERYTHING)
            await each.call(EVERYTHING, "unruly", "read", {"name": "a"})
        with pytest.raises(ServerUnavailable, match=r"unruly\.read is rate limited"):
            await gateways[0].call(EVERYTHING, "unruly", "read", {"name": "a"})
        await gateways[0].call(EVERYTHING, "unruly", "only_read", {"name": "a"})
    assert unruly.calls == ["read", "read", "only_read"]


async def test_a_bucket_that_fills_in_time_is_waited_for(unruly: Unruly, redis_client: Redis) -> None:
    limits = ToolLimits(cache_seconds=0, rates={"unruly.read": 240})
    async with ToolGateway(unruly.servers, client=redis_client, limits=limits) as gateway:
        await asyncio.gather(*(gateway.call(EVERYTHING, "unruly", "read", {"name": "a"}) for _ in range(26)))
    assert len(unruly.calls) == 26


async def test_each_call_carries_a_token_of_its_agent_and_its_tools(unruly: Unruly) -> None:
    async with ToolGateway(unruly.servers, signer=Signer(SECRET), limits=BARE) as gateway:
        await gateway.call(Asking("one", ("unruly.read", "unruly.wait", "sales.*")), "unruly", "read", {"name": "a"})
        await gateway.call(Asking("all", ("unruly.*",)), "unruly", "read", {"name": "a"})
    one, every = [claims(each, SECRET.get_secret_value()) for each in unruly.tokens[-2:]]
    assert (one["sub"], one["scope"], one["exp"] - one["iat"]) == ("one", "read wait", 60)
    assert (every["sub"], every["scope"]) == ("all", "*")
    assert claims(unruly.tokens[0], SECRET.get_secret_value())["sub"] == "gateway"


async def test_a_tool_that_is_not_the_agents_is_never_asked_for(unruly: Unruly) -> None:
    async with ToolGateway(unruly.servers, limits=BARE) as gateway:
        with pytest.raises(ToolFailure, match=r"one has no tool unruly\.write; it has: unruly\.read"):
            await gateway.call(Asking("one", ("unruly.read",)), "unruly", "write", {"name": "a"})
    assert unruly.requests == {}


async def test_a_version_that_readyz_names_drops_what_was_kept(unruly: Unruly) -> None:
    async with ToolGateway(unruly.servers, limits=ToolLimits(probe_s=0.05)) as gateway:
        for _ in range(2):
            before = await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
        unruly.data_version = "v2"

        async def asked() -> int:
            return int(
                (await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})).content["structured"]["number"]
            )

        end = time.monotonic() + 10
        while await asked() == 1:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
    assert before.cached


async def test_waits_and_outcomes_are_metrics(unruly: Unruly) -> None:
    registry = CollectorRegistry()
    limits = ToolLimits(cache_seconds=0, at_once=1)
    async with ToolGateway(unruly.servers, limits=limits, registry=registry) as gateway:
        asking = [asyncio.create_task(gateway.call(EVERYTHING, "unruly", "wait", {"name": "a"})) for _ in range(3)]
        await asyncio.to_thread(unruly.called.wait, 30)
        await eventually(lambda: registry.get_sample_value("tollgate_tool_waiting", {"server": "unruly"}) == 2)
        replica = {"server": "unruly", "replica": unruly.url}
        assert registry.get_sample_value("tollgate_tool_under_way", replica) == 1
        assert registry.get_sample_value("tollgate_tool_replica_up", replica) == 1
        unruly.may_answer.set()
        await asyncio.gather(*asking)
        unruly.faults = ["503"]
        await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
    answered = {"server": "unruly", "tool": "wait", "outcome": "answered"}
    assert registry.get_sample_value("tollgate_tool_call_seconds_count", answered) == 3
    assert registry.get_sample_value("tollgate_tool_retries_total", {"server": "unruly"}) == 1
    assert threading.active_count() < 50


def test_a_server_that_invents_tools_makes_no_more_series() -> None:
    registry = CollectorRegistry()
    metrics = ToolMetrics(registry)
    for at in range(2 * MOST_TOOLS):
        metrics.called("unruly", f"tool{at}", "failed", 0.1)
    metrics.called("unruly", "tool0", "failed", 0.1)
    labels = {"server": "unruly", "outcome": "failed"}
    counted = [
        registry.get_sample_value("tollgate_tool_call_seconds_count", {**labels, "tool": tool})
        for tool in ("tool0", f"tool{MOST_TOOLS}", "other")
    ]
    assert counted == [2, None, MOST_TOOLS]

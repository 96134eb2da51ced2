"""The breaker: two workers on one Redis see one state, and only one of them ever probes."""

import asyncio
import contextlib
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from graphs.redis.breaker import PROBE_LOOK_S, Breaker
from tests.examples import at_most
from tests.graphs.redis_servers import Client, Connect

FAILURES, WINDOW_S, OPEN_S = 3, 10, 4
TRUSTED_S = 1
EVENTS = st.tuples(st.sampled_from([0, 1]), st.sampled_from(["admits", "admits", "failed", "failed", "succeeded"]))
PASSING = st.sampled_from([0.4, 1, 3, 4, 9])


class Clock:
    """The time is what the test says it is."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def breaker(client: Client, clock: Clock, provider: str = "openai") -> Breaker:
    return Breaker(client, provider, failures=FAILURES, window_s=WINDOW_S, open_s=OPEN_S, now=clock)


async def opened(client: Client, clock: Clock) -> Breaker:
    one = breaker(client, clock)
    for _ in range(FAILURES):
        assert await one.admits()
        await one.failed()
    return one


async def commands(client: Client) -> int:
    """Commands that the server has run, this question included."""
    found = await client.info("stats")
    return int(found["total_commands_processed"])


async def test_it_opens_probes_and_closes_on_any_server(client: Client, clock: Clock) -> None:
    one = await opened(client, clock)
    other = breaker(client, clock)
    assert [await one.admits(), await other.admits()] == [False, False]
    clock.advance(OPEN_S)
    assert [await other.admits(), await one.admits()] == [True, False]
    await other.succeeded()
    assert [await one.admits(), await other.admits()] == [True, True]


async def test_a_failed_probe_opens_it_again(valkey_client: Client, clock: Clock) -> None:
    one = await opened(valkey_client, clock)
    clock.advance(OPEN_S)
    assert await one.admits()
    clock.advance(1)
    await one.failed()
    clock.advance(OPEN_S - 0.1)
    assert not await one.admits()
    clock.advance(0.1)
    assert await one.admits()


async def test_a_prober_that_died_is_replaced_by_one(valkey_client: Client, clock: Clock) -> None:
    dead = await opened(valkey_client, clock)
    clock.advance(OPEN_S)
    assert await dead.admits()
    others = [breaker(valkey_client, clock) for _ in range(20)]
    assert not any(await asyncio.gather(*(each.admits() for each in others)))
    assert await others[0].wait_s() == PROBE_LOOK_S
    clock.advance(OPEN_S)
    assert await others[0].wait_s() == 0  # else workers would take no jobs, none would probe, and so on
    assert sum(await asyncio.gather(*(each.admits() for each in others))) == 1


async def test_a_call_from_before_it_opened_does_not_keep_it_open(valkey_client: Client, clock: Clock) -> None:
    one = await opened(valkey_client, clock)
    clock.advance(OPEN_S - 1)
    await one.failed()
    clock.advance(1)
    assert await one.admits()


async def test_failures_of_all_workers_count_together_but_not_for_ever(valkey_client: Client, clock: Clock) -> None:
    workers = [breaker(valkey_client, clock) for _ in range(FAILURES)]
    await workers[0].failed()
    clock.advance(WINDOW_S)
    for each in workers[1:]:
        await each.failed()
    assert await workers[0].admits()
    await workers[0].failed()
    clock.advance(TRUSTED_S)
    assert not await workers[1].admits()


async def test_a_success_makes_the_count_start_anew(valkey_client: Client, clock: Clock) -> None:
    one = breaker(valkey_client, clock)
    for _ in range(3):
        for _ in range(FAILURES - 1):
            await one.failed()
        await one.succeeded()
    assert await one.admits()
    assert await valkey_client.exists("tollgate:breaker:openai") == 0


async def test_providers_fail_apart(valkey_client: Client, clock: Clock) -> None:
    await opened(valkey_client, clock)
    assert await breaker(valkey_client, clock, "another").admits()


async def test_while_all_is_well_it_asks_once_a_second(valkey_client: Client, clock: Clock) -> None:
    one = breaker(valkey_client, clock)
    assert await one.admits()
    before = await commands(valkey_client)
    for _ in range(100):
        assert await one.admits()
        await one.succeeded()
    assert await commands(valkey_client) == before + 1
    clock.advance(TRUSTED_S)
    assert await one.admits()
    assert await commands(valkey_client) > before + 2


async def test_without_redis_calls_are_admitted_and_reports_are_lost(clock: Clock) -> None:
    async with contextlib.aclosing(Redis(unix_socket_path="/nowhere", retry=Retry(NoBackoff(), 0))) as gone:
        one = breaker(gone, clock)
        for _ in range(2 * FAILURES):
            await one.failed()
            assert await one.admits()
        await one.succeeded()


async def test_a_success_that_could_not_be_written_is_written_with_the_next(
    valkey_client: Client, clock: Clock
) -> None:
    one = breaker(valkey_client, clock)
    await one.failed()
    before = await valkey_client.dump("tollgate:breaker:openai")
    await valkey_client.config_set("min-replicas-to-write", "1")  # there is none: every write is refused
    try:
        await one.succeeded()
    finally:
        await valkey_client.config_set("min-replicas-to-write", "0")
    assert await valkey_client.dump("tollgate:breaker:openai") == before
    await one.succeeded()
    assert await valkey_client.exists("tollgate:breaker:openai") == 0


@dataclass
class Expected:
    """What each of two workers must be told, written as rules over what was reported until now."""

    failed: list[float] = field(default_factory=list)
    retry_at: float | None = None
    probing: bool = False
    trusted: dict[int, float] = field(default_factory=dict)
    in_doubt: set[int] = field(default_factory=set)

    def admits(self, worker: int, now: float) -> bool:
        if now < self.trusted.get(worker, 0):
            return True
        self.trusted[worker] = 0 if self.retry_at else now + TRUSTED_S
        if self.retry_at is None:
            return True
        if now < self.retry_at:
            return False
        self.retry_at, self.probing = now + OPEN_S, True
        self.in_doubt.add(worker)
        return True

    def report_failed(self, worker: int, now: float) -> None:
        self.in_doubt.add(worker)
        if self.retry_at is None:
            self.failed = [at for at in self.failed if now - at < WINDOW_S] + [now]
        elif not self.probing:
            self.trusted[worker] = 0
            return
        if self.probing or len(self.failed) == FAILURES:
            self.failed, self.retry_at, self.probing = [], now + OPEN_S, False
        self.trusted[worker] = 0 if self.retry_at else now + TRUSTED_S

    def report_succeeded(self, worker: int, now: float) -> None:
        if worker in self.in_doubt:
            self.in_doubt.remove(worker)
            self.failed, self.retry_at, self.probing = [], None, False
            self.trusted[worker] = now + TRUSTED_S


@settings(max_examples=at_most(60))
@given(st.lists(EVENTS | PASSING, max_size=40))
def test_two_workers_are_told_the_same_in_any_order_of_events(
    valkey: Connect, events: list[tuple[int, str] | float]
) -> None:
    asyncio.run(_replayed(valkey, events))


async def _replayed(valkey: Connect, events: list[tuple[int, str] | float]) -> None:
    clock, expected, provider, seconds = Clock(), Expected(), uuid.uuid4().hex, 1000.0
    async with contextlib.aclosing(valkey()) as left, contextlib.aclosing(valkey()) as right:
        workers = [breaker(left, clock, provider), breaker(right, clock, provider)]
        for event in events:
            if not isinstance(event, tuple):
                clock.advance(event)
                seconds = round(seconds + event, 1)
            elif event[1] == "admits":
                assert await workers[event[0]].admits() is expected.admits(event[0], seconds)
            elif event[1] == "failed":
                await workers[event[0]].failed()
                expected.report_failed(event[0], seconds)
            else:
                await workers[event[0]].succeeded()
                expected.report_succeeded(event[0], seconds)
        assert await left.ttl(f"tollgate:breaker:{provider}") != -1

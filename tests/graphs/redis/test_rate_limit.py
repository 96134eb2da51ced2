"""The rate limit: never more than it says, never less, over any number of processes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from graphs.redis.rate_limit import Allowance, RateLimit
from tests.examples import at_most

START = datetime(2026, 11, 21, 10, tzinfo=UTC)


class Clock:
    """A time that goes only where it is told to."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def forward(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
async def other(redis_url: str) -> AsyncIterator[Redis]:
    """Redis as another process sees it."""
    async with Redis.from_url(redis_url) as client:
        yield client


async def taken(limit: RateLimit, times: int, key: str = "k") -> list[bool]:
    return [(await limit.take(key)).allowed for _ in range(times)]


@settings(max_examples=at_most(60))
@given(
    per_minute=st.integers(1, 60_000),
    burst=st.integers(1, 8),
    waits=st.lists(st.floats(0, 3), min_size=1, max_size=40),
)
def test_in_no_stretch_of_time_more_than_allowed_and_never_less(
    redis_url: str, per_minute: int, burst: int, waits: list[float]
) -> None:
    asyncio.run(_compared(redis_url, per_minute, burst, waits))


async def _compared(url: str, per_minute: int, burst: int, waits: list[float]) -> None:
    """Against a bucket kept in floating point; `waits` counts in the time that one request takes to come back."""
    clock = Clock()
    each = 60 / per_minute
    tokens, last = float(burst), START
    granted: list[datetime] = []
    async with Redis.from_url(url) as client:
        await client.flushall()
        limit = RateLimit(client, per_minute=per_minute, burst=burst, now=clock)
        for wait in waits:
            clock.forward(wait * each)
            tokens = min(burst, tokens + (clock.time - last).total_seconds() / each)
            last = clock.time
            got = await limit.take("k")
            if abs(tokens - round(tokens)) > 0.02:  # else rounding to microseconds may tip it
                assert got.allowed == (tokens >= 1)
                assert got.remaining == int(tokens - got.allowed)
                assert got.reset_s == pytest.approx((burst - tokens + got.allowed) * each, abs=0.02 * each)
            tokens -= got.allowed
            granted += [clock.time] if got.allowed else []
        for first, start in enumerate(granted):
            for more, end in enumerate(granted[first:]):
                assert more + 1 <= burst + (end - start).total_seconds() / each + 0.001


@settings(max_examples=at_most(30))
@given(per_minute=st.integers(1, 60_000), burst=st.integers(1, 5))
def test_who_waits_as_long_as_told_is_let_through_and_not_before(redis_url: str, per_minute: int, burst: int) -> None:
    asyncio.run(_obedient(redis_url, per_minute, burst))


async def _obedient(url: str, per_minute: int, burst: int) -> None:
    clock = Clock()
    async with Redis.from_url(url) as client:
        await client.flushall()
        limit = RateLimit(client, per_minute=per_minute, burst=burst, now=clock)
        assert await taken(limit, burst) == [True] * burst
        refused = await limit.take("k")
        assert refused.retry_after_s
        clock.forward(refused.retry_after_s - 0.000002)
        assert not (await limit.take("k")).allowed
        clock.forward(0.000002)
        assert (await limit.take("k")).allowed
        clock.forward((await limit.take("k")).reset_s)
        assert await taken(limit, burst + 1) == [True] * burst + [False]


async def test_by_default_the_servers_clock_counts_for_all_processes(redis_client: Redis, other: Redis) -> None:
    limits = [RateLimit(client, per_minute=1, burst=10) for client in (redis_client, other)]
    got = await asyncio.gather(*(limits[n % 2].take("k") for n in range(40)))
    assert sum(each.allowed for each in got) == 10
    assert sorted(each.remaining for each in got if each.allowed) == list(range(10))
    assert all(0 < (each.retry_after_s or 0) <= 60 for each in got if not each.allowed)


async def test_the_servers_clock_goes_on(redis_client: Redis) -> None:
    """60,000 a minute come back within a millisecond each: refusals end without anybody turning a clock."""
    limit = RateLimit(redis_client, per_minute=60_000, burst=1)
    got = [await limit.take("k") for _ in range(2)]
    while not got[-1].allowed or len(got) < 20:
        got.append(await limit.take("k"))
    assert sum(each.allowed for each in got) > 1


async def test_keys_do_not_share(redis_client: Redis) -> None:
    limit = RateLimit(redis_client, per_minute=1, burst=2, now=Clock())
    assert await taken(limit, 3, "a") == [True, True, False]
    assert await taken(limit, 3, "b") == [True, True, False]


async def test_a_refused_request_costs_nothing(redis_client: Redis) -> None:
    clock = Clock()
    limit = RateLimit(redis_client, per_minute=60, burst=1, now=clock)
    assert await taken(limit, 50) == [True] + [False] * 49
    clock.forward(1)
    assert await taken(limit, 1) == [True]


async def test_a_clock_that_went_back_locks_nobody_out(redis_client: Redis) -> None:
    clock = Clock()
    limit = RateLimit(redis_client, per_minute=60, burst=5, now=clock)
    await taken(limit, 5)
    clock.forward(-3600)
    assert await taken(limit, 1) == [False]
    clock.forward(1)
    assert await taken(limit, 2) == [True, False]


async def test_a_lower_burst_counts_at_once_and_locks_nobody_out(redis_client: Redis) -> None:
    clock = Clock()
    await taken(RateLimit(redis_client, per_minute=60, burst=100, now=clock), 100)
    limit = RateLimit(redis_client, per_minute=60, burst=2, now=clock)
    assert await taken(limit, 1) == [False]
    clock.forward(1)
    assert await taken(limit, 2) == [True, False]


async def test_it_is_forgotten_when_it_says_nothing_any_more(redis_client: Redis) -> None:
    limit = RateLimit(redis_client, per_minute=60, burst=30)
    await taken(limit, 30)
    assert 0 < await redis_client.ttl("tollgate:{k}:rate") <= 30 + 60


@pytest.mark.parametrize(
    ("allowance", "headers"),
    [
        (Allowance(30, 29, 0.5, None), {"Limit": "30", "Remaining": "29", "Reset": "1"}),
        (Allowance(30, 0, 15.2, 0.001), {"Limit": "30", "Remaining": "0", "Reset": "16", "Retry-After": "1"}),
        (Allowance(1, 0, 60, 60), {"Limit": "1", "Remaining": "0", "Reset": "60", "Retry-After": "60"}),
    ],
)
def test_headers_are_whole_seconds_and_never_too_few(allowance: Allowance, headers: dict[str, str]) -> None:
    wanted = {name if name == "Retry-After" else f"RateLimit-{name}": text for name, text in headers.items()}
    assert allowance.headers() == wanted
    assert allowance.allowed == ("Retry-After" not in headers)


async def test_what_remains_counts_down(redis_client: Redis) -> None:
    limit = RateLimit(redis_client, per_minute=60, burst=5, now=Clock())
    got = [await limit.take("k") for _ in range(5)]
    assert all(before.remaining - 1 == after.remaining for before, after in pairwise(got))
    assert [each.reset_s for each in got] == [1, 2, 3, 4, 5]

"""The ledger and its store: round trips, times to live, and what happens when Redis or a key of it is gone."""

from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from graphs.errors import LedgerUnavailable
from graphs.spending.ledger import CLOSED_TTL_SECONDS, DAY_TTL_SECONDS, Ledger
from graphs.spending.spend import Amount
from tests.graphs.ledgers import EXPIRES_IN_S, NOON, TTL, Clock, account, reserved, seconds_to_live
from tests.graphs.redis_servers import Client


async def _use_everything(ledger: Ledger) -> None:
    call = await reserved(ledger, account(), 1)
    await ledger.settle(call, 1)
    await ledger.release(call)
    await ledger.count("job", steps=1)
    await ledger.count_tool_call(account())
    await ledger.reap()


async def test_each_method_is_one_round_trip(ledger: Ledger, redis_client: Redis) -> None:
    await _use_everything(ledger)
    await redis_client.config_resetstat()

    await _use_everything(ledger)

    found = await redis_client.info("commandstats")
    assert found["cmdstat_evalsha"]["calls"] == 6
    assert "cmdstat_eval" not in found


async def test_a_server_that_has_forgotten_the_script_gets_it_again(ledger: Ledger, redis_client: Redis) -> None:
    await _use_everything(ledger)
    await redis_client.script_flush()

    await _use_everything(ledger)

    assert (await ledger.spend("job")).micro_usd == 2


CALLS: dict[str, Callable[[Ledger], Awaitable[object]]] = {
    "reserve": lambda ledger: ledger.reserve("call", account(), 1, expires_in_s=1),
    "settle": lambda ledger: ledger.settle("call", 1),
    "release": lambda ledger: ledger.release("call"),
    "count": lambda ledger: ledger.count("job", steps=1),
    "count_tool_call": lambda ledger: ledger.count_tool_call(account()),
    "reserve_for_the_day": lambda ledger: ledger.reserve_for_the_day("call", 1, 1, expires_in_s=1),
    "grant": lambda ledger: ledger.grant(account(), "child", 1),
    "keep": lambda ledger: ledger.keep("child"),
    "give_back": lambda ledger: ledger.give_back("child"),
    "allow_today": lambda ledger: ledger.allow_today(1),
    "spend": lambda ledger: ledger.spend("job"),
    "spent_today": lambda ledger: ledger.spent_today("acme"),
    "parts": lambda ledger: ledger.parts(NOON.date(), "acme"),
    "reap": lambda ledger: ledger.reap(),
}


@pytest.mark.parametrize("name", CALLS)
async def test_without_redis_there_is_no_ledger(name: str, unused_tcp_port: int) -> None:
    async with Redis(port=unused_tcp_port, retry=Retry(NoBackoff(), 0)) as nowhere:
        with pytest.raises(LedgerUnavailable, match="nothing may be spent"):
            await CALLS[name](Ledger(nowhere, ttl_seconds=TTL))


async def test_a_redis_that_refuses_is_no_ledger_either(redis_client: Redis, ledger: Ledger, clock: Clock) -> None:
    await redis_client.set("tollgate:{ledger}:job:job", "no hash", ex=TTL)

    for name in ("reserve", "count", "count_tool_call", "spend"):
        with pytest.raises(LedgerUnavailable):
            await CALLS[name](ledger)
    assert (await ledger.spent_today("acme")).deployment == Amount()


async def test_every_key_expires_and_each_write_puts_that_off(client: Client) -> None:
    short, long = (Ledger(client, ttl_seconds=seconds, now=lambda: NOON) for seconds in (TTL, 9 * TTL))
    await short.reserve("call", account(), 1, expires_in_s=EXPIRES_IN_S)
    keys = ("job:job", "day:2026-03-01", "call:call", "open")
    lives = DAY_TTL_SECONDS + EXPIRES_IN_S
    _near(await seconds_to_live(client, *keys), [TTL, DAY_TTL_SECONDS, lives, lives])

    for change in (long.count("job", steps=1), long.count_tool_call(account()), long.settle("call", 1)):
        await client.expire("tollgate:{ledger}:job:job", 1)
        await change
        _near(await seconds_to_live(client, "job:job"), [9 * TTL])

    minute = f"minute:{int(NOON.timestamp()) // 60}"
    _near(await seconds_to_live(client, *keys[:3], minute), [9 * TTL, DAY_TTL_SECONDS, CLOSED_TTL_SECONDS, 120])
    days = [f"{kind}:2026-03-01{of}" for kind in ("parts", "dearest") for of in ("", ":acme")]
    _near(await seconds_to_live(client, *days), [DAY_TTL_SECONDS] * 4)
    await long.release("early")
    _near(await seconds_to_live(client, "call:early"), [CLOSED_TTL_SECONDS])


async def test_a_reaped_call_can_be_corrected_for_as_long_as_its_job_is_remembered(
    ledger: Ledger, redis_client: Redis, clock: Clock
) -> None:
    await ledger.reserve("call", account(), 1, expires_in_s=EXPIRES_IN_S)
    clock.advance(seconds=EXPIRES_IN_S)
    await ledger.reap()

    _near(await seconds_to_live(redis_client, "call:call", "job:job"), [TTL, TTL])


async def test_the_index_lives_as_long_as_the_call_that_expires_last(ledger: Ledger, redis_client: Redis) -> None:
    await ledger.reserve("long", account(), 1, expires_in_s=9000)
    await ledger.reserve("short", account(), 1, expires_in_s=1)

    _near(await seconds_to_live(redis_client, "open"), [DAY_TTL_SECONDS + 9000])


def _near(seconds: list[int], expected: list[int]) -> None:
    assert all(wanted - 5 <= found <= wanted for found, wanted in zip(seconds, expected, strict=True)), seconds


async def test_where_a_key_is_gone_nothing_is_taken_back(ledger: Ledger, redis_client: Redis) -> None:
    call = await reserved(ledger, account(), 100)
    await redis_client.delete("tollgate:{ledger}:job:job")

    await ledger.settle(call, 30)

    used = await ledger.spend("job")
    assert (used.micro_usd, used.reserved_micro_usd, used.agents["sales"].reserved_micro_usd) == (30, 0, 0)


async def test_a_reservation_whose_record_is_gone_does_not_stop_the_reaper(
    ledger: Ledger, redis_client: Redis, clock: Clock
) -> None:
    await ledger.reserve("call", account(), 1, expires_in_s=EXPIRES_IN_S)
    await redis_client.delete("tollgate:{ledger}:call:call")
    clock.advance(seconds=EXPIRES_IN_S)

    assert [await ledger.reap(), await ledger.reap()] == [1, 0]


async def test_settings_that_would_lose_count_are_refused(redis_client: Redis) -> None:
    with pytest.raises(ValueError, match="ttl_seconds is 0"):
        Ledger(redis_client, ttl_seconds=0)
    with pytest.raises(ValueError, match="day_ttl_seconds is 3600"):
        Ledger(redis_client, ttl_seconds=1, day_ttl_seconds=3600)
    async with Redis(decode_responses=True) as text:
        with pytest.raises(ValueError, match="decode_responses"):
            Ledger(text, ttl_seconds=1)

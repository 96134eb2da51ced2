"""Money that is given from job to job is never spent twice, whoever ends first."""

import pytest
from redis.asyncio import Redis

from graphs.errors import LimitReached
from graphs.spending.ledger import ENTERED_S, Ledger
from graphs.spending.spend import Account
from tests.graphs.ledgers import EXPIRES_IN_S, Clock, account, reserved, spent


def _of(job: str, micro_usd: int = 1000) -> Account:
    return account(job=job, budget_micro_usd=micro_usd)


async def _amounts(ledger: Ledger, job: str) -> tuple[int, int]:
    used = await ledger.spend(job)
    return used.micro_usd, used.reserved_micro_usd


async def test_a_job_that_ends_before_its_child_keeps_what_the_child_may_still_spend(ledger: Ledger) -> None:
    await ledger.grant(_of("first"), "second", 1000)
    await ledger.grant(_of("second"), "third", 500)
    await ledger.give_back("second")

    assert await _amounts(ledger, "first") == (0, 500)
    with pytest.raises(LimitReached):
        await spent(ledger, _of("first"), 501)
    await spent(ledger, _of("first"), 500)
    await spent(ledger, _of("third", 500), 400)
    await ledger.give_back("third")
    assert await _amounts(ledger, "first") == (900, 0)


async def test_a_dead_process_s_call_is_kept_for_when_its_job_gives_back(ledger: Ledger, clock: Clock) -> None:
    await ledger.grant(_of("first"), "second", 1000)
    lost, released = await reserved(ledger, _of("second"), 600), await reserved(ledger, _of("second"), 100)
    await ledger.give_back("second")
    assert await _amounts(ledger, "first") == (0, 700)

    await ledger.release(released)
    assert await _amounts(ledger, "first") == (0, 600)
    clock.advance(seconds=EXPIRES_IN_S)
    await ledger.reap()
    assert await _amounts(ledger, "first") == (600, 0)
    await ledger.settle(lost, 50)
    assert await _amounts(ledger, "first") == (50, 0)


async def test_a_job_that_gave_back_reserves_nothing(ledger: Ledger) -> None:
    await ledger.grant(_of("first"), "second", 1000)
    await ledger.give_back("second")
    with pytest.raises(LimitReached):
        await reserved(ledger, _of("second"), 1)
    with pytest.raises(LimitReached):
        await ledger.grant(_of("second"), "third", 1)


async def test_what_nobody_accepted_goes_back_by_itself(redis_client: Redis, clock: Clock) -> None:
    """Its process died between the two steps."""
    ledger = Ledger(redis_client, ttl_seconds=9 * ENTERED_S, now=clock)
    for child in ("lost", "accepted"):
        await ledger.grant(_of("first"), child, 300)
    await ledger.keep("accepted")
    clock.advance(seconds=ENTERED_S)
    await ledger.reap()
    assert await _amounts(ledger, "first") == (0, 300)
    assert (await ledger.spend("first")).children == 1
    await spent(ledger, _of("accepted", 300), 100)


async def test_a_call_does_not_wait_for_what_was_given_away(ledger: Ledger) -> None:
    await ledger.grant(_of("first"), "second", 900)
    with pytest.raises(LimitReached) as refused:
        await reserved(ledger, _of("first"), 200)
    assert refused.value.passing is False
    await reserved(ledger, _of("first"), 90)
    with pytest.raises(LimitReached) as refused:
        await reserved(ledger, _of("first"), 50)
    assert refused.value.passing is True

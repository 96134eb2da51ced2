"""One writer per job: whoever lost the lease writes neither state nor money, however late it wakes up."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from app.errors import Busy, TakenOver
from app.jobs.lease import Leases
from graphs.checkpoint.store import Run, Store, member
from graphs.errors import Fenced
from graphs.redis.fencing import lease_key
from graphs.spending.ledger import Ledger
from tests.graphs.gates import account
from tests.graphs.redis_servers import Client

JOB = "job-lease"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """The time is what the test says it is."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def leases(client: Redis, clock: Clock, seconds: float = 30) -> Leases:
    return Leases(client, ttl_seconds=600, seconds=seconds, now=clock)


async def test_two_cannot_hold_it_at_once(redis_client: Redis) -> None:
    clock = Clock()
    async with leases(redis_client, clock).held(JOB) as token:
        with pytest.raises(Busy, match="another process drives"):
            async with leases(redis_client, clock).held(JOB):
                pass
    async with leases(redis_client, clock).held(JOB) as next_token:
        assert next_token > token


async def test_when_it_has_run_out_another_may_take_it(redis_client: Redis) -> None:
    clock = Clock()
    async with leases(redis_client, clock).held(JOB) as token:
        clock.now += timedelta(seconds=31)
        async with leases(redis_client, clock).held(JOB) as taken:
            assert taken == token + 1


async def test_whoever_lost_it_is_stopped(redis_client: Redis) -> None:
    async def work() -> None:
        async with leases(redis_client, Clock(), seconds=0.2).held(JOB):
            await redis_client.hset(lease_key(JOB), "owner", "another")
            await asyncio.Event().wait()

    with pytest.raises(TakenOver, match="the lease of job-lease was lost"):
        await work()
    assert await redis_client.hget(lease_key(JOB), "owner") == b"another"


async def test_whoever_has_ended_is_stopped_no_more(redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the renewal does not notice at once that it is cancelled, as happens under the Redis client."""
    held = leases(redis_client, Clock(), seconds=0.2)
    renewing, left, told = asyncio.Event(), asyncio.Event(), asyncio.Event()
    run = held._run

    async def swallowing(operation: str, job_id: str, owner: str) -> int:
        if operation != "renew":
            return await run(operation, job_id, owner)
        renewing.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await left.wait()
        told.set()
        return 0

    monkeypatch.setattr(held, "_run", swallowing)
    async with held.held(JOB):
        await renewing.wait()
    left.set()
    await told.wait()
    await asyncio.sleep(0)  # would be cancelled


async def test_it_is_renewed_for_as_long_as_the_work_takes(redis_client: Redis) -> None:
    async with Leases(redis_client, ttl_seconds=600, seconds=0.2).held(JOB) as token, asyncio.timeout(10):
        first = int(await redis_client.hget(lease_key(JOB), "expires_ms") or 0)
        while int(await redis_client.hget(lease_key(JOB), "expires_ms") or 0) < first + 400:
            assert await redis_client.hget(lease_key(JOB), "token") == str(token).encode()


async def test_a_cancelled_holder_lets_it_go(redis_client: Redis) -> None:
    clock, begun = Clock(), asyncio.Event()

    async def work() -> None:
        async with leases(redis_client, clock).held(JOB):
            begun.set()
            await asyncio.Event().wait()

    worker = asyncio.create_task(work())
    await begun.wait()
    worker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await worker
    async with leases(redis_client, clock).held(JOB):
        pass


async def test_a_checkpoint_of_an_older_token_is_refused(redis_client: Redis) -> None:
    store, name = Store(redis_client, 600), member("", "1")
    async with leases(redis_client, Clock()).held(JOB) as old:
        await store.put(Run(JOB, old), name, [], b"body", [])
    async with leases(redis_client, Clock()).held(JOB) as new:
        with pytest.raises(Fenced, match="another process has taken over job-lease"):
            await store.put(Run(JOB, old), member("", "2"), [], b"late", [])
        with pytest.raises(Fenced):
            await store.put_writes(Run(JOB, old), name, "task", {0: b"late"})
        assert await store.members(JOB) == [name]
        assert (await store.read(JOB, [name]))[0][3] in (b"", None)
        await store.put(Run(JOB, new), member("", "3"), [], b"body", [])


async def test_money_of_an_older_token_is_refused_but_a_call_it_made_is_settled(redis_client: Redis) -> None:
    ledger = Ledger(redis_client, ttl_seconds=600)
    old, new = account(job=JOB, fence=1), account(job=JOB, fence=2)
    await ledger.reserve("made before", old, 100, expires_in_s=60)
    await ledger.fence(JOB, 2)
    with pytest.raises(Fenced, match="spends nothing more"):
        await ledger.reserve("late", old, 100, expires_in_s=60)
    with pytest.raises(Fenced):
        await ledger.count_tool_call(old)
    with pytest.raises(Fenced):
        await ledger.count(JOB, steps=1, fence=1)
    with pytest.raises(Fenced):
        await ledger.fence(JOB, 1)
    await ledger.settle("made before", 40)
    await ledger.reserve("of the new one", new, 100, expires_in_s=60)
    spend = await ledger.spend(JOB)
    assert (spend.micro_usd, spend.reserved_micro_usd, spend.model_calls, spend.tool_calls) == (40, 100, 2, 0)
    assert spend.steps == 0


async def test_the_stores_fence_on_every_kind_of_server(client: Client) -> None:
    await client.hset(lease_key(JOB), mapping={"token": 2})
    await client.expire(lease_key(JOB), 600)
    with pytest.raises(Fenced):
        await Store(client, 600).put(Run(JOB, 1), member("", "1"), [], b"body", [])
    ledger = Ledger(client, ttl_seconds=600)
    await ledger.fence(JOB, 2)
    with pytest.raises(Fenced):
        await ledger.reserve("late", account(job=JOB, fence=1), 1, expires_in_s=1)

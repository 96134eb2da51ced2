"""The registry: which jobs there are, entered once, whatever dies in between."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ResponseError

import app.work.registry as module
from app.errors import DecisionRefused, IdempotencyKeyReused, NoSuchJob, QueueFull, TakenOver
from app.jobs.lease import Leases
from app.jobs.records import Record, Records, record_key
from app.work.queue import JOBS, Queue, Worker
from app.work.registry import Registry
from graphs.spending.limits import Limits
from tests.examples import at_most

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TTL = 600


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def job(number: int, at: datetime = NOW) -> str:
    return f"job-{at:%Y%m%d-%H%M%S}-{number:010x}"


def record(job_id: str = job(1), tenant: str = "acme") -> Record:
    return Record(
        job_id=job_id,
        question="Why?",
        tenant=tenant,
        limits=Limits(),
        status="queued",
        created_at=NOW,
        updated_at=NOW,
        metadata={"ünï": [1, None, "\u2028"]},
    )


async def queued(client: Redis) -> list[str]:
    """Takes all jobs that are in the queue."""
    taken = await Queue(client, JOBS, ttl_seconds=TTL).take(Worker("test", 101, 100, 60), 100)
    return [each.name for each in taken.calls]


async def test_of_many_orders_under_one_key_one_counts(redis_client: Redis) -> None:
    registry = Registry(redis_client, ttl_seconds=TTL, now=Clock())
    entered = await asyncio.gather(*(registry.enter("acme", job(n), "key", b"order") for n in range(20)))
    assert len(set(entered)) == 1
    assert await registry.listed("acme", None, 100) == [entered[0]]
    assert await queued(redis_client) == [entered[0]]


async def test_an_order_that_the_store_refused_can_be_made_again(redis_client: Redis, redis_url: str) -> None:
    admin: Any = redis_client
    script = (Path(module.__file__).with_suffix(".lua")).read_text(encoding="utf-8")
    await admin.execute_command("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all")
    async with Redis.from_url(redis_url.replace("unix://", "unix://app:secret@")) as client:
        registry = Registry(client, ttl_seconds=TTL, now=Clock())
        for number, command in enumerate(sorted(set(re.findall(r"(?:call\(|\{ )'([A-Z]+)'", script)))):
            await admin.execute_command("ACL", "SETUSER", "app", f"-{command}")
            with pytest.raises(ResponseError):
                await registry.enter("acme", job(2 * number), command, b"order")
            await admin.execute_command("ACL", "SETUSER", "app", f"+{command}")
            assert await registry.enter("acme", job(2 * number + 1), command, b"order") == job(2 * number + 1)
    await admin.execute_command("ACL", "DELUSER", "app")
    listed = await Registry(redis_client, ttl_seconds=TTL).listed("acme", None, 100)
    assert listed
    assert all(int(each[-2:], 16) % 2 for each in listed), "only what was accepted is there"


async def test_another_order_under_the_same_key_is_refused(redis_client: Redis) -> None:
    registry = Registry(redis_client, ttl_seconds=TTL, now=Clock())
    await registry.enter("acme", job(1), "key", b"order")
    with pytest.raises(IdempotencyKeyReused, match=rf"another job before \({job(1)}\)"):
        await registry.enter("acme", job(2), "key", b"other")
    assert await registry.enter("umbrella", job(3), "key", b"other") == job(3)
    assert await registry.enter("acme", job(4), "another key", b"other") == job(4)
    assert await registry.listed("acme", None, 100) == [job(4), job(1)]


async def test_without_a_key_every_order_is_a_new_one(redis_client: Redis) -> None:
    registry = Registry(redis_client, ttl_seconds=TTL, now=Clock())
    for number in range(3):
        assert await registry.enter("acme", job(number), None, b"order") == job(number)
    assert len(await registry.listed("acme", None, 100)) == 3


async def test_a_command_that_is_sent_twice_enters_once(redis_client: Redis) -> None:
    registry = Registry(redis_client, ttl_seconds=TTL, now=Clock())
    for _ in range(2):
        assert await registry.enter("acme", job(1), "key", b"order") == job(1)
    assert await registry.listed("acme", None, 100) == [job(1)]
    assert await queued(redis_client) == [job(1)]


@settings(max_examples=at_most(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbers=st.lists(st.integers(0, 2**40 - 1), unique=True, max_size=40), page=st.integers(1, 9), late=st.booleans()
)
async def test_all_pages_together_are_all_jobs_once(
    redis_client: Redis, numbers: list[int], page: int, late: bool
) -> None:
    await redis_client.flushall()
    registry = Registry(redis_client, ttl_seconds=TTL, now=Clock())
    for number in numbers:
        await registry.enter("acme", job(number))
    seen: list[str] = []
    before = None
    while ids := await registry.listed("acme", before, page):
        seen += ids
        before = ids[-1]
        if late:  # a new one does not push another out of its page
            await registry.enter("acme", job(len(seen), NOW + timedelta(seconds=len(seen))))
    assert seen == sorted(map(job, numbers), reverse=True)


async def test_jobs_whose_state_is_gone_are_not_listed(redis_client: Redis) -> None:
    clock = Clock()
    registry = Registry(redis_client, ttl_seconds=TTL, now=clock)
    await registry.enter("acme", job(1))
    clock.now += timedelta(seconds=TTL + 1)
    await registry.enter("acme", job(2, clock.now))
    assert await registry.listed("acme", None, 10) == [job(2, clock.now)]


async def test_of_one_tenants_jobs_only_so_many_wait(redis_client: Redis) -> None:
    registry = Registry(redis_client, ttl_seconds=TTL, most_waiting=2, now=Clock())
    for number in range(2):
        await registry.enter("acme", job(number), f"key {number}", b"order")
    with pytest.raises(QueueFull, match="2 of your jobs are waiting"):
        await registry.enter("acme", job(2), "key 2", b"order")
    assert await registry.enter("acme", job(3), "key 1", b"order") == job(1), "a repetition is no new job"
    assert await registry.enter("acme", job(1), "key 1", b"order") == job(1), "the same command, sent again"
    assert await registry.enter("umbrella", job(4), "key 2", b"order") == job(4)
    assert await registry.listed("acme", None, 10) == [job(1), job(0)]
    assert sorted(await queued(redis_client)) == [job(0), job(1), job(4)]
    assert await registry.enter("acme", job(5), "key 2", b"order") == job(5), "the key that was refused stands for none"


async def test_a_record_is_what_was_written(redis_client: Redis) -> None:
    records = Records(redis_client, ttl_seconds=TTL, now=Clock())
    await records.add(record())
    await records.write(job(1), {"status": "running", "attempts": 2, "last_error": "x"})
    await records.write(job(1), {"last_error": None})
    expected = record().model_copy(update={"status": "running", "attempts": 2})
    assert await records.get(job(1)) == expected
    assert await records.many([job(9), job(1)]) == [expected]


async def test_a_record_that_is_gone_is_not_begun_anew(redis_client: Redis) -> None:
    records = Records(redis_client, ttl_seconds=TTL)
    with pytest.raises(NoSuchJob, match=job(1)):
        await records.get(job(1))
    with pytest.raises(NoSuchJob):
        await records.write(job(1), {"status": "completed"})
    assert not await redis_client.exists(record_key(job(1)))


async def test_of_two_who_change_a_status_one_is_refused(redis_client: Redis) -> None:
    records = Records(redis_client, ttl_seconds=TTL)
    await records.add(record().model_copy(update={"status": "dead"}))
    changes = [records.write(job(1), {"status": each}, expected="dead") for each in ("queued", "failed")]
    outcomes = await asyncio.gather(*changes, return_exceptions=True)
    assert [type(each) for each in outcomes].count(DecisionRefused) == 1
    assert (await records.get(job(1))).status in {"queued", "failed"}


async def test_who_has_lost_the_lease_writes_no_record(redis_client: Redis) -> None:
    records = Records(redis_client, ttl_seconds=TTL)
    await records.add(record())
    leases = Leases(redis_client, ttl_seconds=TTL)
    async with leases.held(job(1)) as old:
        await records.write(job(1), {"status": "running"}, fence=old)
    async with leases.held(job(1)) as new:
        with pytest.raises(TakenOver, match="another process has taken over"):
            await records.write(job(1), {"status": "failed"}, fence=old)
        await records.write(job(1), {"status": "completed"}, fence=new)
    assert (await records.get(job(1))).status == "completed"

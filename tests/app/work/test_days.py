"""A day's budget that is used up: jobs wait for the next day or for a larger budget, and nothing fails."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from openai import DefaultAsyncHttpxClient
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from app.access.audit import trail
from app.config.settings import Settings
from app.errors import NoBudgetToday
from app.jobs.events import EventLog
from app.jobs.jobs import Jobs
from app.jobs.records import Record, Records
from app.jobs.reports import ReportFolder
from app.running.processes import Addresses
from app.running.runtime import dependencies
from app.work.metrics import job_metrics
from app.work.queue import JOBS, WEBHOOKS, Call, Queue, Worker
from app.work.registry import Registry
from app.work.service import Service
from app.work.worker import Work
from graphs.checkpoint.saver import RedisSaver
from graphs.research import build_research_graph
from graphs.tools.gateway import ToolGateway
from tests.app.queued import QUESTION, deployment, ended, order, submitted
from tests.chaos.soundness import assert_sound


@pytest.mark.slow
async def test_a_day_that_runs_out_under_fifty_jobs_fails_none_and_all_complete_after_a_raise(
    tmp_path: Path, addresses: Addresses
) -> None:
    places: dict[str, Any] = {"TOLLGATE_WORKER_JOBS": "8", "TOLLGATE_TENANT_JOBS": "8"}
    with deployment(tmp_path, servers=addresses.servers) as here:
        async with here.service() as service:
            ledger = service.deps.ledger
            wanted = [order(here.settings, tenant=f"tenant{each % 5}", answer_tokens=600) for each in range(50)]
            jobs = [(await submitted(service, each, f"key-{at}"))[0].job_id for at, each in enumerate(wanted)]
            await ledger.allow_today(20_000)
            with here.worker(**places), here.worker(**places):
                before = await standing(service, jobs, "suspended", "completed")
                assert (await ledger.spent_today("tenant0")).deployment.micro_usd <= 20_000
                assert (await service.sizes())["jobs_suspended"] == sum(each.status == "suspended" for each in before)
                with pytest.raises(NoBudgetToday, match=r"budget for today is used up; it begins anew at .* 00:00 UTC"):
                    await submitted(service, order(here.settings))
                assert (await submitted(service, wanted[0], "key-0"))[0].job_id == jobs[0], "it was accepted before"
                await ledger.allow_today(10_000_000)
                done = [await ended(service, each) for each in jobs]
            await assert_sound(here, service, jobs)
            spent = [await ledger.spend(each) for each in jobs]
    told = {each.result["stop_reason"] for each in before if each.result and each.status == "suspended"}
    assert {"deployment_day_budget"} <= told <= {"tenant_day_budget", "deployment_day_budget"}
    assert {each.status for each in done} == {"completed"}
    assert max(each.micro_usd for each in spent) <= here.settings.limits.budget_micro_usd
    # On a busy machine a worker may lose a lease, and with it a call.
    whole = [
        (job.attempts, each.model_calls) for job, each in zip(done, spent, strict=True) if not each.estimated_micro_usd
    ]
    assert {attempts for attempts, _ in whole} == {1}
    assert len({calls for _, calls in whole}) == 1, "nothing was paid for twice"


async def test_a_suspended_job_goes_on_the_next_day_with_the_time_it_had_left(
    settings: Settings, addresses: Addresses, redis_client: Redis
) -> None:
    clock = Clock(datetime(2026, 11, 30, 23, tzinfo=UTC))
    async with working(settings, addresses, redis_client, clock) as work:
        limits = settings.limits.model_copy(update={"deadline_s": 60, "answer_tokens": 600})
        call = Call("acme", await work.jobs.create(QUESTION, limits, "acme"))

        async def look() -> tuple[str, int, int, int]:
            record, sizes = await work.records.get(call.name), await work.queue.sizes()
            return record.status, record.attempts, sizes.suspended, sizes.waiting

        async def run() -> float | None:
            (taken,) = (await work.queue.take(WORKER, 1)).calls
            again_s = await work.run(taken)
            await work.queue.done(WORKER, taken, again_s)
            return again_s

        await work.queue.put(call)
        await work.deps.ledger.allow_today(1_500, "acme")  # pays for the plan
        assert await run() == pytest.approx(3601, abs=1)
        spent = await work.deps.ledger.spend(call.name)
        assert spent.model_calls == 1
        assert await look() == ("suspended", 0, 1, 0)
        last = await EventLog(redis_client, ttl_seconds=60).last(call.name)
        assert last
        assert last.data["stop_detail"].endswith("is used up; it begins anew at 2026-12-01 00:00 UTC")
        await work.wake()
        assert await look() == ("suspended", 0, 1, 0)
        kept = [each async for each in redis_client.scan_iter(match=f"*{call.name}*") if b":events" not in each]
        for each in kept:
            await redis_client.expire(each, 60)
        await work.queue.put(call)  # whoever wakes it too early
        assert await run() == pytest.approx(3601, abs=1)
        assert min([await redis_client.ttl(each) for each in kept]) > 86_400, "what waits is kept"
        assert await work.deps.ledger.spend(call.name) == spent
        clock.now += timedelta(hours=1)
        await work.wake()
        assert await look() == ("suspended", 0, 0, 1)
        assert await run() is None
        assert await look() == ("completed", 1, 0, 0)
        record = await work.records.get(call.name)
    await redis_client.delete("tollgate:{audit}:log")  # whose entries leave by age
    assert record.waited_s == pytest.approx(3600, abs=1)
    assert record.result
    assert (record.result["stop_reason"], record.result["resumes_at"]) == ("answered", None)


@dataclass
class Clock:
    """The time is what the test says it is."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


WORKER = Worker("test", 1, 1, 60)


@contextlib.asynccontextmanager
async def working(
    settings: Settings, addresses: Addresses, client: Redis, clock: Clock, metrics: CollectorRegistry | None = None
) -> AsyncIterator[Work]:
    """A worker in this process, by this clock."""
    ttl = settings.ttl_seconds
    async with ToolGateway(addresses.servers) as gateway, DefaultAsyncHttpxClient() as http:
        deps = dependencies(settings, addresses.model, http, gateway, client, clock)
        graph = build_research_graph(deps, RedisSaver(client, ttl_seconds=ttl))
        reports = ReportFolder(settings.data_dir / "reports", deps.evidence, ttl_seconds=ttl)
        jobs, records = Jobs(graph, deps, client, reports, ttl_seconds=ttl), Records(client, ttl_seconds=ttl)
        queue, calls = (Queue(client, prefix, ttl_seconds=ttl) for prefix in (JOBS, WEBHOOKS))
        counted = job_metrics(metrics or CollectorRegistry(), deps)
        registry, audit, here = Registry(client, ttl_seconds=ttl), trail(settings, client), cast("Any", None)
        yield Work(jobs, records, registry, queue, calls, deps, audit, 3, None, 1, here, counted)


async def standing(service: Service, jobs: list[str], *statuses: str) -> list[Record]:
    """The records of these jobs, when each has one of these statuses."""
    until = time.monotonic() + 60
    while True:
        found = await service.records.many(jobs)
        if {each.status for each in found} <= set(statuses):
            return [await service.records.get(each) for each in jobs]
        assert time.monotonic() < until, [each.status for each in found]
        await asyncio.sleep(0.1)

"""Workers that die, freeze or are replaced in the middle of a job. All are real programs and real signals."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from app.jobs.states import TERMINAL
from app.running.processes import Addresses
from app.stand_in.faults import PROFILES
from app.work.service import Service
from tests.app.queued import LONG, deployment, ended, order, stopped, submitted
from tests.chaos.soundness import assert_sound

pytestmark = pytest.mark.slow


async def position(service: Service, job_id: str) -> str:
    """The id of the job's newest checkpoint."""
    snapshot = await service.jobs.snapshot(job_id)
    return str(snapshot.config["configurable"].get("checkpoint_id", ""))


async def moved(service: Service, job_id: str, since: str, seconds: float = 30) -> bool:
    """Wait for a checkpoint after this one; False when the job has ended first."""
    until = time.monotonic() + seconds
    while await position(service, job_id) == since:
        if (await service.records.get(job_id)).status in TERMINAL:
            return False
        assert time.monotonic() < until, "no superstep has ended"
        await asyncio.sleep(0.01)
    return True


async def test_killed_after_every_superstep_a_job_ends_as_if_nothing_had_been(
    tmp_path: Path, addresses: Addresses, lives: int
) -> None:
    with deployment(tmp_path, servers=addresses.servers) as here:
        async with here.service() as service:
            job_id = (await submitted(service, order(here.settings, LONG)))[0].job_id
            for _ in range(lives):
                since = await position(service, job_id)
                with here.worker(signal.SIGKILL) as process:
                    on = await moved(service, job_id, since)
                    os.kill(process.pid, signal.SIGKILL)
                if not on:
                    break
            with here.worker():
                record = await ended(service, job_id)
            await assert_sound(here, service, [job_id])
    assert (record.status, record.attempts) == ("completed", 1)


async def test_a_worker_that_was_frozen_past_its_lease_writes_nothing_when_it_thaws(
    tmp_path: Path, addresses: Addresses
) -> None:
    with deployment(tmp_path, servers=addresses.servers) as here:
        async with here.service() as service:
            job_id = (await submitted(service, order(here.settings, LONG)))[0].job_id
            with here.worker() as frozen:
                assert await moved(service, job_id, "")
                os.kill(frozen.pid, signal.SIGSTOP)
                with here.worker():
                    await ended(service, job_id)
                    before = (await service.records.get(job_id), await service.log.read(job_id, most=5000))
                    spent = await service.deps.ledger.spend(job_id)
                    os.kill(frozen.pid, signal.SIGCONT)
                    again = (await submitted(service, order(here.settings)))[0].job_id
                    await ended(service, again)
                assert stopped(frozen) == 0, "it goes on as a worker"
            assert (await service.records.get(job_id), await service.log.read(job_id, most=5000)) == before
            assert (await service.deps.ledger.spend(job_id)).steps == spent.steps
            await assert_sound(here, service, [job_id, again])


async def test_a_job_that_kills_its_worker_each_time_is_a_dead_letter(tmp_path: Path, addresses: Addresses) -> None:
    # A model that never answers holds the job at one place, where the worker is killed each time.
    with (
        deployment(tmp_path, PROFILES["hang"], addresses.servers) as poisoned,
        deployment(tmp_path, servers=addresses.servers, redis_url=poisoned.redis_url) as cured,
    ):
        async with poisoned.service() as service:
            job_id = (await submitted(service, order(poisoned.settings)))[0].job_id
            for attempt in range(1, 5):  # the first gets as far as to the model, three more no further
                with poisoned.worker(signal.SIGKILL) as process:
                    await begun(service, job_id, attempt)
                    os.kill(process.pid, signal.SIGKILL)
            with cured.worker():
                dead = await ended(service, job_id)
                assert (dead.status, [each.job_id for each in await service.dead("acme")]) == ("dead", [job_id])
                assert await service.dead("another") == []
                await service.requeue("acme", job_id)
                record = await ended(service, job_id)
            assert await service.dead("acme") == []
    assert record.status == "completed"


async def begun(service: Service, job_id: str, attempt: int) -> None:
    """Wait until the job waits for the model, in this run of it."""
    until = time.monotonic() + 30
    while await runs(service, job_id) < attempt or not (await service.deps.ledger.spend(job_id)).reserved_micro_usd:
        assert time.monotonic() < until, "it was not begun again"
        await asyncio.sleep(0.02)


async def runs(service: Service, job_id: str) -> int:
    """How often the job was begun."""
    events = await service.log.read(job_id, most=1000)
    return sum(each.type == "job" and each.data["status"] == "running" for each in events)


async def test_two_workers_are_replaced_one_after_the_other_under_load(tmp_path: Path, addresses: Addresses) -> None:
    with deployment(tmp_path, servers=addresses.servers) as here:
        async with here.service() as service:
            jobs = [(await submitted(service, order(here.settings, tenant=f"t{at % 3}")))[0].job_id for at in range(12)]
            with contextlib.ExitStack() as stack:
                workers = [stack.enter_context(here.worker()) for _ in range(2)]
                for old in workers:
                    stack.enter_context(here.worker())
                    assert stopped(old) == 0
                records = [await ended(service, job_id, 120) for job_id in jobs]
            await assert_sound(here, service, jobs)
            assert (await service.sizes())["jobs_waiting"] == 0
    assert {record.status for record in records} == {"completed"}


@pytest.fixture
def lives(pytestconfig: pytest.Config) -> int:
    """How many workers a job outlives: every one of its supersteps in `make chaos`."""
    return 100 if pytestconfig.getoption("--all-chaos") else 4

"""What is asked for over HTTP, with a real worker behind it."""

import asyncio
import dataclasses
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.errors import GraphRecursionError
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.errors import BadInput, DecisionRefused, IdempotencyKeyReused, NoSuchJob
from app.jobs.driver import Driver
from app.jobs.jobs import Jobs
from app.running.processes import Addresses
from app.stand_in.faults import PROFILES
from graphs.checkpoint.saver import UnsupportedValueError as Unsupported
from graphs.errors import INTERNAL, STORE, LedgerUnavailable
from graphs.redis.failures import STORE_FAILED
from graphs.state import SCHEMA_VERSION
from tests.app.left_behind import files_of, keys_of
from tests.app.queued import WAITS, deployment, ended, order, stopped, submitted, told
from tests.chaos.soundness import assert_sound
from tests.graphs.insides import INSIDES


@pytest.mark.slow
async def test_a_job_that_was_entered_is_run_whatever_became_of_the_queue(tmp_path: Path, addresses: Addresses) -> None:
    with deployment(tmp_path, servers=addresses.servers) as here:
        async with here.service() as service:
            accepted = order(here.settings)
            recorded = await service.jobs.create(accepted.question, accepted.limits, "acme")  # and died
            entered = await service.jobs.create(accepted.question, accepted.limits, "acme")
            await service.registry.enter("acme", entered)
            lost = (await submitted(service, order(here.settings)))[0].job_id
            newer = await service.jobs.create(accepted.question, accepted.limits, "acme")
            await service.registry.enter("acme", newer)
            await service.records.write(newer, {"status": "completed", "limits": {"of a later version": 1}})
            await service.client.delete("tollgate:{jobs}:queue:of:acme")  # as in a queue of an older version
            with here.worker():
                assert (await ended(service, entered)).status == "completed"
                assert (await ended(service, lost)).status == "completed"
            assert (await service.records.get(recorded)).status == "queued"
            await service.records.remove(newer)
            assert {each.job_id for each in (await service.listed("acme"))[0]} == {lost, entered}
            assert (await service.sizes())["jobs_waiting"] == 0
            await assert_sound(here, service, [entered, lost])


async def test_of_another_tenants_job_nothing_is_known(tmp_path: Path) -> None:
    with deployment(tmp_path) as here:
        async with here.service() as service:
            job_id = (await submitted(service, order(here.settings)))[0].job_id
            for asked in (
                service.get("other", job_id),
                service.cancel("other", job_id),
                service.decide("other", job_id, {"action": "abort"}, None, "x"),
                service.requeue("other", job_id),
                service.discard("other", job_id),
            ):
                with pytest.raises(NoSuchJob, match=f"there is no job {job_id}"):
                    await asked
            assert await service.listed("other") == ([], None)


async def test_an_order_is_checked_before_it_is_accepted(tmp_path: Path) -> None:
    with deployment(tmp_path) as here:
        async with here.service() as service:
            with pytest.raises(BadInput, match=r"above the USD 1\.00 that this deployment allows"):
                await submitted(service, order(here.settings, budget_micro_usd=1_000_001))
            assert await service.listed("acme") == ([], None)


async def test_listing_by_status_finds_all_and_pages(tmp_path: Path) -> None:
    with deployment(tmp_path) as here:
        async with here.service() as service:
            jobs = [(await submitted(service, order(here.settings)))[0].job_id for _ in range(7)]
            for job_id in jobs[::2]:
                await service.records.write(job_id, {"status": "failed"})
            found: list[str] = []
            before = None
            while True:
                page, before = await service.listed("acme", status="failed", before=before, most=2)
                found += [each.job_id for each in page]
                if before is None:
                    break
            assert sorted(found) == sorted(jobs[::2])


@pytest.mark.slow
async def test_jobs_are_cancelled_wherever_they_stand(tmp_path: Path, addresses: Addresses) -> None:
    with deployment(tmp_path, servers=addresses.servers) as here:
        async with here.service() as service:
            queued = (await submitted(service, order(here.settings)))[0].job_id
            await service.cancel("acme", queued)
            with here.worker():
                assert (await ended(service, queued)).status == "cancelled"
                waiting = (await submitted(service, order(here.settings, budget_micro_usd=10)))[0].job_id
                assert (await ended(service, waiting, also=WAITS)).status == "awaiting_human"
                await service.cancel("acme", waiting)
                assert (await ended(service, waiting)).status == "cancelled"
                done = await ended(service, (await submitted(service, order(here.settings)))[0].job_id)
            with pytest.raises(DecisionRefused, match="has already ended; its status is completed"):
                await service.cancel("acme", done.job_id)
            record = await service.records.get(queued)
            assert record.result
            assert (record.result["stop_reason"], record.result["model_calls"]) == ("cancelled", 0)
            await assert_sound(here, service, [queued, waiting, done.job_id])


async def test_a_refused_request_wakes_nobody_and_leaves_nothing(tmp_path: Path) -> None:
    with deployment(tmp_path) as here:
        async with here.service() as service:
            job_id = (await submitted(service, order(here.settings), "key", b"one"))[0].job_id
            with pytest.raises(IdempotencyKeyReused):
                await submitted(service, order(here.settings), "key", b"two")
            await service.records.write(job_id, {"status": "failed"})
            with pytest.raises(DecisionRefused):
                await service.cancel("acme", job_id)
            with pytest.raises(DecisionRefused):
                await service.decide("acme", job_id, {"action": "abort"}, None, "test")
            assert (await service.sizes())["jobs_waiting"] == 1, "as it was"
            records = [key async for key in service.client.scan_iter("tollgate:{job-*}:job")]
            assert len(records) == 1


@pytest.mark.slow
async def test_of_a_deleted_job_only_what_it_cost_is_left(tmp_path: Path, addresses: Addresses) -> None:
    with deployment(tmp_path, servers=addresses.servers) as here:
        async with here.service() as service:
            job_id = (await submitted(service, order(here.settings), "key", b"?"))[0].job_id
            with here.worker():
                await ended(service, job_id)
            ledger = service.deps.ledger
            used, today = await ledger.spend(job_id), await ledger.spent_today("acme")
            assert used.micro_usd
            assert files_of(tmp_path, job_id)
            assert await keys_of(service.client, job_id)
            await service.delete("acme", job_id)
            assert await keys_of(service.client, job_id) == set()
            assert files_of(tmp_path, job_id) == []
            assert (await ledger.spend(job_id), await ledger.spent_today("acme")) == (used, today)


@pytest.mark.slow
async def test_a_running_job_is_cancelled_at_its_next_step(tmp_path: Path, addresses: Addresses) -> None:
    with deployment(tmp_path, PROFILES["clarify"], addresses.servers) as here:
        async with here.service() as service:
            job_id = (await submitted(service, order(here.settings)))[0].job_id
            with here.worker(TOLLGATE_STAND_IN_LATENCY_MS="0"):
                await told(service, job_id, "task_started")
                await service.cancel("acme", job_id)
                record = await ended(service, job_id)
            assert record.status == "cancelled"
            await assert_sound(here, service, [job_id])


@pytest.mark.slow
async def test_a_question_is_decided_or_finished_when_nobody_answers(tmp_path: Path, addresses: Addresses) -> None:
    with deployment(tmp_path, servers=addresses.servers) as here:
        async with here.service() as service:
            with here.worker():
                decided, unanswered = [
                    (await submitted(service, order(here.settings, budget_micro_usd=10, decision_s=seconds)))[0].job_id
                    for seconds in (600, 1)
                ]
                assert (await ended(service, decided, also=WAITS)).status == "awaiting_human"
                answer = {"action": "approve_more", "amount_usd": 0.2}
                sent = await asyncio.gather(
                    *(service.decide("acme", decided, answer, None, who) for who in ("a", "b")), return_exceptions=True
                )
                assert [type(each) for each in sent].count(DecisionRefused) == 1
                records = [await ended(service, each) for each in (decided, unanswered)]
            assert [each.status for each in records] == ["completed", "partial"]
            assert records[1].result
            assert records[1].result["stop_reason"] == "no_decision_in_time"
            await assert_sound(here, service, [decided, unanswered])


async def test_a_job_of_another_version_is_left_as_it_is(
    tmp_path: Path, addresses: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    with deployment(tmp_path, servers=addresses.servers) as here:
        async with here.service() as service:
            job_id = (await submitted(service, order(here.settings, budget_micro_usd=10)))[0].job_id
            with here.worker():
                await ended(service, job_id, also=WAITS)
            before = await service.jobs.snapshot(job_id)
            monkeypatch.setattr("app.jobs.driver.SCHEMA_VERSION", 1000)
            with pytest.raises(BadInput, match="resume it with the version that started it"):
                await service.jobs.run(job_id, lambda _: None)
            result = await service.jobs.run(job_id, lambda _: None, attempts=3)
            assert (result.status, result.stop_reason) == ("dead", "dead_letter")
            left = f"its state has version {SCHEMA_VERSION}, and this program reads 1000; requeue it while"
            assert left in (result.stop_detail or "")
            assert await service.jobs.snapshot(job_id) == before


class Breaking:
    """A graph whose runs end with this error."""

    def __init__(self, graph: Any, error: Exception) -> None:
        self._graph, self._error = graph, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._graph, name)

    async def astream(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        for event in [{"type": "step"}]:
            if self._error:
                raise self._error
            yield event


def broken(jobs: Jobs, error: Exception) -> Driver:
    """The driver of jobs whose graph breaks with this error."""
    graph: Any = Breaking(jobs.graph, error)
    return dataclasses.replace(jobs._driver, kept=dataclasses.replace(jobs._driver.kept, graph=graph))


def ledger_away() -> LedgerUnavailable:
    error = LedgerUnavailable("gone")
    error.__cause__ = RedisTimeoutError("gone")
    return error


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (NoConnection("gone"), False),
        (ledger_away(), False),
        (ResponseError("wrong type"), True),
        (KeyError("x"), True),
        (Unsupported("channel 'x'"), True),
    ],
)
async def test_a_run_that_the_store_ended_is_no_attempt_of_the_job(
    tmp_path: Path, error: Exception, counts: bool
) -> None:
    with deployment(tmp_path) as here:
        async with here.service() as service:
            job_id = (await submitted(service, order(here.settings)))[0].job_id
            service.jobs._driver = broken(service.jobs, error)
            for number in range(1, 4):
                with pytest.raises(type(error)):
                    await service.jobs.run(job_id, lambda _: None, attempts=3)
                record = await service.records.get(job_id)
                assert record.attempts == (number if counts else 0)
                assert type(error).__name__ in (record.last_error or "")
            if counts:
                dead = await service.jobs.run(job_id, lambda _: None, attempts=3)
                assert (dead.status, dead.stop_detail) == (
                    "dead",
                    STORE if isinstance(error, STORE_FAILED) else INTERNAL,
                )


async def test_langgraphs_own_limit_is_told_as_ours(tmp_path: Path) -> None:
    told: list[Any] = []
    with deployment(tmp_path) as here:
        async with here.service() as service:
            job_id = (await submitted(service, order(here.settings)))[0].job_id
            service.jobs._driver = broken(service.jobs, GraphRecursionError("Recursion limit of 100 reached"))
            result = await service.jobs.run(job_id, told.append, attempts=3)
    assert result.stop_reason == "step_limit"
    assert {"type": "warning", "message": "the limit of graph steps is reached"} in told
    assert INSIDES.search(f"{told}{result}") is None


@pytest.mark.slow
async def test_a_worker_told_to_stop_hands_over_what_it_runs(tmp_path: Path, addresses: Addresses) -> None:
    with deployment(tmp_path, servers=addresses.servers) as here:
        async with here.service() as service:
            job_id = (await submitted(service, order(here.settings)))[0].job_id
            with here.worker() as first:
                await told(service, job_id, "plan")
                assert stopped(first, signal.SIGTERM) == 0
            record = await service.records.get(job_id)
            if record.status == "queued":  # else it was quicker
                assert record.attempts == 0, "being told to stop is no failure"
            with here.worker():
                assert (await ended(service, job_id)).status == "completed"
            await assert_sound(here, service, [job_id])

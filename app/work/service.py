"""The operations behind the HTTP API: submit, read, decide, cancel and delete jobs, and handle dead letters.

Every call names the tenant; another tenant's jobs are invisible to it.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date
from typing import Any

from redis.asyncio import Redis

from app.errors import Busy, DecisionRefused, IdempotencyKeyReused, NoBudgetToday, NoSuchJob, QueueFull
from app.jobs.events import EventLog
from app.jobs.jobs import Jobs
from app.jobs.records import Record, Records
from app.jobs.states import TERMINAL
from app.work.queue import Call, Queue
from app.work.registry import Registry, hashed
from app.work.spending import SpendDocument, Spending, checked_day, spending
from app.work.suggestions import suggestions
from graphs.clock import end_of_day
from graphs.deps import Deps
from graphs.spending.days import told
from graphs.spending.limits import Limits
from graphs.state import Json

NET_S = 2.0  # delay of the call that a worker gets in case this process dies
MOST_LATER = 5000  # delayed calls of all tenants that are looked at
SCANNED, PAGE = 1000, 100  # records scanned for one filtered listing, and per batch
JOBS_READ, EVENTS_READ = 3, 300  # the dearest jobs of a day, and events of each, that suggestions are computed from


@dataclass(frozen=True)
class Submission:
    """A job as submitted, and by whom."""

    question: str
    limits: Limits
    tenant: str
    actor: str
    metadata: dict[str, Any] = field(default_factory=dict)
    webhook_url: str | None = None
    parent: str | None = None


@dataclass(frozen=True)
class Service:
    """The operations on all tenants' jobs."""

    jobs: Jobs
    records: Records
    registry: Registry
    queue: Queue
    log: EventLog
    deps: Deps
    client: Redis

    async def accept(self, submission: Submission, key: str | None = None, body: bytes = b"") -> tuple[Record, bool]:
        """Accept and queue a job, once per idempotency key. Returns the job, and whether it is new.

        Args:
            submission: the job and its submitter.
            key: the request's idempotency key, if any.
            body: the request, to tell a repetition from another request under the same key.

        Raises:
            BadInput: the question or a limit is invalid, or the parent does not pay for the job.
            IdempotencyKeyReused: the key was used for another request.
            NoBudgetToday: the day's budget is used up.
            QueueFull: too many jobs of this tenant are waiting.
            redis.exceptions.RedisError: Redis failed; the job is either fully accepted or not at all. What its parent
                gave it goes back later.
        """
        if key is not None and (before := await self.registry.entered(submission.tenant, key, body)):
            return await self.records.get(before), False
        if closed := await self._closed(submission.tenant):
            raise closed
        record = await self.jobs.submit(**vars(submission), once=hashed(key) if key is not None else "")
        job_id = record.job_id
        try:
            first = await self.registry.enter(submission.tenant, job_id, key, body)
        except (IdempotencyKeyReused, QueueFull):
            await self.jobs.withdraw(record)
            raise
        if first == job_id:
            await self.jobs.accepted(record)
        else:
            await self.jobs.withdraw(record)
            return await self.records.get(first), False
        return record, True

    async def get(self, tenant: str, job_id: str) -> Record:
        """A job of this tenant. Raises NoSuchJob."""
        record = await self.records.get(job_id)
        if record.tenant != tenant:
            raise NoSuchJob(job_id)
        return record

    async def listed(
        self,
        tenant: str,
        *,
        status: str | None = None,
        behaviour_version: str | None = None,
        text: str = "",
        before: str | None = None,
        most: int = 20,
    ) -> tuple[list[Record], str | None]:
        """Jobs of this tenant, newest first, and the start of the next page; None after the last one.

        With `text`, those whose question or id contains it, regardless of case.
        """
        found: list[Record] = []
        for _ in range(SCANNED // PAGE):
            ids = await self.registry.listed(tenant, before, PAGE)
            for record in await self.records.many(ids):
                if (
                    status in {None, record.status}
                    and behaviour_version in {None, record.behaviour_version}
                    and text.casefold() in _words_of(record)
                ):
                    found.append(record)
                    if len(found) == most:
                        return found, None if record.job_id == ids[-1] and len(ids) < PAGE else record.job_id
            if len(ids) < PAGE:
                return found, None
            before = ids[-1]
        return found, before

    async def waiting(self, tenant: str) -> list[Record]:
        """The jobs that wait for a human, the one with the earliest time limit first."""
        found = await self.records.many(await self.queue.later(tenant, MOST_LATER))
        return [each for each in found if each.status == "awaiting_human"]

    async def decide(self, tenant: str, job_id: str, answer: Json, escalation_id: str | None, actor: str) -> Json:
        """Decide about the open escalation, and let a worker continue the job. Returns the complete decision.

        Raises:
            NoSuchJob, BadInput, DecisionRefused: see `Jobs.claim`.
        """
        await self.get(tenant, job_id)
        async with self._waking(tenant, job_id):
            decision = await self.jobs.claim(job_id, answer, escalation_id=escalation_id, actor=actor)
            await self.registry.asks_no_more(job_id)
            return decision

    async def cancel(self, tenant: str, job_id: str) -> None:
        """Ask the job, and those that live on its money, to stop; a worker ends each at its next step.

        Raises:
            NoSuchJob: there is no such job.
            DecisionRefused: it has ended.
        """
        await self.get(tenant, job_id)
        async with self._waking(tenant, job_id):
            await self.jobs.cancel(job_id)
        for child in await self._children(tenant, job_id):
            with contextlib.suppress(DecisionRefused):  # it has ended meanwhile
                await self.cancel(tenant, child)

    async def _children(self, tenant: str, job_id: str) -> list[str]:
        """The jobs with this parent that have not ended, of the newest ones."""
        found, before = list[str](), None
        for _ in range(SCANNED // PAGE):
            ids = await self.registry.listed(tenant, before, PAGE)
            records = await self.records.many(ids)
            found += [each.job_id for each in records if each.parent == job_id and each.status not in TERMINAL]
            if len(ids) < PAGE or ids[-1] < job_id:  # children are newer
                break
            before = ids[-1]
        return found

    async def dead(self, tenant: str) -> list[Record]:
        """The dead letters of this tenant, newest first."""
        found = await self.records.many(await self.registry.dead(tenant))
        return [each for each in found if each.tenant == tenant and each.status == "dead"]

    async def sizes(self) -> dict[str, float]:
        """Counts of waiting, running and dead-lettered jobs of all tenants, and seconds, by metric name."""
        now, (asking, asks_since_s) = await self.queue.sizes(), await self.registry.asking()
        return {
            "jobs_waiting": now.waiting,
            "jobs_running": now.taken,
            "jobs_suspended": now.suspended,
            "worker_places": now.places,
            "queue_oldest_seconds": now.oldest_ms / 1000,
            "dead_letters": await self.registry.dead_letters(),
            "jobs_awaiting_human": asking,
            "awaiting_human_oldest_seconds": asks_since_s,
        }

    async def requeue(self, tenant: str, job_id: str) -> Record:
        """Requeue a dead-lettered job from its last checkpoint.

        Raises:
            NoSuchJob: there is no such job.
            DecisionRefused: it is not dead, or somebody else was first.
        """
        record = await self._dead(tenant, job_id)
        fields = {"status": "queued", "attempts": 0, "result": None, "cancel_at": None, "requeued": record.requeued + 1}
        async with self._waking(tenant, job_id):
            await self.records.write(job_id, fields, expected="dead")
            await self.registry.unbury(tenant, job_id)
            await self.log.append(job_id, [{"type": "job", "job_id": job_id, "status": "queued"}])
        return await self.records.get(job_id)

    async def discard(self, tenant: str, job_id: str) -> Record:
        """Discard a dead-lettered job: it becomes failed.

        Raises:
            NoSuchJob: there is no such job.
            DecisionRefused: it is not dead, or somebody else was first.
        """
        record = await self._dead(tenant, job_id)
        given_up = {"status": "failed", "result": {**(record.result or {}), "status": "failed"}}
        await self.records.write(job_id, given_up, expected="dead")
        await self.registry.unbury(tenant, job_id)
        await self.deps.ledger.give_back(job_id)
        await self.log.append(job_id, [{"type": "job", "job_id": job_id, "status": "failed"}])
        return await self.records.get(job_id)

    async def delete(self, tenant: str, job_id: str) -> None:
        """Delete everything of an ended job but its sums in the ledger. Deleting it once more does nothing.

        Raises:
            NoSuchJob: there is no such job.
            DecisionRefused: it has not ended.
            Busy: a worker has not finished with it yet.
        """
        try:
            record = await self.get(tenant, job_id)
        except NoSuchJob:
            if await self.records.was_deleted(tenant, job_id):
                return
            raise
        if record.status not in TERMINAL:
            raise DecisionRefused(f"{job_id} has not ended; its status is {record.status}; cancel it first")
        if not await self.queue.forget(Call(tenant, job_id)):
            raise Busy(f"a worker has not finished with {job_id} yet; try again in some seconds")
        if record.status == "dead":
            await self.discard(tenant, job_id)  # nobody can requeue it now
        await self.registry.forget(tenant, job_id, record.once)
        await self.jobs.delete(record)

    async def spending(self, tenant: str | None, day: date | None = None) -> Spending:
        """What the tenant, or without one the deployment, has spent on a day (UTC), by default today; on what, and what
        is to be expected.

        Raises:
            BadInput: the day is not kept.
            LedgerUnavailable, redis.exceptions.RedisError: Redis failed.
        """
        now = self.deps.now().astimezone(UTC)
        day = checked_day(day, now.date())
        parts = await self.deps.ledger.parts(day, tenant)
        dearest = [] if tenant is None else list(parts.dearest)
        found = spending(parts, tenant, day, self.deps.limits, now, await self.records.many(dearest))
        told = {job: await self.log.read(job, most=EVENTS_READ) for job in dearest[:JOBS_READ]}
        events = {job: [each.data for each in events] for job, events in told.items()}
        return found.model_copy(update={"suggestions": suggestions(parts, events)})

    async def spend(self, tenant: str, day: date | None = None, *, everybody: bool) -> SpendDocument:
        """The spending of a tenant, and with `everybody` of the deployment. Raises like `spending`."""
        day = checked_day(day, self.deps.now().astimezone(UTC).date())
        deployment = await self.spending(None, day) if everybody else None
        return SpendDocument(day=day, tenant=await self.spending(tenant, day), deployment=deployment)

    @contextlib.asynccontextmanager
    async def _waking(self, tenant: str, job_id: str) -> AsyncIterator[None]:
        """Let a worker continue the job after the block; also, a little later, if this process dies in it or it raises.
        A worker that finds nothing to do changes nothing."""
        await self.queue.put(Call(tenant, job_id), NET_S)
        yield
        await self.queue.put(Call(tenant, job_id))

    async def _closed(self, tenant: str) -> NoBudgetToday | None:
        """Why no new job of this tenant is accepted today, if so."""
        reason = await self.deps.used_up(tenant)
        if reason is None:
            return None
        now = self.deps.now()
        ends = end_of_day(now)
        return NoBudgetToday(told(reason, ends), (ends - now).total_seconds())

    async def _dead(self, tenant: str, job_id: str) -> Record:
        record = await self.get(tenant, job_id)
        if record.status != "dead":
            raise DecisionRefused(f"{job_id} is not dead-lettered; its status is {record.status}")
        return record


def _words_of(record: Record) -> str:
    """What a job can be found by."""
    return f"{record.job_id} {record.behaviour_version} {record.question}".casefold()

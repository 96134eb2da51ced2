"""What can be asked for over HTTP: order jobs, look at them, decide, cancel, and take care of the dead ones.

Every question comes with the tenant who asks: of another tenant's jobs nothing is known, not even that they exist.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from app.errors import DecisionRefused, IdempotencyKeyReused, NoSuchJob, QueueFull
from app.jobs.events import EventLog
from app.jobs.jobs import Jobs
from app.jobs.records import Record, Records
from app.work.queue import Call, Queue
from app.work.registry import Registry
from graphs.deps import Deps
from graphs.spending.limits import Limits
from graphs.state import Json

NET_S = 2.0  # after which a job is looked at by a worker, if we die before we have said that it is to go on
SCANNED, PAGE = 1000, 100  # records that one filtered listing looks at, and of them in one go


@dataclass(frozen=True)
class Submission:
    """What is ordered, by whom."""

    question: str
    limits: Limits
    tenant: str
    actor: str
    metadata: dict[str, Any] = field(default_factory=dict)
    webhook_url: str | None = None


@dataclass(frozen=True)
class Service:
    """The jobs of all tenants."""

    jobs: Jobs
    records: Records
    registry: Registry
    queue: Queue
    log: EventLog
    deps: Deps
    client: Redis

    async def accept(self, order: Submission, key: str | None = None, body: bytes = b"") -> tuple[Record, bool]:
        """Accept a job, once per idempotency key; the job, and whether it is new. It is in the queue then.

        Args:
            order: what is ordered.
            key: the idempotency key of the request.
            body: what was sent, for telling a repetition from another order under the same key.

        Raises:
            BadInput: the question or a limit cannot be accepted.
            IdempotencyKeyReused: another order was made under this key.
            QueueFull: too many jobs of this tenant wait already.
            redis.exceptions.RedisError: Redis does not answer; the job is accepted as a whole or not at all.
        """
        record = await self.jobs.order(
            order.question,
            order.limits,
            order.tenant,
            actor=order.actor,
            metadata=order.metadata,
            webhook_url=order.webhook_url,
        )
        job_id = record.job_id
        try:
            first = await self.registry.enter(order.tenant, job_id, key, body)
        except (IdempotencyKeyReused, QueueFull):
            await self.records.remove(job_id)
            raise
        if first != job_id:
            await self.records.remove(job_id)
            return await self.records.get(first), False
        return record, True

    async def get(self, tenant: str, job_id: str) -> Record:
        """A job of this tenant. Raises NoSuchJob."""
        record = await self.records.get(job_id)
        if record.tenant != tenant:
            raise NoSuchJob(job_id)
        return record

    async def listed(
        self, tenant: str, *, status: str | None = None, before: str | None = None, most: int = 20
    ) -> tuple[list[Record], str | None]:
        """Jobs of this tenant, the newest first, and where the next page begins; None after the last one."""
        found: list[Record] = []
        for _ in range(SCANNED // PAGE):
            ids = await self.registry.listed(tenant, before, PAGE)
            for record in await self.records.many(ids):
                if status in {None, record.status}:
                    found.append(record)
                    if len(found) == most:
                        return found, None if record.job_id == ids[-1] and len(ids) < PAGE else record.job_id
            if len(ids) < PAGE:
                return found, None
            before = ids[-1]
        return found, before

    async def decide(self, tenant: str, job_id: str, answer: Json, escalation_id: str | None, actor: str) -> Json:
        """Answer the open escalation, and let a worker go on with the job. The answer is returned, complete.

        Raises:
            NoSuchJob, BadInput, DecisionRefused: see `Jobs.claim`.
        """
        await self.get(tenant, job_id)
        async with self._waking(tenant, job_id):
            return await self.jobs.claim(job_id, answer, escalation_id=escalation_id, actor=actor)

    async def cancel(self, tenant: str, job_id: str) -> None:
        """Want the job to stop; a worker ends it at its next step.

        Raises:
            NoSuchJob: there is no such job.
            DecisionRefused: it has ended.
        """
        await self.get(tenant, job_id)
        async with self._waking(tenant, job_id):
            await self.jobs.cancel(job_id)

    async def dead(self, tenant: str) -> list[Record]:
        """The dead letters of this tenant, the newest first."""
        found = await self.records.many(await self.registry.dead(tenant))
        return [each for each in found if each.tenant == tenant and each.status == "dead"]

    async def sizes(self) -> dict[str, int]:
        """How much waits, runs and is dead, of all tenants, by the name of its metric."""
        now = await self.queue.sizes()
        return {
            "jobs_waiting": now.waiting,
            "jobs_running": now.taken,
            "worker_places": now.places,
            "dead_letters": await self.registry.dead_letters(),
        }

    async def requeue(self, tenant: str, job_id: str) -> Record:
        """Let a dead job be tried again from where it stands.

        Raises:
            NoSuchJob: there is no such job.
            DecisionRefused: it is not dead, or somebody else was first.
        """
        record = await self._dead(tenant, job_id)
        anew = {"status": "queued", "attempts": 0, "result": None, "cancel_at": None, "requeued": record.requeued + 1}
        async with self._waking(tenant, job_id):
            await self.records.write(job_id, anew, expected="dead")
            await self.registry.unbury(tenant, job_id)
            await self.log.append(job_id, [{"type": "job", "job_id": job_id, "status": "queued"}])
        return await self.records.get(job_id)

    async def discard(self, tenant: str, job_id: str) -> Record:
        """Give a dead job up: it has failed.

        Raises:
            NoSuchJob: there is no such job.
            DecisionRefused: it is not dead, or somebody else was first.
        """
        record = await self._dead(tenant, job_id)
        given_up = {"status": "failed", "result": {**(record.result or {}), "status": "failed"}}
        await self.records.write(job_id, given_up, expected="dead")
        await self.registry.unbury(tenant, job_id)
        await self.log.append(job_id, [{"type": "job", "job_id": job_id, "status": "failed"}])
        return await self.records.get(job_id)

    @contextlib.asynccontextmanager
    async def _waking(self, tenant: str, job_id: str) -> AsyncIterator[None]:
        """Let a worker go on with the job after the block; a while later also when we die in it, or it raises. A worker
        that finds nothing to do changes nothing."""
        await self.queue.put(Call(tenant, job_id), NET_S)
        yield
        await self.queue.put(Call(tenant, job_id))

    async def _dead(self, tenant: str, job_id: str) -> Record:
        record = await self.get(tenant, job_id)
        if record.status != "dead":
            raise DecisionRefused(f"{job_id} is no dead letter; its status is {record.status}")
        return record

"""The record of a job: the submission and its submitter, the status, the result.

One hash per job, beside its checkpoints; each field is JSON. Claims of decisions (`app.jobs.decisions`) are fields too.
`tollgate:{deleted}:jobs` has the ids of deleted jobs by time, and `tollgate:{deleted}:jobs:<tenant>` those of a tenant.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict
from redis.asyncio import Redis

from app.errors import DecisionRefused, NoSuchJob, TakenOver
from app.jobs.states import TERMINAL, Status
from graphs.clock import utc_now
from graphs.redis.fencing import lease_key
from graphs.redis.script import Script
from graphs.spending.limits import Limits
from graphs.state import Json

JOB_ID = r"job-[0-9]{8}-[0-9]{6}-[0-9a-f]{6,12}"
_GONE, _OTHERWISE = -1, -2
_DELETED = "tollgate:{deleted}:jobs"
_WRITE = Script(Path(__file__).with_name("record.lua"))


class Record(BaseModel):
    """A job as submitted, and its status. Times are UTC, ISO 8601.

    `result` is the `JobResult` of the last run that ended or escalated. `attempts` counts runs that began at the
    checkpoint `attempted_at` without progress. `suspended_at` is since when it waits for a new day, and `waited_s` how
    long it has waited before. `cancel_at` is when cancellation was requested. `last_error` is the
    error of the last failed run, for the operator; `last_reason` is what the submitter is told. `notified` is the id of
    the last queued webhook. `parent` is the job or budget whose money this job spends. `once` is the hash of its
    idempotency key. `raised_micro_usd` is the budget that a human has made of the submitted one, or 0. `traceparent` is
    the W3C Trace Context that all runs continue: that of the submission, or else of the first run. `behaviour_version`
    is that of the process that accepted it or ran it last.
    """

    model_config = ConfigDict(frozen=True)

    job_id: str
    question: str
    tenant: str
    limits: Limits
    status: Status
    created_at: datetime
    updated_at: datetime
    actor: str = ""
    metadata: dict[str, Any] = {}
    webhook_url: str | None = None
    parent: str | None = None
    behaviour_version: str | None = None
    suspended_at: datetime | None = None
    waited_s: float = 0
    cancel_at: datetime | None = None
    result: Json | None = None
    attempts: int = 0
    attempted_at: str = ""
    last_error: str = ""
    last_reason: str = ""
    requeued: int = 0
    notified: str = ""
    once: str = ""
    raised_micro_usd: int = 0
    traceparent: str = ""


class Records:
    """All records.

    Args:
        client: the Redis with the records.
        ttl_seconds: how long a record is kept after its last change.
        now: the time, in UTC.
    """

    def __init__(self, client: Redis, *, ttl_seconds: int, now: Callable[[], datetime] = utc_now) -> None:
        self._client = client
        self._ttl = ttl_seconds
        self._now = now

    async def add(self, record: Record) -> None:
        """Store a new record."""
        fields = record.model_dump(mode="json", exclude={"job_id"}, exclude_defaults=True)
        key = record_key(record.job_id)
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.hset(key, mapping={name: json.dumps(value) for name, value in fields.items()})
            pipe.expire(key, self._ttl)
            await pipe.execute()

    async def get(self, job_id: str) -> Record:
        """The record. Raises NoSuchJob."""
        stored = await cast("Awaitable[dict[bytes, bytes]]", self._client.hgetall(record_key(job_id)))
        return _record(job_id, [(name.decode(), value) for name, value in stored.items()])

    async def many(self, job_ids: Sequence[str]) -> list[Record]:
        """The records of these jobs, in this order, without expired ones."""
        names = [name for name in Record.model_fields if name not in {"job_id", "result"}]
        async with self._client.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hmget(record_key(job_id), names)
            rows = await pipe.execute()
        found = [
            (job_id, [(name, value) for name, value in zip(names, row, strict=True) if value is not None])
            for job_id, row in zip(job_ids, rows, strict=True)
        ]
        return [_record(job_id, fields) for job_id, fields in found if fields]

    async def not_ended(self, job_ids: Sequence[str]) -> list[str]:
        """Those of these jobs that have not ended. Reads nothing else of a record, which a later version may have
        written."""
        async with self._client.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hget(record_key(job_id), "status")
            found = await pipe.execute()
        statuses = zip(job_ids, found, strict=True)
        return [job_id for job_id, status in statuses if status and json.loads(status) not in TERMINAL]

    async def gone(self, job_ids: Sequence[str]) -> list[str]:
        """Those of these jobs without a record."""
        async with self._client.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.exists(record_key(job_id))
            found = await pipe.execute()
        return [job_id for job_id, there in zip(job_ids, found, strict=True) if not there]

    async def write(
        self, job_id: str, fields: Json, *, fence: int | None = None, expected: Status | None = None
    ) -> None:
        """Change fields; None deletes one.

        Args:
            job_id: the job.
            fields: values by their names in `Record`.
            fence: the caller's fencing token; without it no check is made.
            expected: the status that it must have before; None for any.

        Raises:
            TakenOver: another process has a higher token.
            DecisionRefused: its status has changed.
            NoSuchJob: there is no record, or it expired.
        """
        told: list[str | int] = []
        for name, value in {**fields, "updated_at": self._now().isoformat()}.items():
            told += [name, "" if value is None else json.dumps(value)]
        keys = [record_key(job_id), lease_key(job_id)]
        wanted = json.dumps(expected) if expected else ""
        token = await _WRITE.run(self._client, keys, "" if fence is None else fence, self._ttl, wanted, *told)
        if token == _GONE:
            raise NoSuchJob(job_id)
        if token == _OTHERWISE:
            raise DecisionRefused(f"{job_id} is no longer {expected}; another request was first")
        if token:
            raise TakenOver(f"another process has taken over {job_id} (token {token}, ours is {fence}); this one stops")

    async def wants_to_stop(self, job_id: str) -> bool:
        """Whether cancellation was requested."""
        return bool(await self._client.hexists(record_key(job_id), "cancel_at"))

    async def remove(self, job_id: str) -> None:
        """Delete a record."""
        await self._client.delete(record_key(job_id))

    async def mark_deleted(self, tenant: str, job_id: str) -> None:
        """Remember that this tenant's job was deleted, for as long as an expired one could have left anything."""
        now = self._now().timestamp()
        async with self._client.pipeline(transaction=True) as pipe:
            for each in (_DELETED, f"{_DELETED}:{tenant}"):
                pipe.zremrangebyscore(each, "-inf", now - self._ttl)
                pipe.zadd(each, {job_id: now})
                pipe.expire(each, self._ttl)
            await pipe.execute()

    async def was_deleted(self, tenant: str, job_id: str) -> bool:
        """Whether this tenant's job was deleted."""
        return await self._client.zscore(f"{_DELETED}:{tenant}", job_id) is not None

    async def deleted(self, within_s: float) -> list[str]:
        """The jobs of all tenants that were deleted within the last `within_s` seconds."""
        since = self._now().timestamp() - within_s
        found = cast("list[bytes]", await self._client.zrangebyscore(_DELETED, since, "+inf"))
        return [each.decode() for each in found]


def record_key(job_id: str) -> str:
    """The key of the job's record."""
    return f"tollgate:{{{job_id}}}:job"


def _record(job_id: str, fields: Sequence[tuple[str, bytes]]) -> Record:
    known = {name: json.loads(value) for name, value in fields if name in Record.model_fields}
    if "question" not in known:
        raise NoSuchJob(job_id)
    return Record(job_id=job_id, **known)

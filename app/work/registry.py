"""The registry of all jobs: by tenant, in order, with the dead letters.

A job is entered after its record is written, atomically with its place in the queue. So whatever dies during a
submission, the job either does not exist or is run.

Keys: `tollgate:{jobs}:of:<tenant>` (sorted by id, which begins with the time), `:dead` and `:dead:<tenant>` (scored by
ms), `:asking` (jobs that wait for a human, by ms since when), `tollgate:{jobs}:once:<tenant>:<hash>` (idempotency
keys), and those of the queue.
"""

import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from app.errors import IdempotencyKeyReused, QueueFull
from app.work.queue import JOBS, LINE
from graphs.clock import utc_now
from graphs.redis.script import Script

_PREFIX = "tollgate:{jobs}"
PAGE = 500
_DEAD = f"{_PREFIX}:dead"
_ASKING = f"{_PREFIX}:asking"
_ENTER = Script(LINE, Path(__file__).with_suffix(".lua"))


class Registry:
    """The registry of jobs.

    Args:
        client: the Redis with the registry.
        ttl_seconds: how long a job is listed: as long as its state is kept.
        most_waiting: jobs of one tenant that may wait for a worker.
        once_seconds: how long an idempotency key is remembered.
        now: the time, in UTC.
    """

    def __init__(
        self,
        client: Redis,
        *,
        ttl_seconds: int,
        most_waiting: int = 1000,
        once_seconds: int = 86_400,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._client: Any = client  # its stubs do not know which replies are bytes
        self._ttl = ttl_seconds
        self._most_waiting = most_waiting
        self._once = once_seconds
        self._now = now

    async def enter(self, tenant: str, job_id: str, key: str | None = None, body: bytes = b"") -> str:
        """Enter a new job, also into the queue; or find the one that was entered under this key before.

        Args:
            tenant: the job's owner.
            job_id: the new job.
            key: the request's idempotency key, if any.
            body: the request, to tell a repetition from another request under the same key.

        Returns: the id of the new or found job.

        Raises:
            IdempotencyKeyReused: the key was used for another request.
            QueueFull: too many jobs of the tenant are waiting; nothing was entered.
        """
        fingerprint = hashlib.sha256(body).hexdigest() if key is not None else ""
        keys = [f"{_PREFIX}:of:{tenant}", f"{JOBS}turns", _once(tenant, key or "")]
        oldest = f"job-{self._now() - timedelta(seconds=self._ttl):%Y%m%d-%H%M%S}"
        lives = (self._ttl, oldest, fingerprint, min(self._once, self._ttl))
        entered = await _ENTER.run(self._client, keys, tenant, job_id, self._ms(), *lives, self._most_waiting)
        if not entered:
            raise QueueFull(
                f"{self._most_waiting} of your jobs are waiting; submit more when some of them have started"
            )
        return _same(entered, fingerprint)

    async def entered(self, tenant: str, key: str, body: bytes) -> str | None:
        """The job that was entered under this key before, if any. Raises IdempotencyKeyReused."""
        found = await self._client.get(_once(tenant, key))
        return _same(found, hashlib.sha256(body).hexdigest()) if found else None

    async def listed(self, tenant: str, before: str | None, most: int) -> list[str]:
        """At most `most` jobs of the tenant, newest first, older than `before`."""
        top = f"({before}" if before else "+"
        found = await self._client.zrevrangebylex(f"{_PREFIX}:of:{tenant}", top, "-", 0, most)
        return [each.decode() for each in found]

    async def all(self) -> AsyncIterator[tuple[str, list[str]]]:
        """All jobs of all tenants, in pages of one tenant each."""
        async for key in self._client.scan_iter(match=f"{_PREFIX}:of:*"):
            tenant, before = key.decode().rpartition(":")[2], None
            while page := await self.listed(tenant, before, PAGE):
                yield tenant, page
                before = page[-1]

    async def bury(self, tenant: str, job_id: str) -> None:
        """Dead-letter a job: in its tenant's list, and in the list of all, for the count."""
        async with self._client.pipeline(transaction=True) as pipe:
            for each in (_DEAD, _dead_of(tenant)):
                pipe.zremrangebyscore(each, "-inf", self._ms() - self._ttl * 1000)
                pipe.zadd(each, {job_id: self._ms()})
                pipe.expire(each, self._ttl)
            await pipe.execute()

    async def dead_letters(self) -> int:
        """The number of dead letters."""
        return int(await self._client.zcard(_DEAD))

    async def unbury(self, tenant: str, job_id: str) -> None:
        """Remove a job from the dead letters."""
        async with self._client.pipeline(transaction=True) as pipe:
            for each in (_DEAD, _dead_of(tenant)):
                pipe.zrem(each, job_id)
            await pipe.execute()

    async def forget(self, tenant: str, job_id: str, once: str) -> None:
        """Remove a job from all lists, and its idempotency key, whose hash is `once`, if that is still its own."""
        key = f"{_PREFIX}:once:{tenant}:{once}"
        entered = await self._client.get(key) if once else None
        async with self._client.pipeline(transaction=True) as pipe:
            for each in (f"{_PREFIX}:of:{tenant}", _DEAD, _dead_of(tenant), _ASKING):
                pipe.zrem(each, job_id)
            if entered and entered.decode().partition(" ")[0] == job_id:
                pipe.delete(key)
            await pipe.execute()

    async def asks(self, job_id: str) -> None:
        """Note that the job waits for a human, if it is not known yet."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.zremrangebyscore(_ASKING, "-inf", self._ms() - self._ttl * 1000)
            pipe.zadd(_ASKING, {job_id: self._ms()}, nx=True)
            pipe.expire(_ASKING, self._ttl)
            await pipe.execute()

    async def asks_no_more(self, job_id: str) -> None:
        """Note that the job does not wait for a human."""
        await self._client.zrem(_ASKING, job_id)

    async def asking(self) -> tuple[int, float]:
        """How many jobs wait for a human, and for how many seconds the first of them has."""
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.zcard(_ASKING)
            pipe.zrange(_ASKING, 0, 0, withscores=True)
            number, first = await pipe.execute()
        return int(number), max(0.0, (self._ms() - first[0][1]) / 1000) if first else 0.0

    async def dead(self, tenant: str, most: int = 1000) -> list[str]:
        """The tenant's dead letters, newest first, then those of all, where older versions entered them."""
        async with self._client.pipeline(transaction=False) as pipe:
            for each in (_dead_of(tenant), _DEAD):
                pipe.zrevrange(each, 0, most - 1)
            ours, everybodys = await pipe.execute()
        return [each.decode() for each in dict.fromkeys([*ours, *everybodys])]

    def _ms(self) -> int:
        return round(self._now().timestamp() * 1000)


def hashed(key: str) -> str:
    """The hash of an idempotency key."""
    return hashlib.sha256(key.encode()).hexdigest()


def _once(tenant: str, key: str) -> str:
    return f"{_PREFIX}:once:{tenant}:{hashed(key)}"


def _same(entered: bytes, fingerprint: str) -> str:
    """The job that was entered, if by the same request. Raises IdempotencyKeyReused."""
    first, _, before = entered.decode().partition(" ")
    if before != fingerprint:
        raise IdempotencyKeyReused(f"this Idempotency-Key was used for another job before ({first}); send a new key")
    return first


def _dead_of(tenant: str) -> str:
    return f"{_DEAD}:{tenant}"

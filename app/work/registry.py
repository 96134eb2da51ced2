"""Which jobs there are: whose, in which order, which are to be woken, which are dead.

A job is entered here only when its record is written, in one step with its place in the outbox: the jobs that are to be
woken. So whatever dies between submitting and queueing, the job is either not there at all, or found in the outbox
and queued by the next sweep ("transactional outbox").

Keys: `tollgate:{jobs}:of:<tenant>` (sorted by id, which begins with the time), `tollgate:{jobs}:outbox` and
`tollgate:{jobs}:dead` (scored by ms), `tollgate:{jobs}:once:<tenant>:<hash>` (idempotency keys).
"""

import hashlib
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from app.errors import Repeated
from graphs.clock import utc_now
from graphs.redis_script import Script

_PREFIX = "tollgate:{jobs}"
_OUTBOX, _DEAD = f"{_PREFIX}:outbox", f"{_PREFIX}:dead"
_ENTER = Script(Path(__file__).with_suffix(".lua"))


class Registry:
    """The registry of jobs.

    Args:
        client: where it is kept.
        ttl_seconds: how long a job is listed: as long as its state lives.
        once_seconds: how long an idempotency key is remembered.
        now: the time, in UTC.
    """

    def __init__(
        self,
        client: Redis,
        *,
        ttl_seconds: int,
        once_seconds: int = 86_400,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._client: Any = client  # its stubs do not know which replies are bytes
        self._ttl = ttl_seconds
        self._once = once_seconds
        self._now = now

    async def enter(self, tenant: str, job_id: str, key: str | None = None, order: bytes = b"") -> str:
        """Enter a new job, and into the outbox; or find the one that was entered under this key before.

        Args:
            tenant: whose job it is.
            job_id: the new job.
            key: the idempotency key of the request; None for none.
            order: what was ordered, for telling a repetition from another order under the same key.

        Returns: the id of the job that counts. If it is the new one, its call in the outbox is `first_call(job_id)`.

        Raises:
            Repeated: another order was made under this key.
        """
        fingerprint = hashlib.sha256(order).hexdigest() if key is not None else ""
        once = f"{_PREFIX}:once:{tenant}:{hashlib.sha256((key or '').encode()).hexdigest()}"
        keys = [f"{_PREFIX}:of:{tenant}", _OUTBOX, once]
        oldest = f"job-{self._now() - timedelta(seconds=self._ttl):%Y%m%d-%H%M%S}"
        entered = await _ENTER.run(
            self._client, keys, job_id, self._ms(), self._ttl, oldest, fingerprint, min(self._once, self._ttl)
        )
        first, _, before = entered.decode().partition(" ")
        if before != fingerprint:
            raise Repeated(f"this Idempotency-Key was used for another order before ({first}); send a new key")
        return str(first)

    async def listed(self, tenant: str, before: str | None, most: int) -> list[str]:
        """At most so many jobs of the tenant, the newest first, that are older than `before`."""
        top = f"({before}" if before else "+"
        found = await self._client.zrevrangebylex(f"{_PREFIX}:of:{tenant}", top, "-", 0, most)
        return [each.decode() for each in found]

    async def to_wake(self, job_id: str) -> str:
        """Put the job into the outbox: it has to be run (again), whatever dies next. Returns the id of this call."""
        call = f"{job_id}/{uuid.uuid4().hex[:8]}"
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.zadd(_OUTBOX, {call: self._ms()})
            pipe.expire(_OUTBOX, self._ttl)
            await pipe.execute()
        return call

    async def woken(self, call: str) -> None:
        """This call is in the queue: it leaves the outbox."""
        await self._client.zrem(_OUTBOX, call)

    async def overdue(self, seconds: float, most: int = 500) -> list[str]:
        """Calls that have been in the outbox for longer than this: whoever put them there died before queueing them."""
        found = await self._client.zrangebyscore(_OUTBOX, "-inf", self._ms() - round(seconds * 1000), 0, most)
        return [each.decode() for each in found]

    async def bury(self, job_id: str) -> None:
        """Enter a job into the list of dead letters."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.zremrangebyscore(_DEAD, "-inf", self._ms() - self._ttl * 1000)
            pipe.zadd(_DEAD, {job_id: self._ms()})
            pipe.expire(_DEAD, self._ttl)
            await pipe.execute()

    async def unbury(self, job_id: str) -> None:
        """Take a job from the list of dead letters."""
        await self._client.zrem(_DEAD, job_id)

    async def dead(self, most: int = 1000) -> list[str]:
        """The dead letters, the newest first."""
        return [each.decode() for each in await self._client.zrevrange(_DEAD, 0, most - 1)]

    async def waiting(self) -> dict[str, int]:
        """How many jobs are in the outbox, and how many are dead letters."""
        return {"outbox": await self._client.zcard(_OUTBOX), "dead": await self._client.zcard(_DEAD)}

    def _ms(self) -> int:
        return round(self._now().timestamp() * 1000)


def first_call(job_id: str) -> str:
    """The call in the outbox that a job is entered with."""
    return f"{job_id}/new"


def called(call: str) -> str:
    """The job that a call in the outbox is about."""
    return call.partition("/")[0]

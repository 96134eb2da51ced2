"""One writer per job: a lease with a fencing token.

The process that drives a job holds its lease and renews it. A worker that was suspended past its lease may wake up
without knowing that another has taken over; a lease alone cannot stop it from writing. So each lease has a token that
only grows, and stores refuse a job's writes (checkpoints, money, events) when they know a newer token. The method is
Martin Kleppmann's ("How to do distributed locking", 2016).

One hash per job, `tollgate:{job}:lease`: owner, token, expires_ms. It outlives the lease, because the token must not
restart while the job can still be driven.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path

from redis.asyncio import Redis

from app.errors import Busy, LeaseLost, TakenOver
from graphs.clock import utc_now
from graphs.redis.failures import STORE_FAILED
from graphs.redis.fencing import lease_key
from graphs.redis.script import Script

_SCRIPT = Script(Path(__file__).with_suffix(".lua"))


class Leases:
    """Leases on jobs.

    Args:
        client: the Redis with the leases.
        ttl_seconds: how long a token is remembered after its last use: as long as a job's state.
        seconds: how long a lease lasts without renewal. Workers' clocks should agree better than that.
        now: the time, in UTC.
    """

    def __init__(
        self, client: Redis, *, ttl_seconds: int, seconds: float = 10.0, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._client = client
        self._ttl = ttl_seconds
        self._seconds = seconds
        self._now = now

    @contextlib.asynccontextmanager
    async def held(self, job_id: str, waiting: Callable[[], None] | None = None) -> AsyncIterator[int]:
        """Hold the job's lease while the block runs; yields its fencing token.

        With `waiting`, which is called first, waits for the lease of a dead process. If the lease cannot be renewed in
        time, the block is cancelled.

        Raises:
            Busy: another process drives the job.
            TakenOver: another process took the lease.
            LeaseLost: it could not be renewed, because the store did not answer.
        """
        owner = uuid.uuid4().hex
        token = await self._acquired(job_id, owner, waiting)
        lost: asyncio.Future[Busy] = asyncio.get_running_loop().create_future()
        over = asyncio.Event()
        block = asyncio.current_task()
        renewal = asyncio.create_task(self._renew(job_id, owner, block, lost, over), name=f"lease of {job_id}")
        try:
            yield token
        except asyncio.CancelledError:
            if not lost.done():
                raise
            if block is not None:
                block.uncancel()
            raise lost.result() from None
        finally:
            over.set()  # because Python 3.11's wait_for, under the Redis client, can swallow a cancellation
            renewal.cancel()
            if not lost.done():
                with contextlib.suppress(*STORE_FAILED):  # then it expires
                    await self._run("release", job_id, owner)

    async def forget(self, job_id: str) -> None:
        """Delete the lease of a job that nobody can drive any more."""
        await self._client.delete(lease_key(job_id))

    async def _acquired(self, job_id: str, owner: str, waiting: Callable[[], None] | None) -> int:
        clock = asyncio.get_running_loop().time
        token = await self._run("acquire", job_id, owner)
        if not token and waiting:
            waiting()
            until = clock() + self._seconds + 1
            while not token and clock() < until:
                await asyncio.sleep(0.2)
                token = await self._run("acquire", job_id, owner)
        if not token:
            raise Busy(f"another process drives {job_id}; wait for it, or stop it first")
        return token

    async def _renew(
        self,
        job_id: str,
        owner: str,
        block: "asyncio.Task[object] | None",
        lost: "asyncio.Future[Busy]",
        over: asyncio.Event,
    ) -> None:
        clock = asyncio.get_running_loop().time
        until = clock() + self._seconds
        why: Busy = LeaseLost(
            f"the lease of {job_id} could not be renewed: the store did not answer for {self._seconds:g} s"
        )
        while clock() < until and not over.is_set():
            await asyncio.sleep(self._seconds / 4)
            with contextlib.suppress(*STORE_FAILED):
                started = clock()
                if not int(await self._run("renew", job_id, owner)):
                    why = TakenOver(f"the lease of {job_id} was lost: another process has taken over")
                    break
                until = started + self._seconds
        if over.is_set():
            return
        lost.set_result(why)
        if block is not None:
            block.cancel()

    async def _run(self, operation: str, job_id: str, owner: str) -> int:
        now = round(self._now().timestamp() * 1000)
        key = lease_key(job_id)
        arguments = (operation, owner, now, now + round(self._seconds * 1000), self._ttl)
        return int(await _SCRIPT.run(self._client, [key], *arguments))

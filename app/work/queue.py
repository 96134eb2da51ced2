"""The queue: pydocket over the same Redis. Whoever accepts jobs puts calls into it, workers carry them out.

A call is carried out at least once. That is enough: what it does is guarded by the job's lease, and doing it again when
there is nothing to do changes nothing.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

from docket import Docket

from app.work.registry import Registry, called
from graphs.clock import utc_now

JOBS, CHORES = "tollgate:queue", "tollgate:chores"
RUN, NOTIFY, SWEEP, REAP = "run_job", "notify", "sweep", "reap"
REMEMBERED = timedelta(minutes=15)  # what became of a call, for whoever looks into the queue


class Queue:
    """Puts calls into the queue.

    Args:
        jobs: the queue of jobs, open.
        chores: the queue of what is done beside them, so that it never waits for a job.
        registry: its outbox holds every call of a job until it is in the queue.
        now: the time, in UTC.
    """

    def __init__(
        self, jobs: Docket, chores: Docket, registry: Registry, *, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.jobs = jobs
        self.chores = chores
        self._registry = registry
        self._now = now

    async def put(self, call: str, tenant: str) -> None:
        """Put a call of the outbox into the queue. Raises RedisError.

        Without a key: pydocket drops a call whose key is just being carried out, which may have begun before what the
        call is about. A call too many does nothing.
        """
        await self.jobs.add(RUN)(called(call), tenant)
        await self._registry.woken(call)

    async def later(self, job_id: str, tenant: str, delay_s: float) -> None:
        """Let a worker run the job after so many seconds."""
        when = self._now() + timedelta(seconds=delay_s)
        await self.jobs.add(RUN, when=when)(job_id, tenant)

    async def notify(self, job_id: str, kind: str, webhook_id: str, attempt: int = 1, delay_s: float = 0) -> None:
        """Let a worker tell the job's webhook."""
        when = self._now() + timedelta(seconds=delay_s)
        await self.chores.add(NOTIFY, when=when, key=f"{webhook_id}/{attempt}")(job_id, kind, webhook_id, attempt)


@contextlib.asynccontextmanager
async def opened_queue(redis_url: str, registry: Registry) -> AsyncIterator[Queue]:
    """A queue that calls can be put into, until the block ends."""
    async with (
        Docket(name=JOBS, url=redis_url, execution_ttl=REMEMBERED) as jobs,
        Docket(name=CHORES, url=redis_url, execution_ttl=REMEMBERED) as chores,
    ):
        jobs.register(_elsewhere, names=[RUN])
        chores.register(_elsewhere, names=[NOTIFY, SWEEP, REAP])
        yield Queue(jobs, chores, registry)


async def _elsewhere(*_: object) -> None:
    """Stands for the calls in a process that only puts them into the queue."""
    raise RuntimeError("calls are carried out by workers, which register what carries them out")

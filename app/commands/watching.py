"""Watches a job that another process drives. Needs only Redis."""

import contextlib

from app.config.settings import Settings
from app.jobs.driver import OnEvent
from app.jobs.events import EventLog
from app.jobs.records import Records
from app.jobs.states import WAITING
from app.store.redis import connect


async def watched(settings: Settings, redis_url: str, job_id: str, on_event: OnEvent) -> None:
    """Pass on the job's events, from the first until it has ended or waits for a human or a new day.

    Raises:
        NoSuchJob: there is no such job.
    """
    async with contextlib.aclosing(connect(redis_url)) as client:
        await Records(client, ttl_seconds=settings.ttl_seconds).get(job_id)
        log = EventLog(client, ttl_seconds=settings.ttl_seconds)
        async with contextlib.aclosing(log.follow(job_id, None)) as events:
            async for event in events:
                if event is None:
                    continue
                on_event(event.data)
                if event.data.get("status") in WAITING and not await log.read(job_id, event.id, most=1):
                    return

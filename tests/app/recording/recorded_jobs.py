"""Jobs that are recorded, over the servers of this test process and a model of the test's choice."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from app.config.settings import Settings
from app.jobs.jobs import Jobs
from app.recording.cassette import Cassette
from app.running.processes import Addresses
from app.running.replay import Build, recorded
from app.running.runtime import opened
from graphs.research import build_research_graph

LONG = "Compare our revenue growth with the growth of the market, and forecast our revenue in 2026."
SHORT = "What was our revenue in 2024?"


@contextlib.asynccontextmanager
async def recording(
    settings: Settings,
    redis_url: str,
    addresses: Addresses,
    model: str | None = None,
    build: Build = build_research_graph,
) -> AsyncIterator[Jobs]:
    """Jobs that are recorded, on the graph that `build` makes."""
    there = Addresses(model or addresses.model, addresses.servers, ())
    with_record = settings.model_copy(update={"record": True})
    async with opened(with_record, redis_url, there, warn=lambda _: None, build=build) as jobs:
        yield jobs


async def ran(jobs: Jobs, settings: Settings, redis_url: str, question: str = SHORT, **limits: Any) -> Cassette:
    """The record of a job that ran until it ended, or waits."""
    job_id = await jobs.create(question, settings.limits.model_copy(update=limits))
    await jobs.run(job_id, lambda _: None)
    return await recorded(settings, redis_url, job_id)

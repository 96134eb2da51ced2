"""Honest work never trips a guard: multi-step questions, the default limits, real servers."""

import pytest
from redis.asyncio import Redis

from app.config.settings import Settings
from app.running.processes import Addresses
from app.running.runtime import opened
from evals.questions import asked
from graphs.spending.loops import in_handoffs


@pytest.mark.slow
async def test_no_guard_stops_it(
    settings: Settings, addresses: Addresses, redis_url: str, redis_client: Redis, subtests: pytest.Subtests
) -> None:
    honest = [each for each in asked() if each.kind in {"both", "forecast", "sales"}][::2]
    assert len(honest) >= 10
    async with opened(settings, redis_url, addresses, lambda _: None) as jobs:
        for question in honest:
            with subtests.test(question.id):
                job_id = await jobs.create(question.text, settings.limits)
                result = await jobs.run(job_id, lambda _: None)
                state = (await jobs.snapshot(job_id)).values
                assert (result.status, result.stop_reason) == ("completed", "answered")
                assert in_handoffs(state["handoffs"], settings.limits) is None
                assert all(each["fresh"] for each in state["handoffs"])

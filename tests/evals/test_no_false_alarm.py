"""Honest work never trips a guard: multi-step questions, the default limits, real servers."""

import pytest
from redis.asyncio import Redis

from app.config.settings import Settings
from app.running.processes import Addresses
from app.running.runtime import opened
from evals.questions import Question, asked
from graphs.spending.loops import in_handoffs

HONEST = [each for each in asked() if each.kind in {"both", "forecast", "sales"}]


def test_there_are_ten_of_them() -> None:
    assert len(HONEST) >= 10


@pytest.mark.parametrize("question", HONEST, ids=lambda each: each.id)
async def test_no_guard_stops_it(
    question: Question, settings: Settings, addresses: Addresses, redis_url: str, redis_client: Redis
) -> None:
    async with opened(settings, redis_url, addresses, lambda _: None) as jobs:
        job_id = await jobs.create(question.text, settings.limits)
        result = await jobs.run(job_id, lambda _: None)
        state = (await jobs.snapshot(job_id)).values
    assert (result.status, result.stop_reason) == ("completed", "answered")
    assert in_handoffs(state["handoffs"], settings.limits) is None
    assert all(each["fresh"] for each in state["handoffs"])

"""3. A job. It runs to its limit, asks a human, and goes on with the answer, all from Redis."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from app.config.settings import Settings
from app.jobs.jobs import Jobs
from app.running.processes import Addresses
from app.running.runtime import opened
from graphs.spending.limits import Limits
from graphs.state import Json

QUESTION = "What was our revenue in 2024?"


@pytest.fixture
async def jobs(settings: Settings, redis_url: str, redis_client: Redis, addresses: Addresses) -> AsyncIterator[Jobs]:
    async with opened(settings, redis_url, addresses, warn=lambda _: None) as ready:
        yield ready


async def test_a_job_asks_before_it_passes_its_budget(jobs: Jobs) -> None:
    events: list[Json] = []

    # These micro-dollars pay for the plan at its worst, on the cheap model, and not for the call of an agent.
    job_id = await jobs.create(QUESTION, Limits(budget_micro_usd=2_000))
    waiting = await jobs.run(job_id, events.append)
    assert waiting.status == "awaiting_human"
    assert waiting.escalation
    assert waiting.escalation["reason"] == "budget_reached"
    assert waiting.model_calls == [each["type"] for each in events].count("model_call") == 1
    assert waiting.cost_usd < 0.002

    # Running it again changes nothing: it still waits.
    assert await jobs.run(job_id, events.append) == waiting

    # The answer is typed; the job goes on from its checkpoint, and the plan is not paid for again.
    ended = await jobs.decide(job_id, {"action": "approve_more", "amount_usd": 0.1}, events.append)
    assert (ended.status, ended.stop_reason) == ("completed", "answered")
    assert [each["type"] for each in events].count("plan") == 1  # which said that the report follows
    assert "26707597" in ended.findings[0]["claim"].replace(",", "")  # by SQL over tests/data

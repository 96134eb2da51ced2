"""3. A job. It runs to its limit, asks a human, and goes on with the answer, all from Redis."""

from collections.abc import AsyncIterator

import pytest

from app.jobs import Jobs
from app.processes import Addresses
from app.runtime import opened
from app.settings import Settings
from graphs.governance.limits import JobLimits
from graphs.state import Json

QUESTION = "What was Voltbay's revenue in Germany in 2024?"


@pytest.fixture
async def jobs(settings: Settings, redis_url: str, addresses: Addresses) -> AsyncIterator[Jobs]:
    async with opened(settings, redis_url, addresses, warn=lambda _: None) as ready:
        yield ready


async def test_a_job_asks_before_it_passes_its_budget(jobs: Jobs) -> None:
    events: list[Json] = []

    # Ten micro-dollars pay for the plan and no more.
    job_id = await jobs.create(QUESTION, JobLimits(budget_micro_usd=10))
    waiting = await jobs.run(job_id, events.append)
    assert waiting.status == "awaiting_human"
    assert waiting.escalation
    assert waiting.escalation["what_happened"] == "The job is paused because the budget is used up."
    assert [each["type"] for each in events] == ["model_call", "plan", "budget"]

    # Running it again changes nothing: it still waits.
    assert await jobs.run(job_id, events.append) == waiting

    # The answer is typed; the job goes on from its checkpoint, and the plan is not paid for again.
    ended = await jobs.decide(job_id, {"action": "approve_more", "amount_usd": 0.1}, events.append)
    assert (ended.status, ended.stop_reason) == ("completed", "answered")
    assert [each["type"] for each in events].count("plan") == 2  # the plan, and "has enough"
    assert ended.findings[0]["claim"] == "Voltbay's revenue in Germany was EUR 19,460,242 in 2024."

"""Of several decisions one counts, whoever sends them and whenever; and no number of them lifts a cap."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from openai import DefaultAsyncHttpxClient
from redis.asyncio import Redis

from app.config.settings import Settings
from app.errors import BadInput, DecisionRefused
from app.jobs.decisions import Decisions
from app.jobs.jobs import Jobs
from app.jobs.reports import ReportFolder
from app.jobs.results import JobResult
from app.running.processes import Addresses
from app.running.runtime import dependencies
from graphs.checkpoint.saver import RedisSaver
from graphs.planning.review import Review
from graphs.research import build_research_graph
from graphs.tools.gateway import ToolGateway
from tests.app.command_line import answered, started
from tests.scripted_model import Json, Script, assign, result, serving, task

QUESTION = "What was our revenue?"
APPROVE: Json = {"action": "approve_more", "amount_usd": 0.1}


def insatiable(packet: Json, _: list[Json]) -> Json:
    """A supervisor that always finds one more thing to ask, in other words."""
    number = len(packet["tasks"]) + 1
    return assign({**task(number, "sales"), "objective": f"clarify {WORDS[number % len(WORDS)]} of what was meant"})


WORDS = ["amber", "birch", "cobalt", "damson", "elder", "fennel", "garnet", "hazel", "indigo", "juniper", "kelp"]


def empty_handed(packet: Json, _: list[Json]) -> Json:
    return result(gaps=("Please clarify what is meant.",))


def script() -> Script:
    return Script(insatiable, empty_handed, lambda *_: {"title": "x", "body": "y"})


@contextlib.asynccontextmanager
async def over(
    told: Script, settings: Settings, addresses: Addresses, client: Redis, later_s: float = 0
) -> AsyncIterator[Jobs]:
    """Jobs over a scripted model, whose clock is so much ahead."""
    with serving(told) as url:
        async with ToolGateway(addresses.servers) as gateway, DefaultAsyncHttpxClient() as http:
            deps = dependencies(settings, url, http, gateway, client)
            deps = dataclasses.replace(deps, now=lambda: datetime.now(UTC) + timedelta(seconds=later_s))
            graph = build_research_graph(deps, RedisSaver(client, ttl_seconds=600))
            reports = ReportFolder(settings.data_dir / "reports", deps.evidence, ttl_seconds=600)
            yield Jobs(graph, deps, client, reports, ttl_seconds=600)


async def paused(jobs: Jobs, settings: Settings, **limits: Any) -> JobResult:
    job_id = await jobs.create(QUESTION, settings.limits.model_copy(update=limits))
    waiting = await jobs.run(job_id, quiet)
    assert waiting.status == "awaiting_human"
    return waiting


def quiet(_: Json) -> None:
    """Nobody watches."""


def report_of(result: JobResult) -> str:
    return Path(str(result.report_path)).read_text(encoding="utf-8")


async def test_the_first_of_two_decisions_counts_and_the_other_is_told(
    settings: Settings, addresses: Addresses, redis_client: Redis
) -> None:
    async with over(script(), settings, addresses, redis_client) as jobs:
        waiting = await paused(jobs, settings)
        ended = await jobs.decide(waiting.job_id, {"action": "finish_partial"}, quiet)
        with pytest.raises(DecisionRefused, match="waits for no decision; its status is partial"):
            await jobs.decide(waiting.job_id, APPROVE, quiet)
    assert ended.stop_reason == "finished_by_human"


async def test_a_decision_that_was_claimed_before_a_crash_is_carried_out_by_the_resume(
    settings: Settings, addresses: Addresses, redis_client: Redis
) -> None:
    async with over(script(), settings, addresses, redis_client) as jobs:
        waiting = await paused(jobs, settings)
        snapshot = await jobs.snapshot(waiting.job_id)
        await Decisions(redis_client, ttl_seconds=600).claim(waiting.job_id, snapshot, APPROVE, datetime.now(UTC))
        with pytest.raises(DecisionRefused, match="was already decided: approve_more, at "):
            await jobs.decide(waiting.job_id, {"action": "abort"}, quiet)
        again = await jobs.run(waiting.job_id, quiet)
    assert again.budget_usd == pytest.approx(waiting.budget_usd + 0.1)
    assert again.handoffs > waiting.handoffs


async def test_an_answer_to_an_earlier_question_is_refused(
    settings: Settings, addresses: Addresses, redis_client: Redis
) -> None:
    async with over(script(), settings, addresses, redis_client) as jobs:
        first = await paused(jobs, settings)
        assert first.escalation
        assert not set(Review.__annotations__) & set(first.escalation), "they are for other clients"
        stale = first.escalation["escalation_id"]
        second = await jobs.decide(first.job_id, APPROVE, quiet, escalation_id=stale)
        assert second.escalation
        assert second.escalation["escalation_id"] != stale
        with pytest.raises(DecisionRefused, match="no longer waits for a decision about"):
            await jobs.decide(first.job_id, {"action": "abort"}, quiet, escalation_id=stale)
        third = await jobs.decide(first.job_id, APPROVE, quiet)
    assert third.budget_usd == pytest.approx(first.budget_usd + 0.2)


async def test_when_the_time_to_decide_is_over_the_report_is_finished_without_an_answer(
    settings: Settings, addresses: Addresses, redis_client: Redis
) -> None:
    async with over(script(), settings, addresses, redis_client) as jobs:
        waiting = await paused(jobs, settings, decision_s=60)
        assert (await jobs.run(waiting.job_id, quiet)).status == "awaiting_human"
    async with over(script(), settings, addresses, redis_client, later_s=61) as later:
        with pytest.raises(DecisionRefused, match="the time to decide ended at"):
            await later.decide(waiting.job_id, APPROVE, quiet)
        ended = await later.run(waiting.job_id, quiet)
    assert (ended.status, ended.stop_reason) == ("partial", "no_decision_in_time")
    assert "no human decided in time" in report_of(ended)


@pytest.mark.slow
async def test_paused_and_resumed_twenty_times_no_cap_is_passed(
    settings: Settings, addresses: Addresses, redis_client: Redis
) -> None:
    told = script()
    rich = settings.model_copy(update={"job_budget_max_usd": 5.0, "job_deadline_max_s": 3600})
    async with over(told, rich, addresses, redis_client) as jobs:
        now = await paused(jobs, rich, budget_micro_usd=60_000)
        for _ in range(20):
            assert now.escalation
            assert now.cost_usd <= now.budget_usd
            assert len(told.requests) == now.model_calls
            amount = max(0.001, now.escalation["least_amount_usd"])
            now = await jobs.decide(now.job_id, {"action": "approve_more", "amount_usd": amount}, quiet)
            assert now.status in {"awaiting_human", "partial"}
            if now.status == "partial":
                break
        if now.status != "partial":
            now = await jobs.decide(now.job_id, {"action": "finish_partial"}, quiet)
    assert (now.status, bool(now.report_path), bool(now.stop_reason)) == ("partial", True, True)
    assert now.cost_usd <= now.budget_usd
    assert "**This report is partial: " in report_of(now)


async def test_a_request_may_lower_limits_and_not_raise_them(
    settings: Settings, addresses: Addresses, redis_client: Redis
) -> None:
    async with over(script(), settings, addresses, redis_client) as jobs:
        for limits in ({"budget_micro_usd": 1_000_001}, {"steps": 81}, {"tenant_day_micro_usd": 5_000_001}):
            with pytest.raises(BadInput, match=r"is above the .* that this deployment allows"):
                await jobs.create(QUESTION, settings.limits.model_copy(update=limits))
        assert await jobs.create(QUESTION, settings.limits.model_copy(update={"steps": 3, "budget_micro_usd": 1}))


@pytest.mark.slow
def test_approve_and_abort_sent_at_once_by_two_processes_have_one_effect(
    tmp_path: Path, beside: dict[str, str]
) -> None:
    question = "What was our revenue in 2024?"
    _, waiting = answered(tmp_path, "run", question, "--budget-usd", "0.00001", **beside)
    job = waiting["job_id"]
    answers = {"approve_more": ["--amount-usd", "0.2"], "abort": []}
    with contextlib.ExitStack() as stack:
        processes = {
            action: stack.enter_context(started(tmp_path, "decide", job, "--action", action, *more, **beside))
            for action, more in answers.items()
        }
        said = {action: process.communicate(timeout=90)[1] for action, process in processes.items()}
    codes = {action: process.returncode for action, process in processes.items()}
    (lost,) = [action for action, code in codes.items() if code == 2]
    won = ({*answers} - {lost}).pop()
    assert codes[won] == {"approve_more": 0, "abort": 1}[won], said[won]
    assert "was already decided" in said[lost] or "waits for no decision" in said[lost]
    _, ended = answered(tmp_path, "resume", job, **beside)
    assert ended["status"] == {"approve_more": "completed", "abort": "failed"}[won]

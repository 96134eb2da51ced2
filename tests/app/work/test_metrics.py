"""What a worker counts of its jobs: each thing once, under names that the deployment knows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from app.config.settings import Settings
from app.errors import Busy, TakenOver
from app.running.processes import Addresses
from app.work.metrics import JobMetrics
from app.work.queue import Call
from tests.app.queued import QUESTION
from tests.app.work.test_days import Clock, working

MODEL = {"agent": "sales", "model": "small", "seconds": 0.5}
CHARGED = {"cost_micro_usd": 500_000, "reserved_micro_usd": 750_000}
TOKENS = {"input_tokens": 100, "cached_tokens": 40, "output_tokens": 7}


class Counted:
    """Metrics of two agents, and their values."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()

    def metrics(self) -> JobMetrics:
        return JobMetrics(self.registry, ["sales", "supervisor"], ["small"], ["crm"])

    def __call__(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"tollgate_{name}", labels) or 0.0


async def test_a_job_that_asks_a_human_is_counted_once_however_often_it_is_run(
    settings: Settings, addresses: Addresses, redis_client: Redis
) -> None:
    clock, counted = Clock(datetime.now(UTC)), Counted()
    async with working(settings, addresses, redis_client, clock, counted.registry) as work:
        small = settings.limits.model_copy(update={"budget_micro_usd": 2_000})
        call = Call("acme", await work.jobs.create(QUESTION, small, "acme"))
        clock.now += timedelta(seconds=30)
        for _ in range(2):
            await work.run(call)
        assert counted("escalations_total", reason="budget_reached") == 1
        assert (await work.registry.asking())[0] == 1
        assert counted("jobs_ended_total", status="completed", stop_reason="answered") == 0
        clock.now += timedelta(hours=2)
        await work.jobs.claim(call.name, {"action": "approve_more", "amount_usd": 0.2})
        clock.now += timedelta(hours=1)  # until a worker is free
        for _ in range(2):
            await work.run(call)
        spent, asking = await work.deps.ledger.spend(call.name), await work.registry.asking()
    await redis_client.delete("tollgate:{audit}:log")  # whose entries leave by age
    assert asking[0] == 0
    assert counted("jobs_ended_total", status="completed", stop_reason="answered") == 1
    assert counted("job_queued_seconds_sum") == pytest.approx(30, abs=2)
    assert counted("decision_seconds_count", action="approve_more") == 1
    assert counted("decision_seconds_sum", action="approve_more") == pytest.approx(2 * 3600, abs=60)
    assert counted("job_seconds_sum", status="completed") == pytest.approx(3 * 3600 + 30, abs=60)
    assert counted("job_cost_usd_sum", status="completed") == pytest.approx(spent.micro_usd / 1e6)
    assert counted("handoffs_total", agent="sales") == spent.handoffs
    assert counted("agent_tasks_total", agent="sales", outcome="done") == 1
    assert counted("agent_task_seconds_count", agent="sales") >= 1
    assert counted("agent_tool_calls_total", agent="sales", outcome="answered") > 0
    assert counted("job_runs_total", outcome="done") == 4
    samples = [each for family in counted.registry.collect() for each in family.samples]
    named = {each.name: 0.0 for each in samples}
    for each in samples:
        named[each.name] += each.value
    assert named["tollgate_model_cost_usd_total"] == pytest.approx(spent.micro_usd / 1e6)
    assert named["tollgate_model_reserved_usd_total"] == pytest.approx(spent.secured_micro_usd / 1e6)
    assert named["tollgate_model_tokens_total"] == spent.input_tokens + spent.output_tokens
    assert named["tollgate_model_call_seconds_count"] == spent.model_calls
    labels = {value for each in samples for value in each.labels.values()}
    assert not {"acme", call.name, QUESTION, "other"} & labels


def test_an_attempt_is_counted_once_whether_it_is_charged_or_not() -> None:
    counted = Counted()
    metrics = counted.metrics()
    metrics.heard({"type": "model_call", **MODEL, **CHARGED, **TOKENS})
    metrics.heard({"type": "model_failed", **MODEL, "error": "timeout", "charged": True})
    metrics.heard({"type": "model_failed", **MODEL, "error": "outage", "charged": False})
    call = {"agent": "sales", "model": "small"}
    assert counted("model_call_seconds_count", **call) == 2
    assert counted("model_failures_total", **call, error="timeout") == 1
    assert counted("model_failures_total", **call, error="outage") == 1
    assert counted("model_cost_usd_total", **call) == 0.5
    assert counted("model_reserved_usd_total", **call) == 0.75
    assert [counted("model_tokens_total", **call, kind=kind) for kind in ("input", "cached", "output")] == [60, 40, 7]


def test_no_name_from_outside_makes_a_series() -> None:
    counted = Counted()
    metrics = counted.metrics()
    before = _series(counted)
    for at in range(100):
        name = f"made-up-{at}"
        metrics.heard({"type": "budget", "agents": [name], "stop_reason": name})
        metrics.heard({"type": "task_finished", "agent": name, "status": "failed", "reason": name, "seconds": 1})
        metrics.heard({"type": "tool_call", "agent": name, "tool": name, "error": name})
        metrics.heard({"type": "tool_cost", "agent": name, "tool": f"{name}.x", "cost_micro_usd": 1_000_000})
        metrics.heard({"type": "model_call", **MODEL, "agent": name, "model": name, **CHARGED, **TOKENS})
        metrics.heard({"type": name})
        made = _series(counted)
        before = before if at else made
    assert made == before, "the first made all that there is"
    assert counted("handoffs_total", agent="other") == counted("limits_reached_total", reason="other") == 100
    assert counted("tool_cost_usd_total", agent="other", server="other") == 100


def test_a_loop_is_there_before_its_first_trip() -> None:
    counted = Counted()
    metrics = counted.metrics()
    loop: dict[str, Any] = {"type": "budget", "agents": [], "route": "escalate", "stop_reason": "loop_ping_pong"}
    assert counted.registry.get_sample_value("tollgate_limits_reached_total", {"reason": "loop_ping_pong"}) == 0
    metrics.heard(loop)
    assert counted("limits_reached_total", reason="loop_ping_pong") == 1


@pytest.mark.parametrize(
    ("error", "outcome"), [(TakenOver("x"), "taken_over"), (Busy("x"), "busy"), (KeyError(), "failed")]
)
def test_a_run_that_broke_off_says_why(error: Exception, outcome: str) -> None:
    counted = Counted()
    metrics = counted.metrics()
    with pytest.raises(type(error)), metrics.run():
        raise error
    assert counted("job_runs_total", outcome=outcome) == 1


def _series(counted: Counted) -> int:
    return sum(len(family.samples) for family in counted.registry.collect())

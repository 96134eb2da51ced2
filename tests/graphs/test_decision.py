"""What a human may answer, and what it does."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from graphs.decision import DECISION, applied, escalation
from graphs.governance.limits import JobLimits
from graphs.state import Counters, ResearchState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def state() -> ResearchState:
    return ResearchState(
        question="?",
        job_id="j",
        limits=JobLimits(budget_micro_usd=1000).model_dump(),
        first_limits=JobLimits(budget_micro_usd=1000).model_dump(),
        deadline_at=NOW.isoformat(),
        tasks={},
        findings={},
        evidence={},
        counters=Counters(cost_micro_usd=1100, steps=7, handoffs=3, model_calls=5),
        stop_reason="budget_reached",
        remaining_steps=50,
    )


def test_the_question_to_a_human_is_json_and_says_what_may_be_answered() -> None:
    payload = escalation(state())
    assert json.loads(json.dumps(payload)) == payload
    assert payload["what_happened"] == "The job is paused because the budget is used up."
    assert set(payload["choices"]["discriminator"]["mapping"]) == {
        "approve_more",
        "redirect",
        "finish_partial",
        "abort",
    }


@given(st.floats(0.001, 1000))
def test_approval_raises_the_budget_by_the_amount_and_grants_the_rest_once_more(amount: float) -> None:
    update = applied(state(), {"action": "approve_more", "amount_usd": amount}, NOW)
    limits, default = JobLimits.model_validate(update["limits"]), JobLimits()
    assert limits.budget_micro_usd == 1000 + round(amount * 1_000_000)
    assert (limits.steps, limits.handoffs) == (7 + default.steps, 3 + default.handoffs)
    assert update["deadline_at"] > state()["deadline_at"]
    assert update["route"] == "assign"


def test_what_is_granted_does_not_grow_from_grant_to_grant() -> None:
    now = state()
    for _ in range(3):
        now.update(applied(now, {"action": "approve_more", "amount_usd": 1}, NOW))  # type: ignore[typeddict-item]
    assert JobLimits.model_validate(now["limits"]).handoffs == 3 + JobLimits().handoffs


@given(st.integers(0, 10_000_000), st.integers(1, 10_000_000))
def test_the_least_amount_is_enough_and_less_is_refused(spent: int, budget: int) -> None:
    paused = state()
    paused["counters"] = Counters(cost_micro_usd=spent)
    paused["limits"] = JobLimits(budget_micro_usd=budget).model_dump()
    least = escalation(paused)["least_amount_usd"]
    for action in ({"action": "approve_more"}, {"action": "redirect", "note": "only Italy"}):
        if least or action["action"] == "redirect":
            granted = applied(paused, {**action, "amount_usd": least}, NOW)["limits"]["budget_micro_usd"]
            assert spent * 100 < granted * 80
        if least >= 0.000002:
            with pytest.raises(ValueError, match="would stop again at once"):
                applied(paused, {**action, "amount_usd": least - 0.000001}, NOW)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"action": "buy_shares"},
        {"action": "approve_more"},
        {"action": "approve_more", "amount_usd": 0},
        {"action": "approve_more", "amount_usd": -1},
        {"action": "approve_more", "amount_usd": 1e9},
        {"action": "redirect", "note": ""},
        {"action": "abort", "note": "unexpected"},
        "yes",
        None,
    ],
)
def test_anything_else_is_refused(answer: Any) -> None:
    with pytest.raises(ValidationError):
        DECISION.validate_python(answer)
    with pytest.raises(ValidationError):
        applied(state(), answer, NOW)

"""What a human may answer, and what it does."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from graphs.planning.decision import DECISION, NO_ANSWER, applied, decided, escalation
from graphs.spending.limits import Limits
from graphs.spending.spend import AgentSpend, Spend
from graphs.state import Halt, ResearchState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CEILING = Limits(budget_micro_usd=2_000_000_000)
USED = Spend(micro_usd=1100, steps=7, handoffs=3, model_calls=5, agents={"sales": AgentSpend(model_calls=4)})


def state() -> ResearchState:
    return ResearchState(
        question="?",
        job_id="j",
        limits=Limits(budget_micro_usd=1000).model_dump(),
        first_limits=Limits(budget_micro_usd=1000).model_dump(),
        deadline_at=NOW.isoformat(),
        tasks={},
        findings={},
        evidence={},
        handoffs=[],
        halted=None,
        used=USED.model_dump(),
        stop_reason="budget_reached",
        remaining_steps=50,
    )


def test_the_question_to_a_human_is_json_and_says_what_may_be_answered() -> None:
    payload = escalation(state(), CEILING)
    assert json.loads(json.dumps(payload)) == payload
    assert payload["what_happened"] == (
        "The job is paused because the rest of the budget does not pay for another call."
    )
    assert set(payload["choices"]["discriminator"]["mapping"]) == {
        "approve_more",
        "redirect",
        "finish_partial",
        "abort",
    }


@given(st.floats(0.001, 1000))
def test_approval_raises_the_budget_by_the_amount_and_grants_the_rest_once_more(amount: float) -> None:
    update = applied(state(), USED, {"action": "approve_more", "amount_usd": amount}, CEILING, NOW)
    limits, default = Limits.model_validate(update["limits"]), Limits()
    assert limits.budget_micro_usd == 1000 + round(amount * 1_000_000)
    assert (limits.steps, limits.handoffs) == (7 + default.steps, 3 + default.handoffs)
    assert limits.agent_model_calls == 4 + default.agent_model_calls
    assert update["deadline_at"] > state()["deadline_at"]
    assert update["route"] == "assign"


def test_what_is_granted_does_not_grow_from_grant_to_grant() -> None:
    now = state()
    for _ in range(3):
        now.update(applied(now, USED, {"action": "approve_more", "amount_usd": 1}, CEILING, NOW))  # type: ignore[typeddict-item]
    assert Limits.model_validate(now["limits"]).handoffs == 3 + Limits().handoffs


@given(st.integers(0, 10_000_000), st.integers(1, 10_000_000), st.none() | st.integers(0, 20_000_000))
def test_the_least_amount_is_enough_and_less_is_refused(spent: int, budget: int, needed: int | None) -> None:
    paused, used = state(), Spend(micro_usd=spent, agents={})
    paused["used"] = used.model_dump()
    paused["limits"] = Limits(budget_micro_usd=budget).model_dump()
    paused["halted"] = None if needed is None else Halt(reason="budget_reached", detail="", needed_micro_usd=needed)
    least = escalation(paused, CEILING)["least_amount_usd"]
    for action in ({"action": "approve_more"}, {"action": "redirect", "note": "only Italy"}):
        granted = applied(paused, used, {**action, "amount_usd": least}, CEILING, NOW)
        assert spent * 100 < granted["limits"]["budget_micro_usd"] * Limits().wrap_up_percent
        assert (needed or 0) <= granted["limits"]["budget_micro_usd"]
        assert (granted["halted"], granted["handoffs"]) == (None, [])
        if least >= 0.000002:
            with pytest.raises(ValueError, match="would stop again at once"):
                decided(paused, used, {**action, "amount_usd": least - 0.000001}, CEILING)


@given(st.integers(1, 10_000_000), st.integers(1, 10_000_000))
def test_no_answer_goes_past_the_ceiling(budget: int, ceiling: int) -> None:
    paused, used = state(), Spend(agents={})
    paused["used"] = used.model_dump()
    paused["limits"] = Limits(budget_micro_usd=budget).model_dump()
    most = Limits(budget_micro_usd=ceiling)
    allowed = escalation(paused, most)["most_amount_usd"]
    assert round(allowed * 1_000_000) == max(0, ceiling - budget)
    for action in ({"action": "approve_more"}, {"action": "redirect", "note": "only Italy"}):
        granted = applied(paused, used, {**action, "amount_usd": allowed}, most, NOW)["limits"]["budget_micro_usd"]
        assert granted <= max(ceiling, budget)
        with pytest.raises(ValueError, match="ceiling"):
            decided(paused, used, {**action, "amount_usd": allowed + 0.000001}, most)


def test_when_nobody_answers_the_report_says_so() -> None:
    update = applied(state(), USED, NO_ANSWER, CEILING, NOW)
    assert (update["route"], update["stop_reason"]) == ("report", "no_decision_in_time")
    with pytest.raises(ValidationError):
        DECISION.validate_python(NO_ANSWER)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"action": "buy_shares"},
        {"action": "approve_more"},
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
        applied(state(), USED, answer, CEILING, NOW)


@given(st.integers(1, 10_000_000), st.integers(1, 10_000_000), st.floats(0, 1000))
def test_a_decision_that_was_taken_is_carried_out_whatever_has_changed_since(
    budget: int, ceiling: int, amount: float
) -> None:
    """A ceiling that was lowered, or a late charge, must not leave a job that nobody can continue."""
    paused = state()
    paused["limits"] = Limits(budget_micro_usd=budget).model_dump()
    late = Spend(micro_usd=10**9)
    for action in ({"action": "approve_more"}, {"action": "redirect", "note": "only Italy"}):
        update = applied(paused, late, {**action, "amount_usd": amount}, Limits(budget_micro_usd=ceiling), NOW)
        assert update["limits"]["budget_micro_usd"] <= max(budget, ceiling)
        assert update["route"] == "assign"


@pytest.mark.parametrize("answer", [{"action": "finish_partial"}, NO_ANSWER])
def test_there_is_time_to_write_the_report_however_long_a_human_thought(answer: Any) -> None:
    later = NOW + timedelta(days=1)
    assert applied(state(), USED, answer, CEILING, later)["deadline_at"] > later.isoformat()

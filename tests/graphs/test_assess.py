"""Each limit stops a job by itself, and only when it is reached."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.governance.assess import STEPS_TO_FINISH, Verdict, assess, can_pay
from graphs.governance.limits import JobLimits, StopReason
from graphs.state import Counters, ResearchState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = JobLimits(budget_micro_usd=1000, steps=50, handoffs=10, model_calls=20)


def state(counters: Counters, *, seconds_left: int = 60, remaining_steps: int = 50) -> ResearchState:
    return ResearchState(
        question="?",
        job_id="j",
        limits=LIMITS.model_dump(),
        deadline_at=(NOW + timedelta(seconds=seconds_left)).isoformat(),
        tasks={},
        findings={},
        evidence={},
        counters=counters,
        remaining_steps=remaining_steps,
    )


used = st.fixed_dictionaries(
    {
        "cost_micro_usd": st.integers(0, 2000),
        "steps": st.integers(0, 100),
        "handoffs": st.integers(0, 20),
        "model_calls": st.integers(0, 40),
    }
)


@given(used, st.integers(-10, 10))
def test_go_means_that_no_limit_is_reached(counters: Counters, seconds_left: int) -> None:
    verdict = assess(state(counters, seconds_left=seconds_left), NOW)
    reached = (
        counters["cost_micro_usd"] >= 1000
        or counters["steps"] >= 50
        or counters["handoffs"] >= 10
        or counters["model_calls"] >= 20
        or seconds_left <= 0
    )
    assert (verdict.course == "limit") is reached
    assert (verdict.reason is None) is (verdict.course == "go")
    if counters["cost_micro_usd"] >= 800 and not reached:
        assert verdict.course == "wrap_up"


@pytest.mark.parametrize(
    ("counters", "reason"),
    [
        (Counters(cost_micro_usd=1000), StopReason.BUDGET),
        (Counters(steps=50), StopReason.STEPS),
        (Counters(handoffs=10), StopReason.HANDOFFS),
        (Counters(model_calls=20), StopReason.MODEL_CALLS),
    ],
)
def test_the_limit_is_named(counters: Counters, reason: StopReason) -> None:
    assert assess(state(counters), NOW) == Verdict("limit", reason)


def test_eighty_percent_of_the_budget_wraps_up() -> None:
    assert assess(state(Counters(cost_micro_usd=799)), NOW).course == "go"
    assert assess(state(Counters(cost_micro_usd=800)), NOW) == Verdict("wrap_up", StopReason.BUDGET_WRAP_UP)


def test_a_run_ends_before_langgraph_ends_it() -> None:
    assert assess(state(Counters(), remaining_steps=STEPS_TO_FINISH), NOW) == Verdict("wrap_up", StopReason.STEPS)


def test_time_over_is_a_limit_and_pays_for_nothing() -> None:
    late = state(Counters(), seconds_left=0)
    assert assess(late, NOW) == Verdict("limit", StopReason.DEADLINE)
    assert not can_pay(late, NOW)


@given(used)
def test_what_is_used_up_pays_for_nothing(counters: Counters) -> None:
    left = counters["cost_micro_usd"] < 1000 and counters["model_calls"] < 20
    assert can_pay(state(counters), NOW) is left

"""Each limit stops a job by itself, and only when it is reached."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.spending.assess import STEPS_TO_FINISH, Verdict, assess
from graphs.spending.limits import Limits
from graphs.spending.spend import Spend
from graphs.state import Halt, ResearchState
from graphs.stop_reasons import StopReason

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = Limits(budget_micro_usd=1000, steps=50, handoffs=10, model_calls=20, tool_calls=30)


def state(*, seconds_left: int = 60, remaining_steps: int = 50, halted: Halt | None = None) -> ResearchState:
    return ResearchState(
        question="?",
        job_id="j",
        limits=LIMITS.model_dump(),
        deadline_at=(NOW + timedelta(seconds=seconds_left)).isoformat(),
        tasks={},
        findings={},
        evidence={},
        handoffs=[],
        halted=halted,
        remaining_steps=remaining_steps,
    )


spends = st.builds(
    Spend,
    micro_usd=st.integers(0, 2000),
    steps=st.integers(0, 100),
    handoffs=st.integers(0, 20),
    model_calls=st.integers(0, 40),
    tool_calls=st.integers(0, 60),
    agents=st.just({}),
)


@given(spends, st.integers(-10, 10))
def test_go_means_that_no_limit_is_reached(used: Spend, seconds_left: int) -> None:
    verdict = assess(state(seconds_left=seconds_left), used, NOW)
    reached = (
        used.micro_usd >= 1000
        or used.steps >= 50
        or used.handoffs >= 10
        or used.model_calls >= 20
        or used.tool_calls >= 30
        or seconds_left <= 0
    )
    assert (verdict.course == "limit") is reached
    assert (verdict.reason is None) is (verdict.course == "go")
    if used.micro_usd >= 800 and not reached:
        assert verdict.course == "wrap_up"


@pytest.mark.parametrize(
    ("used", "reason"),
    [
        (Spend(micro_usd=1000), StopReason.BUDGET),
        (Spend(steps=50), StopReason.STEPS),
        (Spend(handoffs=10), StopReason.HANDOFFS),
        (Spend(model_calls=20), StopReason.MODEL_CALLS),
        (Spend(tool_calls=30), StopReason.TOOL_CALLS),
    ],
)
def test_the_limit_is_named(used: Spend, reason: StopReason) -> None:
    assert assess(state(), used, NOW) == Verdict("limit", reason)


def test_most_of_the_budget_wraps_up() -> None:
    assert assess(state(), Spend(micro_usd=949), NOW).course == "go"
    assert assess(state(), Spend(micro_usd=950), NOW) == Verdict("wrap_up", StopReason.BUDGET_WRAP_UP)


def test_a_run_ends_before_langgraph_ends_it() -> None:
    assert assess(state(remaining_steps=STEPS_TO_FINISH), Spend(), NOW) == Verdict("wrap_up", StopReason.STEPS)


def test_time_over_is_a_limit() -> None:
    assert assess(state(seconds_left=0), Spend(), NOW) == Verdict("limit", StopReason.DEADLINE)


@given(spends)
def test_what_was_halted_stays_halted_whatever_was_used(used: Spend) -> None:
    halted = Halt(reason="loop_reworded", detail="3 times", needed_micro_usd=0)
    assert assess(state(halted=halted), used, NOW) == Verdict("limit", StopReason.LOOP_REWORDED, "3 times")

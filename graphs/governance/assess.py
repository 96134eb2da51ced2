"""Reads the counters of a job against its limits and says how to go on. Pure: the clock is an argument."""

from datetime import datetime
from typing import Literal, NamedTuple

from graphs.governance.limits import JobLimits, StopReason
from graphs.state import Counters, ResearchState

# A run must end while LangGraph still grants steps. A round of hand-offs takes four (supervisor, budget, agent,
# verify), the ending five (report and its verification, both twice, and finish); one is to spare.
STEPS_TO_FINISH = 10


class Verdict(NamedTuple):
    """`go` on, `wrap_up` with what there is, or stop: a `limit` is reached. `reason` is None only for `go`."""

    course: Literal["go", "wrap_up", "limit"]
    reason: StopReason | None = None


def assess(state: ResearchState, now: datetime) -> Verdict:
    """The first limit that is reached, or the wrap-up mark, or `go`."""
    limits = JobLimits.model_validate(state["limits"])
    used = state["counters"]
    for reason, amount, limit in _measures(used, limits):
        if amount >= limit:
            return Verdict("limit", reason)
    if now >= datetime.fromisoformat(state["deadline_at"]):
        return Verdict("limit", StopReason.DEADLINE)
    if state["remaining_steps"] <= STEPS_TO_FINISH:
        return Verdict("wrap_up", StopReason.STEPS)
    if used.get("cost_micro_usd", 0) * 100 >= limits.budget_micro_usd * limits.wrap_up_percent:
        return Verdict("wrap_up", StopReason.BUDGET_WRAP_UP)
    return Verdict("go")


def can_pay(state: ResearchState, now: datetime) -> bool:
    """Whether budget and time are left for one more model call."""
    limits = JobLimits.model_validate(state["limits"])
    used = state["counters"]
    return (
        used.get("cost_micro_usd", 0) < limits.budget_micro_usd
        and used.get("model_calls", 0) < limits.model_calls
        and now < datetime.fromisoformat(state["deadline_at"])
    )


def _measures(used: Counters, limits: JobLimits) -> list[tuple[StopReason, int, int]]:
    return [
        (StopReason.BUDGET, used.get("cost_micro_usd", 0), limits.budget_micro_usd),
        (StopReason.MODEL_CALLS, used.get("model_calls", 0), limits.model_calls),
        (StopReason.HANDOFFS, used.get("handoffs", 0), limits.handoffs),
        (StopReason.STEPS, used.get("steps", 0), limits.steps),
    ]

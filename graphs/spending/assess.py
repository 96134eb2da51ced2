"""Compares a job's usage with its limits and decides how to go on. Pure: the clock is an argument."""

from datetime import datetime
from typing import Literal, NamedTuple

from graphs.spending.limits import LIMITS, Limits
from graphs.spending.spend import Spend
from graphs.state import ResearchState
from graphs.stop_reasons import StopReason

# A run must end while LangGraph still grants steps. A round of hand-offs takes four (supervisor, budget, agent,
# verify), the ending five (report and verify_report, both twice, and finish); one is spare.
STEPS_TO_FINISH = 10


class Verdict(NamedTuple):
    """`go`, `wrap_up` with what there is, or stop because a `limit` is reached. `reason` is None only for `go`."""

    course: Literal["go", "wrap_up", "limit"]
    reason: StopReason | None = None
    detail: str = ""


def assess(state: ResearchState, used: Spend, now: datetime) -> Verdict:
    """The first reached limit, or the wrap-up mark, or `go`."""
    limits = Limits.model_validate(state["limits"])
    if halted := state.get("halted"):
        return Verdict("limit", StopReason(halted["reason"]), halted["detail"])
    for name, limit in LIMITS.items():
        if limit.scope == "job" and limit.unit.counter and getattr(used, limit.unit.counter) >= getattr(limits, name):
            return Verdict("limit", limit.reason)
    if now >= datetime.fromisoformat(state["deadline_at"]):
        return Verdict("limit", StopReason.DEADLINE)
    wrap_up = {
        StopReason.STEPS: state["remaining_steps"] <= STEPS_TO_FINISH,
        StopReason.BUDGET_WRAP_UP: used.micro_usd * 100 >= limits.budget_micro_usd * limits.wrap_up_percent,
    }
    reason = next((reason for reason, reached in wrap_up.items() if reached), None)
    return Verdict("wrap_up", reason) if reason else Verdict("go")

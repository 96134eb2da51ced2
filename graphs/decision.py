"""What a human may answer to an escalation, and what the answer does to the job."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from graphs.governance.limits import EXPLAINED, MICRO, JobLimits, StopReason
from graphs.state import Json, ResearchState, of_status


class _Choice(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ApproveMore(_Choice):
    """Raise the budget by this many US dollars and go on; every other limit is granted once more."""

    action: Literal["approve_more"] = "approve_more"
    amount_usd: float = Field(gt=0, le=1000)


class Redirect(_Choice):
    """Tell the supervisor what to do instead of the open tasks; every limit but the budget is granted once more."""

    action: Literal["redirect"] = "redirect"
    note: str = Field(min_length=3, max_length=1000)
    amount_usd: float = Field(default=0, ge=0, le=1000)


class FinishPartial(_Choice):
    """Write the report from what there is."""

    action: Literal["finish_partial"] = "finish_partial"


class Abort(_Choice):
    """End the job without a report."""

    action: Literal["abort"] = "abort"


Decision = Annotated[ApproveMore | Redirect | FinishPartial | Abort, Field(discriminator="action")]
DECISION: TypeAdapter[ApproveMore | Redirect | FinishPartial | Abort] = TypeAdapter(Decision)


def escalation(state: ResearchState) -> Json:
    """The question to a human: what happened, what was spent, what is done, what may be answered.

    `least_amount_usd` is what an answer that goes on has to add to the budget.
    """
    reason = StopReason(state["stop_reason"] or StopReason.BUDGET)
    tasks = state["tasks"].values()
    return {
        "job_id": state["job_id"],
        "question": state["question"],
        "reason": str(reason),
        "what_happened": f"The job is paused because {EXPLAINED[reason]}.",
        "spent_usd": state["counters"].get("cost_micro_usd", 0) / MICRO,
        "budget_usd": JobLimits.model_validate(state["limits"]).budget_micro_usd / MICRO,
        "least_amount_usd": _least(state) / MICRO,
        "tasks_done": [task["objective"] for task in tasks if task["status"] == "done"],
        "tasks_open": [task["objective"] for task in tasks if task["status"] == "pending"],
        "findings": len(of_status(state, "verified")),
        "choices": DECISION.json_schema(),
    }


def decided(state: ResearchState, answer: object) -> ApproveMore | Redirect | FinishPartial | Abort:
    """The answer, when it is one of the choices and can be carried out.

    Raises:
        ValueError: it is none of them, or adds so little that the job would stop again at once.
    """
    decision = DECISION.validate_python(answer)
    if isinstance(decision, ApproveMore | Redirect) and round(decision.amount_usd * MICRO) < _least(state):
        raise ValueError(
            f"{decision.action} with {decision.amount_usd:g} US dollars would stop again at once: "
            f"amount_usd has to be at least {_least(state) / MICRO:g}"
        )
    return decision


def applied(state: ResearchState, answer: object, now: datetime) -> Json:
    """The state update that the answer asks for. Raises ValueError as `decided` does."""
    match decided(state, answer):
        case ApproveMore(amount_usd=amount):
            return {**_granted(state, now, round(amount * MICRO)), "route": "assign"}
        case Redirect(note=note, amount_usd=amount):
            granted = _granted(state, now, round(amount * MICRO))
            return {**granted, **_withdrawn(state), "route": "assign", "note": note}
        case FinishPartial():
            return {"route": "report", "stop_reason": StopReason.HUMAN_FINISHED.value}
        case Abort():
            return {"route": "finish", "stop_reason": StopReason.ABORTED.value}


def _least(state: ResearchState) -> int:
    """Micro-dollars that bring the budget above the wrap-up mark again."""
    limits = JobLimits.model_validate(state["limits"])
    needed = state["counters"].get("cost_micro_usd", 0) * 100 // limits.wrap_up_percent + 1
    return max(0, needed - limits.budget_micro_usd)


def _granted(state: ResearchState, now: datetime, extra_micro_usd: int) -> Json:
    """Limits raised so that the job may do as much again as its limits first allowed."""
    limits, first = JobLimits.model_validate(state["limits"]), JobLimits.model_validate(state["first_limits"])
    used = state["counters"]
    raised = limits.model_copy(
        update={
            "budget_micro_usd": limits.budget_micro_usd + extra_micro_usd,
            "steps": used.get("steps", 0) + first.steps,
            "handoffs": used.get("handoffs", 0) + first.handoffs,
            "model_calls": used.get("model_calls", 0) + first.model_calls,
        }
    )
    return {
        "limits": raised.model_dump(mode="json"),
        "deadline_at": (now + timedelta(seconds=first.deadline_s)).isoformat(),
        "plans": 0,
        "stop_reason": None,
    }


def _withdrawn(state: ResearchState) -> Json:
    """Open tasks end here: the supervisor plans anew, by the note."""
    tasks = [task for task in state["tasks"].values() if task["status"] == "pending"]
    return {"tasks": {task["id"]: {**task, "status": "withdrawn"} for task in tasks}}

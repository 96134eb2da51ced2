"""The choices that an escalation offers a human, and how each changes the job."""

import math
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from graphs.spending.limits import LIMITS, MICRO, MOST_USD, USD, Limit, Limits, dollars
from graphs.spending.spend import Spend
from graphs.state import Json, ResearchState, of_status
from graphs.stop_reasons import EXPLAINED, StopReason


class _Choice(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ApproveMore(_Choice):
    """Raise the budget by this many US dollars and go on; every other limit of the job is granted once more."""

    action: Literal["approve_more"] = "approve_more"
    amount_usd: float = Field(ge=0, le=MOST_USD)


class Redirect(_Choice):
    """Tell the supervisor what to do instead of the open tasks, and optionally raise the budget; every other limit of
    the job is granted once more."""

    action: Literal["redirect"] = "redirect"
    note: str = Field(min_length=3, max_length=1000)
    amount_usd: float = Field(default=0, ge=0, le=MOST_USD)


class FinishPartial(_Choice):
    """Write the report from what there is."""

    action: Literal["finish_partial"] = "finish_partial"


class Abort(_Choice):
    """End the job without a report."""

    action: Literal["abort"] = "abort"


Decision = Annotated[ApproveMore | Redirect | FinishPartial | Abort, Field(discriminator="action")]
DECISION: TypeAdapter[ApproveMore | Redirect | FinishPartial | Abort] = TypeAdapter(Decision)


# Limits of the deployment, which no decision about a job can raise.
REMEDIES = {
    StopReason.MODEL_ACCOUNT: "fix the key, the quota or the bill at the model provider; no task is lost until then",
    StopReason.SPEND_RATE: "raise TOLLGATE_SPEND_PER_MINUTE_USD: it does not pay for one call of this model",
}
NO_ANSWER: Json = {"action": "no_answer"}  # stands for the decision when nobody decided in time


def escalation(state: ResearchState, ceiling: Limits) -> Json:
    """The question to a human: what happened, what was spent, what is done, the choices, and the time limit.

    A choice that goes on must add at least `least_amount_usd` to the budget and may add up to `most_amount_usd`.
    """
    reason = StopReason(state["stop_reason"] or StopReason.BUDGET)
    limits = Limits.model_validate(state["limits"])
    tasks = state["tasks"].values()
    spent = state.get("used", {}).get("micro_usd", 0)
    return {
        "job_id": state["job_id"],
        "question": state["question"],
        "reason": str(reason),
        "what_happened": f"The job is paused because {EXPLAINED[reason]}.",
        "detail": state.get("stop_detail", ""),
        "spent_usd": spent / MICRO,
        "budget_usd": limits.budget_micro_usd / MICRO,
        "least_amount_usd": _least(state, spent) / MICRO,
        "most_amount_usd": _most(limits, ceiling) / MICRO,
        "tasks_done": [task["objective"] for task in tasks if task["status"] == "done"],
        "tasks_open": [task["objective"] for task in tasks if task["status"] == "pending"],
        "findings": len(of_status(state, "verified")),
        "remedy": REMEDIES.get(reason, ""),
        "answer_by": state.get("answer_by"),
        "choices": DECISION.json_schema(),
    }


def proposed_usd(question: Json) -> float | None:
    """The amount to propose for this escalation, in whole cents if possible; None if no amount is enough to go on."""
    least, most = question["least_amount_usd"], question["most_amount_usd"]
    return min(most, max(0.1, math.ceil(least * 100) / 100)) if least <= most else None


def decided(
    state: ResearchState, used: Spend, answer: object, ceiling: Limits
) -> ApproveMore | Redirect | FinishPartial | Abort:
    """The validated decision.

    Raises:
        ValueError: it is not one of the choices, adds so little that the job would stop again at once, or passes the
            ceiling.
    """
    decision = DECISION.validate_python(answer)
    if isinstance(decision, ApproveMore | Redirect):
        amount = round(decision.amount_usd * MICRO)
        least, most = _least(state, used.micro_usd), _most(Limits.model_validate(state["limits"]), ceiling)
        if amount > most:
            raise ValueError(
                f"{decision.action} with {dollars(amount)} would pass this deployment's ceiling of "
                f"{dollars(ceiling.budget_micro_usd)} a job: amount_usd may be at most {most / MICRO:g}"
            )
        if amount < least:
            raise ValueError(
                f"{decision.action} with {dollars(amount)} would stop again at once: "
                f"amount_usd has to be at least {least / MICRO:g}"
            )
    return decision


def applied(state: ResearchState, used: Spend, answer: object, ceiling: Limits, now: datetime) -> Json:
    """The state update for the decision. Raises ValidationError when it is not one of the choices.

    It was validated when it was accepted. Later changes (the ceiling, a late charge) do not revoke it: at worst the job
    asks again.
    """
    if answer == NO_ANSWER:
        return _finishing(state, now, StopReason.NO_DECISION)
    most = _most(Limits.model_validate(state["limits"]), ceiling)
    match DECISION.validate_python(answer):
        case ApproveMore(amount_usd=amount):
            return {**_granted(state, used, now, min(most, round(amount * MICRO))), "route": "assign"}
        case Redirect(note=note, amount_usd=amount):
            granted = _granted(state, used, now, min(most, round(amount * MICRO)))
            return {**granted, **_withdrawn(state), "route": "assign", "note": note}
        case FinishPartial():
            return _finishing(state, now, StopReason.HUMAN_FINISHED)
        case Abort():
            return {"route": "finish", "stop_reason": StopReason.ABORTED.value, "stop_detail": ""}


def _finishing(state: ResearchState, now: datetime, reason: StopReason) -> Json:
    """Go to the report, with time to write it: a human's thinking time is not the job's."""
    first = Limits.model_validate(state["first_limits"])
    deadline = now + timedelta(seconds=min(first.deadline_s, 2 * first.call_timeout_s))
    return {"route": "report", "stop_reason": reason.value, "stop_detail": "", "deadline_at": deadline.isoformat()}


def _least(state: ResearchState, spent_micro_usd: int) -> int:
    """Micro-dollars that lift the budget above the wrap-up mark and pay for the refused call."""
    limits, halted = Limits.model_validate(state["limits"]), state.get("halted")
    above_mark = spent_micro_usd * 100 // limits.wrap_up_percent + 1
    needed = halted["needed_micro_usd"] if halted else 0
    return max(0, max(above_mark, needed) - limits.budget_micro_usd)


def _most(limits: Limits, ceiling: Limits) -> int:
    return max(0, ceiling.budget_micro_usd - limits.budget_micro_usd)


def _granted(state: ResearchState, used: Spend, now: datetime, extra_micro_usd: int) -> Json:
    """Limits raised so that the job may do as much again as it was first allowed."""
    limits, first = Limits.model_validate(state["limits"]), Limits.model_validate(state["first_limits"])
    counted = [name for name, limit in LIMITS.items() if limit.unit.counter and limit.unit is not USD]
    again = {name: _used(used, LIMITS[name]) + getattr(first, name) for name in counted}
    raised = limits.model_copy(update={"budget_micro_usd": limits.budget_micro_usd + extra_micro_usd, **again})
    return {
        "limits": raised.model_dump(mode="json"),
        "deadline_at": (now + timedelta(seconds=first.deadline_s)).isoformat(),
        "plans": 0,
        "handoffs": [],
        "halted": None,
        "stop_reason": None,
        "stop_detail": "",
    }


def _used(used: Spend, limit: Limit) -> int:
    """What the job, or the agent that used the most, has used of this limit."""
    each = [used] if limit.scope == "job" else used.agents.values()
    return max((getattr(one, limit.unit.counter) for one in each), default=0)


def _withdrawn(state: ResearchState) -> Json:
    """Withdraw open tasks: the supervisor plans anew, following the note."""
    tasks = [task for task in state["tasks"].values() if task["status"] == "pending"]
    return {"tasks": {task["id"]: {**task, "status": "withdrawn"} for task in tasks}}

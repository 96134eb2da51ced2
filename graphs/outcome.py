"""How a job ends. It is decided here, from what happened; exit codes, gaps, report and API show it.

`completed` says that the question was answered by findings that stand, or that every data source that the plan needed
was asked, answered, and does not have it. Whatever is less than that is `partial`, and says why.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from graphs.state import ResearchState, TaskState, of_status
from graphs.stop_reasons import StopReason

_WITHOUT_REPORT = {StopReason.ABORTED, StopReason.REFUSED}


class Outcome(NamedTuple):
    """The end of a job: its status, why, and what there is to say of it beside the reason."""

    status: Literal["completed", "partial", "failed"]
    reason: StopReason
    detail: str = ""


def outcome(state: ResearchState) -> Outcome:
    """What the job came to, if it ends as it stands."""
    told = state.get("stop_reason")
    reason, detail = StopReason(told) if told else None, state.get("stop_detail", "")
    if reason in _WITHOUT_REPORT or state.get("report") is None:
        return Outcome("failed", reason or StopReason.TASK_FAILED, detail)
    if reason is not None:
        return Outcome("partial", reason, detail)
    return next(_shortfalls(state), None) or _of_findings(state)


def _of_findings(state: ResearchState) -> Outcome:
    """What the job came to when every task was done."""
    if of_status(state, "verified"):
        return Outcome("completed", StopReason.ANSWERED)
    if of_status(state, "dropped"):
        return Outcome("partial", StopReason.FINDINGS_DROPPED)
    if not state["evidence"]:
        return Outcome("partial", StopReason.NOTHING_LOOKED_UP)
    if not any(task["status"] == "done" for task in state["tasks"].values()):
        return Outcome("partial", StopReason.TASK_FAILED, "all that was begun was withdrawn, and nothing came after it")
    return Outcome("completed", StopReason.NOT_IN_DATA)


def _shortfalls(state: ResearchState) -> Iterator[Outcome]:
    """Tasks that did not do what the plan needed, in the order of the plan: what failed first is why others did."""
    for task in state["tasks"].values():
        if task["status"] == "failed":
            reason = StopReason(task["reason"] or StopReason.TASK_FAILED)
            yield Outcome("partial", reason, f"{task['agent']}: {task['error']}")
        elif task["unanswered"] and task["status"] == "done":
            yield Outcome("partial", StopReason.SOURCE_UNAVAILABLE, not_answered(task))
        elif task["status"] == "pending":
            yield Outcome("partial", StopReason.TASK_FAILED, f"not begun: {task['objective']}")


def not_answered(task: TaskState) -> str:
    """Which data sources a task asked in vain, in words."""
    return f"{task['agent']}: no answer from {', '.join(task['unanswered'])}"

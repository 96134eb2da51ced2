"""Decides how a job ends; exit codes, gaps, report and API show it.

`completed` means that verified findings answer the question, or that every data source that the plan needed answered
and does not have it. Anything less is `partial`, and says why.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from graphs.state import ResearchState, TaskState, of_status
from graphs.stop_reasons import StopReason

_WITHOUT_REPORT = {StopReason.ABORTED, StopReason.REFUSED}


class Outcome(NamedTuple):
    """The end of a job: its status, the reason, and details."""

    status: Literal["completed", "partial", "failed"]
    reason: StopReason
    detail: str = ""


def outcome(state: ResearchState) -> Outcome:
    """The outcome if the job ends now."""
    told = state.get("stop_reason")
    reason, detail = StopReason(told) if told else None, state.get("stop_detail", "")
    if reason in _WITHOUT_REPORT or state.get("report") is None:
        return Outcome("failed", reason or StopReason.TASK_FAILED, detail)
    if reason is not None:
        return Outcome("partial", reason, detail)
    return next(_shortfalls(state), None) or _of_findings(state)


def _of_findings(state: ResearchState) -> Outcome:
    """The outcome when every task was done."""
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
    """Tasks that did not do what the plan needed, in plan order: the first failure explains later ones."""
    for task in state["tasks"].values():
        if task["status"] == "failed":
            reason = StopReason(task["reason"] or StopReason.TASK_FAILED)
            yield Outcome("partial", reason, f"{task['agent']}: {task['error']}")
        elif task["unanswered"] and task["status"] == "done":
            yield Outcome("partial", StopReason.SOURCE_UNAVAILABLE, not_answered(task))
        elif task["status"] == "pending":
            yield Outcome("partial", StopReason.TASK_FAILED, f"not begun: {task['objective']}")


def not_answered(task: TaskState) -> str:
    """Which data sources did not answer a task, in words."""
    return f"{task['agent']}: no answer from {', '.join(task['unanswered'])}"

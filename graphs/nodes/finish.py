"""finish: names how the job ended. The end is this explicit mark, never inferred from an empty queue."""

from typing import Any

from graphs.deps import Deps
from graphs.governance.limits import StopReason
from graphs.state import ResearchState, of_status

_ENDS_WITHOUT_REPORT = {StopReason.ABORTED, StopReason.REFUSED}


def finish(deps: Deps) -> Any:
    """The node."""

    async def finish_node(state: ResearchState) -> dict[str, Any]:
        used = await deps.ledger.spend(state["job_id"])
        return {**_ending(state), "used": used.model_dump(mode="json")}

    return finish_node


def _ending(state: ResearchState) -> dict[str, Any]:
    reason = StopReason(state["stop_reason"]) if state["stop_reason"] else None
    if reason in _ENDS_WITHOUT_REPORT or state["report"] is None:
        return {"status": "failed", "stop_reason": (reason or StopReason.TASK_FAILED).value}
    if reason is not None:
        return {"status": "partial", "stop_reason": reason.value}
    if any(task["status"] == "failed" for task in state["tasks"].values()):
        return {"status": "partial", "stop_reason": StopReason.TASK_FAILED.value}
    answered = StopReason.ANSWERED if of_status(state, "verified") else StopReason.NOT_IN_DATA
    return {"status": "completed", "stop_reason": answered.value}

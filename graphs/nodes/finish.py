"""finish: sets the final status. The end is this explicit mark, never inferred from an empty queue."""

from typing import Any

from graphs.deps import Deps
from graphs.outcome import outcome
from graphs.state import ResearchState


def finish(deps: Deps) -> Any:
    """The node."""

    async def finish_node(state: ResearchState) -> dict[str, Any]:
        used = await deps.ledger.spend(state["job_id"])
        ended = outcome(state)
        told = {"status": ended.status, "stop_reason": ended.reason.value, "stop_detail": ended.detail}
        return {**told, "used": used.model_dump(mode="json")}

    return finish_node

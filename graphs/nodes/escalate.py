"""escalate: asks a human. Nothing comes before the interrupt, because a resume runs the node from its start."""

from collections.abc import Callable
from typing import Any

from langgraph.config import get_config
from langgraph.types import interrupt
from pydantic import ValidationError

from graphs.deps import Deps
from graphs.planning.decision import applied, escalation
from graphs.state import ResearchState


def escalate(deps: Deps) -> Any:
    """The node. The answer is a `graphs.planning.decision.Decision`, or NO_ANSWER when nobody answered in time."""

    async def escalate_node(state: ResearchState) -> dict[str, Any]:
        answer = interrupt(escalation(state, deps.ceiling))
        used = await deps.ledger.spend(state["job_id"])
        try:
            return applied(state, used, answer, deps.ceiling, deps.job_time(get_config()))
        except ValidationError as error:  # from Studio; the command line refuses it earlier
            return {
                "route": "escalate",
                "stop_detail": f"the last answer was not one of the choices: {error.errors()[0]['msg']}",
            }

    return escalate_node


def after_escalate(planner: str) -> Callable[[ResearchState], str]:
    """More budget or a new direction go back to the planner. After an invalid answer the question is asked again."""
    return lambda state: planner if state["route"] == "assign" else state["route"]

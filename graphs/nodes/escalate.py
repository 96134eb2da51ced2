"""escalate: asks a human. Nothing comes before the interrupt, because a resume runs the node from its start."""

from typing import Any

from langgraph.types import interrupt

from graphs.decision import applied, escalation
from graphs.deps import Deps
from graphs.state import ResearchState


def escalate(deps: Deps) -> Any:
    """The node. The answer is one of `graphs.decision.Decision`."""

    async def escalate_node(state: ResearchState) -> dict[str, Any]:
        answer = interrupt(escalation(state))
        return {**applied(state, answer, deps.now()), "counters": {"steps": 1}}

    return escalate_node


def after_escalate(state: ResearchState) -> str:
    """More budget or a new direction go back to the supervisor."""
    return {"assign": "supervisor", "report": "report", "finish": "finish"}[state["route"]]

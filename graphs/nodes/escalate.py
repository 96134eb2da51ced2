"""escalate: asks a human. Nothing comes before the interrupt, because a resume runs the node from its start."""

from collections.abc import Callable
from typing import Any

from langgraph.config import get_config
from langgraph.types import interrupt
from pydantic import ValidationError

from graphs.deps import Deps
from graphs.planning.decision import applied, decided, escalation
from graphs.planning.review import choice, review
from graphs.state import ResearchState
from graphs.telemetry import note

_LONGEST = 300  # characters of what is wrong with an answer; it may quote it


def escalate(deps: Deps) -> Any:
    """The node. The answer is a `graphs.planning.decision.Decision`, what `graphs.planning.review` makes one of, or
    NO_ANSWER when nobody answered in time. Any other is refused, and the question asked again."""

    async def escalate_node(state: ResearchState) -> dict[str, Any]:
        question = escalation(state, deps.ceiling)
        answer = interrupt({**question, **review(question)})
        note(stop_reason=state["stop_reason"] or "")
        used = await deps.ledger.spend(state["job_id"])
        try:
            if (chosen := choice(answer, question)) is not None:
                answer = decided(state, used, chosen, deps.ceiling).model_dump()
            return applied(state, used, answer, deps.ceiling, deps.job_time(get_config()))
        except ValueError as error:  # from another client; ours refuse it earlier
            return {
                "route": "escalate",
                "stop_detail": f"the last answer was not one of the choices: {_wrong(error)[:_LONGEST]}",
            }

    return escalate_node


def after_escalate(planner: str) -> Callable[[ResearchState], str]:
    """More budget or a new direction go back to the planner. After an invalid answer the question is asked again."""
    return lambda state: planner if state["route"] == "assign" else state["route"]


def _wrong(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    place = ".".join(str(each) for each in first["loc"][1:])
    return f"{place}: {first['msg']}" if place else first["msg"]

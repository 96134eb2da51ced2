"""budget: every hand-off passes here, and Studio shows it. It allows, wraps up, escalates or ends."""

from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import Send

from graphs.deps import Deps
from graphs.governance.assess import assess
from graphs.governance.limits import JobLimits
from graphs.nodes.specialist import handoff
from graphs.plan import ready
from graphs.state import ResearchState

_AT_LIMIT = {"escalate": "escalate", "finish_partial": "report", "fail": "finish"}


def budget(deps: Deps) -> Any:
    """The node. It only reads counters and writes the route: edges carry it out."""

    async def budget_node(state: ResearchState, runtime: Runtime) -> dict[str, Any]:
        limits = JobLimits.model_validate(state["limits"])
        course, reason = assess(state, deps.now())
        update: dict[str, Any] = {"route": state["wanted"]}
        if reason and state["wanted"] == "assign":
            route = _AT_LIMIT[limits.on_limit] if course == "limit" else "report"
            update = {"route": route, "stop_reason": reason.value}
        handed = _dispatch(state, limits) if update["route"] == "assign" else []
        if update["route"] == "assign" and not handed:
            update = {"route": "report"}
        counters = {"steps": 1, "handoffs": len(handed)}
        runtime.stream_writer({"type": "budget", "route": update["route"], **_spent(state, limits)})
        return {**update, "dispatch": handed, "counters": counters}

    return budget_node


def after_budget(state: ResearchState) -> str | list[Send]:
    """Ready tasks go out in parallel, one message each, with the evidence of the tasks they build on."""
    if state["route"] != "assign":
        return state["route"]
    tasks = [state["tasks"][each] for each in state["dispatch"]]
    return [Send(task["agent"], handoff(task, state)) for task in tasks]


def _dispatch(state: ResearchState, limits: JobLimits) -> list[str]:
    left = limits.handoffs - state["counters"].get("handoffs", 0)
    return [task["id"] for task in ready(state["tasks"])[:left]]


def _spent(state: ResearchState, limits: JobLimits) -> dict[str, Any]:
    used = state["counters"]
    return {
        "cost_micro_usd": used.get("cost_micro_usd", 0),
        "budget_micro_usd": limits.budget_micro_usd,
        "steps": used.get("steps", 0),
        "handoffs": used.get("handoffs", 0),
    }

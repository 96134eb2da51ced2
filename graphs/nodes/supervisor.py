"""supervisor: turns the question into a DAG of tasks, and decides when there is enough for the report."""

import json
from typing import Any, cast

from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.runtime import Runtime
from openai import OpenAIError

from agents.base import SupervisorDecision
from graphs.deps import Deps
from graphs.errors import PlanError
from graphs.governance.assess import assess
from graphs.governance.limits import StopReason
from graphs.governance.meter import Meter
from graphs.plan import ready, validated
from graphs.prompts import prompt
from graphs.state import ResearchState, TaskState

MAX_PLANS = 3
ATTEMPTS = 2


def supervisor(deps: Deps) -> Any:
    """The node. It asks the model only when no task is ready: a known next step costs nothing."""
    model = deps.supervisor_model.with_structured_output(SupervisorDecision, method="json_schema")
    system = SystemMessage(prompt("supervisor"))

    async def supervisor_node(state: ResearchState, runtime: Runtime) -> dict[str, Any]:
        if ready(state["tasks"]):
            return {"wanted": "assign", "counters": {"steps": 1}}
        if state.get("plans", 0) >= MAX_PLANS or assess(state, deps.now()).course != "go":
            return {"wanted": "report", "counters": {"steps": 1}}
        meter = Meter("supervisor", price=deps.price, emit=runtime.stream_writer)
        update = await _decide(state, meter)
        runtime.stream_writer({"type": "plan", "tasks": list(update.get("tasks", {}).values()), **_why(update)})
        return {**update, "note": None, "counters": {**meter.counters, "steps": 1}}

    async def _decide(state: ResearchState, meter: Meter) -> dict[str, Any]:
        messages = [system, HumanMessage(_packet(state, deps))]
        refusal = "it gave none"
        for _ in range(ATTEMPTS):
            try:
                decision = cast("SupervisorDecision", await model.ainvoke(messages, config={"callbacks": [meter]}))
                return _update(state, decision, deps)
            except (PlanError, ValueError, OpenAIError) as error:
                refusal = str(error)
                messages = [*messages[:2], HumanMessage(f"Your last answer was refused: {refusal}. Mend it.")]
        return {
            "wanted": "report",
            "stop_reason": StopReason.PLAN_FAILED.value,
            "flags": [*state["flags"], refusal],
        }

    return supervisor_node


def _update(state: ResearchState, decision: SupervisorDecision, deps: Deps) -> dict[str, Any]:
    if decision.action == "report":
        return {"wanted": "report"}
    tasks = validated(decision.tasks, state["tasks"], [agent.name for agent in deps.agents])
    if not tasks:
        raise PlanError("`assign` without tasks; name at least one task, or answer `report`")
    return {"wanted": "assign", "tasks": tasks, "plans": state.get("plans", 0) + 1}


def _why(update: dict[str, Any]) -> dict[str, Any]:
    return {"stop_reason": update["stop_reason"]} if "stop_reason" in update else {}


def _packet(state: ResearchState, deps: Deps) -> str:
    findings = [each for each in state["findings"].values() if each["status"] == "verified"]
    return json.dumps(
        {
            "question": state["question"],
            "agents": [{"name": agent.name, "does": agent.does} for agent in deps.agents],
            "tasks": [_task(task, state) for task in state["tasks"].values()],
            "findings": [{"task": each["task"], "claim": each["claim"]} for each in findings],
            "gaps": [gap for task in state["tasks"].values() for gap in task["gaps"]],
            "note": state.get("note"),
            "may_assign": True,
        },
        ensure_ascii=False,
    )


def _task(task: TaskState, state: ResearchState) -> dict[str, Any]:
    found = sum(each["task"] == task["id"] for each in state["findings"].values() if each["status"] == "verified")
    shown = ("id", "agent", "objective", "depends_on", "status", "gaps")
    return {**{key: task[key] for key in shown}, "findings": found}  # type: ignore[literal-required]

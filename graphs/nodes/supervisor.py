"""supervisor: turns the question into a DAG of tasks, and decides when there is enough for the report."""

import json
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.runtime import Runtime
from openai import OpenAIError

from agents.base import SupervisorDecision
from graphs.deps import Deps
from graphs.errors import UNUSABLE_ANSWER, PlanError
from graphs.governance.assess import assess
from graphs.governance.limits import EXPLAINED, StopReason
from graphs.governance.meter import Meter
from graphs.plan import ready, validated
from graphs.prompts import prompt
from graphs.state import ResearchState, TaskState, of_status

MAX_PLANS = 3
ATTEMPTS = 2


def supervisor(deps: Deps) -> Any:
    """The node. It asks the model only when no task is ready, or a human left a note: a known next step is free."""
    model = deps.supervisor_model.with_structured_output(SupervisorDecision, method="json_schema")
    system = SystemMessage(prompt("supervisor"))

    async def supervisor_node(state: ResearchState, runtime: Runtime) -> dict[str, Any]:
        asked = state.get("note") is not None
        if (ready(state["tasks"]) and not asked) or assess(state, deps.now()).course != "go":
            return {
                "wanted": "assign",
                "counters": {"steps": 1},
            }  # at a limit it is for the budget node to say how to end
        meter = Meter("supervisor", price=deps.price, emit=runtime.stream_writer)
        update = await _decide(state, meter)
        tasks = list(update.get("tasks", {}).values())
        runtime.stream_writer({"type": "plan", "tasks": tasks, "stop_reason": update.get("stop_reason")})
        return {**update, "note": None, "counters": {**meter.counters, "steps": 1}}

    async def _decide(state: ResearchState, meter: Meter) -> dict[str, Any]:
        messages = [system, HumanMessage(_packet(state, deps))]
        refusal = ""
        for _ in range(ATTEMPTS):
            try:
                answer = await model.ainvoke(messages, config={"callbacks": [meter]})
                return _update(state, SupervisorDecision.model_validate(answer), deps)
            except OpenAIError as error:
                return _ending(state, StopReason.MODEL_UNAVAILABLE, str(error))
            except (PlanError, *UNUSABLE_ANSWER) as error:
                refusal = str(error)
                messages = [*messages[:2], HumanMessage(f"Your last answer was refused: {refusal}. Mend it.")]
        return _ending(state, StopReason.PLAN_FAILED, refusal)

    return supervisor_node


def _update(state: ResearchState, decision: SupervisorDecision, deps: Deps) -> dict[str, Any]:
    if decision.action == "report":
        return {"wanted": "report"}
    if state.get("plans", 0) >= MAX_PLANS:
        return _ending(state, StopReason.PLANS, decision.reason)
    tasks = validated(decision.tasks, state["tasks"], [agent.name for agent in deps.agents])
    if not tasks:
        raise PlanError("`assign` without tasks; name at least one task, or answer `report`")
    return {"wanted": "assign", "tasks": tasks, "plans": state.get("plans", 0) + 1}


def _ending(state: ResearchState, reason: StopReason, said: str) -> dict[str, Any]:
    remark = f"{EXPLAINED[reason]}: {said}"
    return {"wanted": "report", "stop_reason": reason.value, "flags": [*state["flags"], remark]}


def _packet(state: ResearchState, deps: Deps) -> str:
    findings = of_status(state, "verified")
    return json.dumps(
        {
            "question": state["question"],
            "agents": [{"name": agent.name, "does": agent.does} for agent in deps.agents],
            "tasks": [_task(task, state) for task in state["tasks"].values()],
            "findings": [{"task": each["task"], "claim": each["claim"]} for each in findings],
            "gaps": [gap for task in state["tasks"].values() for gap in task["gaps"]],
            "note": state.get("note"),
            "may_assign": state.get("plans", 0) < MAX_PLANS,
        },
        ensure_ascii=False,
    )


def _task(task: TaskState, state: ResearchState) -> dict[str, Any]:
    found = sum(each["task"] == task["id"] for each in of_status(state, "verified"))
    shown = ("id", "agent", "objective", "depends_on", "status", "gaps")
    return {**{key: task[key] for key in shown}, "findings": found}  # type: ignore[literal-required]

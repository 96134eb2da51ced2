"""supervisor: turns the question into a DAG of tasks, and decides when there is enough for the report."""

import json
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from agents.base import SupervisorDecision
from graphs.answers.asking import asked
from graphs.deps import SUPERVISOR, Deps
from graphs.errors import (
    ENDS_THE_RUN,
    AccountRefused,
    LimitReached,
    ModelMustAct,
    ModelRefused,
    ModelUnavailable,
    PlanError,
)
from graphs.planning.handoff import newest
from graphs.planning.plan import decision_for, ready, validated
from graphs.prompts import prompt
from graphs.spending.assess import assess
from graphs.spending.limits import Limits
from graphs.state import ResearchState, TaskState, halt, of_status
from graphs.stop_reasons import StopReason

SAID = 500
MOST_FINDINGS = 60


def supervisor(deps: Deps) -> Any:
    """The node. It calls the model only when no task is ready, or a human left a note: a known next step is free. So is
    the report, if the plan was to lead to it and every task has found what it was for."""
    system = SystemMessage(prompt("supervisor"))

    async def supervisor_node(state: ResearchState, config: RunnableConfig, runtime: Runtime) -> dict[str, Any]:
        known = ready(state["tasks"]) and state.get("note") is None
        if known or assess(state, await deps.ledger.spend(state["job_id"]), deps.job_time(config)).course != "go":
            return {"wanted": "assign"}  # at a limit the budget node decides how to end
        if state.get("note") is None and _went_to_plan(state):
            return {"wanted": "report"}
        update = await _decide(state, config, runtime)
        tasks = list(update.get("tasks", {}).values())
        if "halted" not in update:
            runtime.stream_writer({"type": "plan", "tasks": tasks})
        return {**update, "note": None}

    async def _decide(state: ResearchState, config: RunnableConfig, runtime: Runtime) -> dict[str, Any]:
        model = deps.supervisor_model.charged_to(deps.account(state, SUPERVISOR, config), runtime.stream_writer)
        sensible = decision_for([agent.name for agent in deps.agents], state["tasks"])
        messages = [system, HumanMessage(_packet(state, deps))]
        try:
            return await asked(
                model, SupervisorDecision, messages, lambda decision: _update(state, decision, deps), narrowed=sensible
            )
        except ENDS_THE_RUN:
            raise
        except LimitReached as error:
            used = await deps.ledger.spend(state["job_id"])
            kept = deps.costs_of_report(Limits.model_validate(state["limits"]))
            needed = error.budget_after(used.micro_usd + kept)
            return {"wanted": "assign", "halted": halt(error.reason, error.detail, needed)}
        except AccountRefused as error:
            return _stuck(StopReason.MODEL_ACCOUNT, str(error))
        except ModelRefused as error:
            return _stuck(StopReason.MODEL_REFUSED, str(error))
        except ModelUnavailable as error:
            return _stuck(StopReason.MODEL_UNAVAILABLE, str(error))
        except ModelMustAct as error:
            return _stuck(StopReason.PLAN_FAILED, str(error))

    return supervisor_node


def _update(state: ResearchState, decision: SupervisorDecision, deps: Deps) -> dict[str, Any]:
    """The state update for a decision. Raises PlanError."""
    if decision.action == "report":
        if not state["tasks"]:
            raise PlanError("nothing has been looked up yet; `assign` at least one task")
        return {"wanted": "report"}
    if state.get("plans", 0) >= Limits.model_validate(state["limits"]).plans:
        return _stuck(StopReason.PLANS, decision.reason)
    tasks = validated(decision.tasks, state["tasks"], [agent.name for agent in deps.agents])
    if not tasks:
        raise PlanError("`assign` without tasks; name at least one task, or answer `report`")
    return {"wanted": "assign", "tasks": tasks, "plans": state.get("plans", 0) + 1, "then": decision.then}


def _went_to_plan(state: ResearchState) -> bool:
    """Whether the last plan was to lead to the report, and nothing has come up since that could change that."""
    found = {each["task"] for each in of_status(state, "verified")}
    done = [each["id"] in found and each["status"] == "done" and not each["gaps"] for each in state["tasks"].values()]
    return state.get("then") == "report" and all(done) and bool(done)


def _stuck(reason: StopReason, said: str) -> dict[str, Any]:
    """As at a limit, the budget node decides how to end: a human may do better than another attempt."""
    return {"wanted": "assign", "halted": halt(reason, said.split("\n", maxsplit=1)[0][:SAID])}


def _packet(state: ResearchState, deps: Deps) -> str:
    findings, omitted = newest(of_status(state, "verified"), MOST_FINDINGS)
    return json.dumps(
        {
            "question": state["question"],
            "agents": [{"name": agent.name, "does": agent.does} for agent in deps.agents],
            "tasks": [_task(task, state) for task in state["tasks"].values()],
            "findings": [{"task": each["task"], "claim": each["claim"]} for each in findings],
            "gaps": [gap for task in state["tasks"].values() for gap in task["gaps"]],
            "note": state.get("note"),
            "findings_omitted": omitted,
            "may_assign": state.get("plans", 0) < Limits.model_validate(state["limits"]).plans,
        },
        ensure_ascii=False,
    )


def _task(task: TaskState, state: ResearchState) -> dict[str, Any]:
    found = sum(each["task"] == task["id"] for each in of_status(state, "verified"))
    shown = ("id", "agent", "objective", "depends_on", "status", "gaps")
    return {**{key: task[key] for key in shown}, "findings": found}  # type: ignore[literal-required]

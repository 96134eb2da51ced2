"""budget: every hand-off passes through this node, which allows, wraps up, escalates or ends."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from langgraph.config import get_config
from langgraph.runtime import Runtime
from langgraph.types import Send

from agents.base import AgentSpec
from graphs.deps import Deps
from graphs.planning.handoff import handoff
from graphs.planning.plan import ready
from graphs.redis.fencing import fence_of
from graphs.spending.assess import Verdict, assess
from graphs.spending.limits import Limits
from graphs.spending.loops import in_handoffs
from graphs.spending.spend import Spend
from graphs.state import HandoffRecord, Json, ResearchState, TaskState

_AT_LIMIT = {"escalate": "escalate", "finish_partial": "report", "fail": "finish"}


def budget(deps: Deps) -> Any:
    """The node. It reads the ledger and the loop guard and writes the route; edges follow it."""

    async def budget_node(state: ResearchState, runtime: Runtime) -> dict[str, Any]:
        limits = Limits.model_validate(state["limits"])
        used = await deps.ledger.spend(state["job_id"])
        update: dict[str, Any] = {"route": state["wanted"]}
        if state["wanted"] == "assign":
            update = _routed(_verdict(state, used, limits, deps), limits)
        handed = _dispatch(state, used, limits) if update["route"] == "assign" else []
        if update["route"] == "assign" and not handed:
            update = {"route": "report"}
        if update["route"] == "escalate":
            update["answer_by"] = (deps.now() + timedelta(seconds=limits.decision_s)).isoformat(timespec="seconds")
        await deps.ledger.count(state["job_id"], handoffs=len(handed), fence=fence_of(get_config()))
        shown = {**used.model_dump(mode="json"), "handoffs": used.handoffs + len(handed)}
        tasks = [state["tasks"][each] for each in handed]
        runtime.stream_writer(_event(update, shown, limits, tasks))
        records = [*state["handoffs"], *map(_record, tasks)]
        watched = {"dispatch": handed, "evidence_before": len(state["evidence"]), "handoffs": records}
        return {**update, **watched, "used": shown}

    return budget_node


def after_budget(agents: Sequence[AgentSpec]) -> Callable[[ResearchState], str | list[Send]]:
    """Ready tasks go out in parallel, one message each, with the evidence of the tasks they build on."""

    def sent(state: ResearchState) -> str | list[Send]:
        if state["route"] != "assign":
            return state["route"]
        tasks = [state["tasks"][each] for each in state["dispatch"]]
        return [Send(task["agent"], handoff(task, state, agents)) for task in tasks]

    return sent


def _verdict(state: ResearchState, used: Spend, limits: Limits, deps: Deps) -> Verdict:
    """Limits first. A loop counts only if more work is wanted: a team that stops by itself is not in a loop."""
    verdict = assess(state, used, deps.job_time(get_config()))
    if verdict.course != "limit" and (loop := in_handoffs(state["handoffs"], limits)):
        return Verdict("limit", loop.reason, loop.detail)
    return verdict


def _routed(verdict: Verdict, limits: Limits) -> dict[str, Any]:
    if verdict.reason is None:
        return {"route": "assign"}
    route = _AT_LIMIT[limits.on_limit] if verdict.course == "limit" else "report"
    return {"route": route, "stop_reason": verdict.reason.value, "stop_detail": verdict.detail}


def _dispatch(state: ResearchState, used: Spend, limits: Limits) -> list[str]:
    left = min(limits.handoffs - used.handoffs, limits.parallel)
    return [task["id"] for task in ready(state["tasks"])[:left]]


def _record(task: TaskState) -> HandoffRecord:
    """The record of a hand-off; `fresh` is added after verification."""
    return HandoffRecord(task=task["id"], agent=task["agent"], objective=task["objective"], fresh=0)


def _event(update: Json, used: Json, limits: Limits, handed: list[TaskState]) -> Json:
    shown = {name: used[name] for name in ("micro_usd", "steps", "handoffs")}
    shown |= {"agents": [task["agent"] for task in handed]}
    stop = {name: update[name] for name in ("stop_reason", "stop_detail") if name in update}
    return {"type": "budget", "route": update["route"], "budget_micro_usd": limits.budget_micro_usd} | shown | stop

"""One agent as a node: built by one function from its `AgentSpec`, stateless per task, bounded in every direction."""

import asyncio
import json
from typing import Any, Self

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelCallLimitMiddleware, ToolCallLimitMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.errors import GraphBubbleUp
from langgraph.runtime import Runtime
from pydantic import ModelWrapValidatorHandler, model_validator
from typing_extensions import TypedDict

from agents import base
from agents.base import AgentSpec
from graphs.deps import Deps
from graphs.evidence import Evidence
from graphs.governance.meter import Meter
from graphs.nodes.toolbox import TaskRun, Toolbox
from graphs.state import EvidenceRef, FindingState, Json, ResearchState, TaskState, of_status

PREVIEW_LINES = 6
MAX_EVIDENCE = 12


class AgentResult(base.AgentResult):
    """The agent's answer, validated and then as JSON primitives: checkpoints hold nothing else.

    The class name is the name of the tool that the model calls with it.
    """

    @model_validator(mode="wrap")
    @classmethod
    def _as_json(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Any:
        return validate(data).model_dump(mode="json")


class Handoff(TypedDict):
    """What one agent is handed: its task, and the findings and evidence that the task builds on. Nothing else."""

    job_id: str
    question: str
    task: TaskState
    findings: list[FindingState]
    evidence: list[EvidenceRef]


def handoff(task: TaskState, state: ResearchState) -> Handoff:
    """The packet for this task."""
    sources = {*task["depends_on"], task["id"]}
    return Handoff(
        job_id=state["job_id"],
        question=state["question"],
        task=task,
        findings=[each for each in of_status(state, "verified") if each["task"] in sources],
        evidence=[each for each in state["evidence"].values() if each["task"] in sources][-MAX_EVIDENCE:],
    )


def specialist(spec: AgentSpec, deps: Deps) -> Any:
    """The node that runs this agent. What goes wrong comes back as a failed task, so that siblings go on."""
    agent = create_agent(
        deps.model,
        tools=[],  # the toolbox offers them at run time: the graph compiles with no server running
        system_prompt=spec.prompt,
        middleware=_middleware(spec, deps),
        response_format=ToolStrategy(AgentResult, handle_errors=True),
        context_schema=TaskRun,
        name=spec.name,
    )
    recursion_limit = 4 * (spec.model_calls + spec.tool_calls)

    async def specialist_node(state: Handoff, config: RunnableConfig, runtime: Runtime) -> dict[str, Any]:
        task, write = state["task"], runtime.stream_writer
        meter = Meter(spec.name, price=deps.price, emit=write)
        run = TaskRun(state["job_id"], task["id"], meter, write)
        write({"type": "task_started", "task": task["id"], "agent": spec.name, "objective": task["objective"]})
        child: RunnableConfig = {
            "callbacks": [meter],
            "recursion_limit": recursion_limit,
            "metadata": {"agent": spec.name, "task": task["id"]},
            "tags": [f"agent:{spec.name}"],
        }
        result, error = None, None
        try:
            async with asyncio.timeout(spec.timeout_s):
                given: Any = {"messages": [HumanMessage(await _packet(state, deps))]}
                ended = await agent.ainvoke(given, merge_configs(config, child), context=run)
            if answer := ended.get("structured_response"):
                result = base.AgentResult.model_validate(answer)
            run.evidence.update(_gathered(ended["messages"]))
        except GraphBubbleUp:
            raise
        except TimeoutError:
            error = f"no result within {spec.timeout_s} s"
        except Exception as problem:  # the boundary of a task: whatever went wrong in it must not cancel its siblings
            error = f"{type(problem).__name__}: {problem}"
        update = _outcome(task, spec, result, error)
        write({"type": "task_finished", "agent": spec.name, **update["tasks"][task["id"]]})
        return {**update, "evidence": run.evidence, "counters": {**meter.counters, "steps": 1}}

    return specialist_node


def _middleware(spec: AgentSpec, deps: Deps) -> list[AgentMiddleware[Any, TaskRun, Any]]:
    return [
        Toolbox(spec, deps.gateway, deps.evidence),
        ModelCallLimitMiddleware(run_limit=spec.model_calls, exit_behavior="end"),
        ToolCallLimitMiddleware(run_limit=spec.tool_calls, exit_behavior="continue"),
    ]


def _gathered(messages: list[AnyMessage]) -> dict[str, EvidenceRef]:
    """Also the evidence of the conversation before a crash, which this process did not see being gathered."""
    results = [each for each in messages if isinstance(each, ToolMessage) and each.artifact]
    return {each.artifact["id"]: each.artifact for each in results}


def _outcome(task: TaskState, spec: AgentSpec, result: base.AgentResult | None, error: str | None) -> Json:
    """The task's new entry and its findings, unverified. An answer without findings or gaps is a failure."""
    if error is None and result is None:
        error = f"ended without a result within {spec.model_calls} model calls and {spec.tool_calls} tool calls"
    elif result is not None and not result.findings and not result.gaps:
        error = "reported neither a finding nor a gap"
    attempt = task["attempts"] + 1
    entry = TaskState(
        **{
            **task,
            "status": "failed" if error else "done",
            "attempts": attempt,
            "feedback": [],
            "gaps": result.gaps if result else [],
            "error": error,
        }
    )
    findings = {}
    for number, finding in enumerate(result.findings if result else [], start=1):
        key = f"{task['id']}.{attempt}.{number}"
        findings[key] = FindingState(
            id=key,
            task=task["id"],
            agent=spec.name,
            claim=finding.claim,
            value=finding.value,
            unit=finding.unit,
            period=finding.period,
            evidence=list(finding.evidence),
            confidence=finding.confidence,
            status="unverified",
            refused=None,
        )
    return {"tasks": {task["id"]: entry}, "findings": findings}


async def _packet(state: Handoff, deps: Deps) -> str:
    task = state["task"]
    stored = await deps.evidence.many(state["job_id"], [each["id"] for each in state["evidence"]])
    shown = ("claim", "value", "unit", "period", "evidence")
    return json.dumps(
        {
            "question": state["question"],
            "task": {"id": task["id"], "objective": task["objective"]},
            "evidence": [at_hand(each, stored[each["id"]]) for each in state["evidence"] if each["id"] in stored],
            "findings": [{key: each[key] for key in shown} for each in state["findings"]],  # type: ignore[literal-required]
            "feedback": task["feedback"],
        },
        ensure_ascii=False,
    )


def at_hand(reference: EvidenceRef, stored: Evidence) -> Json:
    """What an agent is shown of a table: what it is, and its first lines."""
    shown = ("id", "tool", "title", "arguments", "columns", "rows")
    preview = "\n".join(stored.text.splitlines()[:PREVIEW_LINES])
    return {**{key: reference[key] for key in shown}, "preview": preview[:1000]}  # type: ignore[literal-required]

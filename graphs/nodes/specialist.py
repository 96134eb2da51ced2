"""One agent as a node: built by one function from its `AgentSpec`, stateless per task, bounded in every direction."""

import asyncio
from typing import Any, Self

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ClearToolUsesEdit, ContextEditingMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.errors import GraphBubbleUp
from langgraph.runtime import Runtime
from pydantic import ModelWrapValidatorHandler, model_validator

from agents import base
from agents.base import AgentSpec
from graphs.deps import Deps
from graphs.errors import ENDS_THE_RUN, LimitReached, ModelUnavailable
from graphs.governance.account import Account
from graphs.governance.limits import Limits, StopReason
from graphs.governance.spend import AgentSpend
from graphs.handoff import Handoff, packet
from graphs.injections import flags_of
from graphs.nodes.toolbox import TaskRun, Toolbox
from graphs.prompts import prompt
from graphs.state import EvidenceRef, FindingState, Halt, Json, TaskState, halt

HISTORY_TOKENS = 24_000  # about; older tool results then leave the conversation, and stay in the evidence store
HISTORY_KEPT = 4
FOR_THE_TASK = {"agent", "request"}  # a limit of one agent or one request fails its task; any other halts the job


class AgentResult(base.AgentResult):
    """The agent's answer, validated and then as JSON primitives: checkpoints hold nothing else.

    The class name is the name of the tool that the model calls with it.
    """

    @model_validator(mode="wrap")
    @classmethod
    def _as_json(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Any:
        return validate(data).model_dump(mode="json")


def specialist(spec: AgentSpec, deps: Deps) -> Any:
    """The node that runs this agent. What goes wrong comes back as a failed task, so that siblings go on."""
    agent = create_agent(
        deps.model,  # bound to nobody's account: the toolbox puts one in its place that is
        tools=[],  # the toolbox offers them at run time: the graph compiles with no server running
        system_prompt=f"{spec.prompt.rstrip()}\n\n{prompt('data')}",
        middleware=_middleware(spec, deps),
        response_format=ToolStrategy(AgentResult, handle_errors=True),
        context_schema=TaskRun,
        name=spec.name,
    )

    async def specialist_node(state: Handoff, config: RunnableConfig, runtime: Runtime) -> dict[str, Any]:
        task, write = state["task"], runtime.stream_writer
        limits = Limits.model_validate(state["limits"])
        account = deps.account(state, spec.name, config)
        run = TaskRun(account, task["id"], state["question"], deps.model.charged_to(account, write), write)
        write({"type": "task_started", "task": task["id"], "agent": spec.name, "objective": task["objective"]})
        child: RunnableConfig = {
            "recursion_limit": 4 * (limits.agent_model_calls + limits.agent_tool_calls),
            "metadata": {"agent": spec.name, "task": task["id"]},
            "tags": [f"agent:{spec.name}"],
        }
        result, error, halted = None, None, None
        try:
            left = (account.deadline_at - deps.now()).total_seconds()
            async with asyncio.timeout(min(limits.agent_deadline_s, left)):
                stored = await deps.evidence.many(state["job_id"], [each["id"] for each in state["evidence"]])
                given: Any = {"messages": [HumanMessage(packet(state, stored))]}
                ended = await agent.ainvoke(given, merge_configs(config, child), context=run)
            if answer := ended.get("structured_response"):
                result = base.AgentResult.model_validate(answer)
            run.evidence.update(_gathered(ended["messages"]))
        except (GraphBubbleUp, *ENDS_THE_RUN):
            raise
        except TimeoutError:
            error = f"no result within {limits.agent_deadline_s} s"
            if deps.now() >= account.deadline_at:
                halted = Halt(reason=StopReason.DEADLINE.value, detail="", needed_micro_usd=0)
        except LimitReached as limit:
            error = str(limit)
            halted = await _halted(limit, account, deps)
        except ModelUnavailable as down:  # the task can be done when the provider is back
            error = str(down)
            halted = Halt(reason=StopReason.MODEL_UNAVAILABLE.value, detail=error, needed_micro_usd=0)
        except Exception as problem:  # the boundary of a task: whatever went wrong in it must not cancel its siblings
            error = f"{type(problem).__name__}: {problem}"
        if halted:
            update: Json = {"tasks": {task["id"]: {**task, "error": error}}, "halted": halted}
        else:
            update = _outcome(task, spec, result, error)
        return {**update, "evidence": run.evidence}

    return specialist_node


def _middleware(spec: AgentSpec, deps: Deps) -> list[AgentMiddleware[Any, Any, Any]]:
    cleared = "[left out to keep this conversation short; call the tool again if you need it]"
    shorter = ClearToolUsesEdit(trigger=HISTORY_TOKENS, keep=HISTORY_KEPT, placeholder=cleared)
    return [Toolbox(spec, deps), ContextEditingMiddleware(edits=[shorter])]


async def _halted(limit: LimitReached, account: Account, deps: Deps) -> Halt | None:
    """Whether the limit stops the job, and the budget with which the agent could have gone on.

    Its own share stops an agent, and not the job, unless the budget is so small that one call is more than the share.
    """
    limits, used = account.limits, await deps.ledger.spend(account.job_id)
    own = used.agents.get(account.agent, AgentSpend()).micro_usd
    of_its_share = (own + limit.wanted_micro_usd) * 100 // limits.agent_share_percent + 1
    needed = max(used.micro_usd + limit.wanted_micro_usd, of_its_share) if limit.wanted_micro_usd else 0
    if limit.scope not in FOR_THE_TASK:
        return halt(limit, needed)
    if limit.wanted_micro_usd * 100 > limits.budget_micro_usd * limits.agent_share_percent:
        return Halt(reason=StopReason.BUDGET.value, detail=limit.detail, needed_micro_usd=needed)
    return None


def _gathered(messages: list[AnyMessage]) -> dict[str, EvidenceRef]:
    """Also the evidence of the conversation before a crash, which this process did not see being gathered."""
    results = [each for each in messages if isinstance(each, ToolMessage) and each.artifact]
    return {each.artifact["id"]: each.artifact for each in results}


def _harmless(gap: str, spec: AgentSpec) -> str:
    """A gap is told on to the supervisor and the reader as it is; one that gives orders is not."""
    orders = flags_of(gap)
    return (
        f"A gap told by the {spec.name} is left out: it reads like instructions ({', '.join(orders)})."
        if orders
        else gap
    )


def _outcome(task: TaskState, spec: AgentSpec, result: base.AgentResult | None, error: str | None) -> Json:
    """The task's new entry and its findings, unverified. An answer without findings or gaps is a failure."""
    if error is None and result is None:
        error = "ended without a result"
    elif result is not None and not result.findings and not result.gaps:
        error = "reported neither a finding nor a gap"
    attempt = task["attempts"] + 1
    entry = TaskState(
        **{
            **task,
            "status": "failed" if error else "done",
            "attempts": attempt,
            "feedback": [],
            "gaps": [_harmless(each, spec) for each in result.gaps] if result else [],
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
            marks=[],
            status="unverified",
            refused=None,
        )
    return {"tasks": {task["id"]: entry}, "findings": findings}

"""One agent as a node: built by one function from its `AgentSpec`, stateless per task, bounded in every direction."""

import asyncio
import time
from datetime import datetime
from typing import Any, Self

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ClearToolUsesEdit, ContextEditingMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.errors import GraphBubbleUp
from langgraph.runtime import Runtime
from pydantic import ModelWrapValidatorHandler, model_validator

from agents import base
from agents.base import AgentSpec
from graphs import telemetry
from graphs.answers.reading import fitted
from graphs.answers.schemas import strict
from graphs.deps import Deps
from graphs.errors import ENDS_THE_RUN
from graphs.nodes.answering import Answering
from graphs.nodes.failures import Failure, failure_of
from graphs.nodes.toolbox import CUT_SHORT, FAILED, FULL, UNANSWERED, TaskRun, Toolbox
from graphs.planning.handoff import Handoff, packet
from graphs.prompts import prompt
from graphs.spending.limits import Limits
from graphs.spending.spend import Account
from graphs.spending.toll import Emit
from graphs.state import MAX_ENTRIES, EvidenceRef, FindingState, Json, TaskState
from graphs.stop_reasons import EXPLAINED, StopReason
from graphs.untrusted.injections import flags_of

HISTORY_TOKENS = 24_000  # approximate; older tool results then leave the conversation but stay in the evidence store
HISTORY_KEPT = 4


class AgentResult(base.AgentResult):
    # Validated, then kept as JSON primitives: checkpoints hold nothing else. Name and docstring become those of the
    # tool that the model calls.
    __doc__ = base.AgentResult.__doc__

    @model_validator(mode="wrap")
    @classmethod
    def _as_json(cls, data: Any, _: ModelWrapValidatorHandler[Self]) -> Any:
        return fitted(data, base.AgentResult).model_dump(mode="json")

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> Json:
        """The schema for OpenAI's strict mode."""
        return strict(super().model_json_schema(*args, **kwargs))


def specialist(spec: AgentSpec, deps: Deps) -> Any:
    """The node that runs this agent. Errors come back as a failed task, so that siblings go on."""
    agent = create_agent(
        deps.model,  # without an account: the toolbox replaces it by one with an account
        tools=[],  # the toolbox adds them at run time: the graph compiles without servers
        system_prompt=f"{spec.prompt.rstrip()}\n\n{prompt('data')}",
        middleware=_middleware(spec, deps),
        response_format=ToolStrategy(AgentResult, handle_errors=True),
        context_schema=TaskRun,
        name=spec.name,
    )

    async def specialist_node(state: Handoff, config: RunnableConfig, runtime: Runtime) -> dict[str, Any]:
        task, write = state["task"], runtime.stream_writer
        account, began = deps.account(state, spec.name, config), time.monotonic()
        write({"type": "task_started", "task": task["id"], "agent": spec.name, "objective": task["objective"]})
        evidence, unanswered = dict[str, EvidenceRef](), dict.fromkeys(task["unanswered"])
        result, failure, messages = None, None, list[AnyMessage]()
        try:
            async with asyncio.timeout(_seconds(account, deps.now())) as clock:
                emit = _waits_apart(write, clock, account, deps)
                model = deps.model.charged_to(account, emit)
                room = state["evidence_left"]
                run = TaskRun(account, task["id"], state["question"], model, emit, room, evidence, unanswered)
                stored = await deps.evidence.many(state["job_id"], [each["id"] for each in state["evidence"]])
                given: Any = {"messages": [HumanMessage(packet(state, stored))]}
                ended = await agent.ainvoke(given, merge_configs(config, _child(spec, state)), context=run)
            if answer := ended.get("structured_response"):
                result = base.AgentResult.model_validate(answer)
            messages = ended["messages"]
            evidence.update(_gathered(messages))
            unanswered = _unanswered(messages, task)
        except (GraphBubbleUp, *ENDS_THE_RUN):
            raise
        except Exception as error:  # the boundary of a task: no error in it may cancel its siblings
            failure = await failure_of(error, account, deps)
        task = {**task, "unanswered": list(unanswered), "seconds": round(time.monotonic() - began, 3)}
        telemetry.note(task=task["id"], evidence=len(evidence))
        if failure and failure.halts:
            update: Json = {"tasks": {task["id"]: {**task, "error": failure.error}}, "halted": failure.halts}
        else:
            looked = evidence or any(spec.works_on_evidence or each["task"] == task["id"] for each in state["evidence"])
            failure = failure or _shortfall(result, task, messages, looked=bool(looked))
            bounded = result and _bounded(result, spec, state["findings_left"], messages)
            update = outcome_of(task, spec, bounded, failure)
        if failure:
            telemetry.failed(failure.reason.value)
        # By id: calls of one turn run in parallel, and the order of what later prompts show must not depend on that.
        return {**update, "evidence": dict(sorted(evidence.items(), key=lambda each: int(each[0][1:])))}

    return specialist_node


def _middleware(spec: AgentSpec, deps: Deps) -> list[AgentMiddleware[Any, Any, Any]]:
    cleared = "[left out to keep this conversation short; call the tool again if you need it]"
    shorter = ClearToolUsesEdit(trigger=HISTORY_TOKENS, keep=HISTORY_KEPT, placeholder=cleared)
    return [Toolbox(spec, deps), Answering(deps), _Shortening(edits=[shorter])]


class _Shortening(ContextEditingMiddleware):
    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        """Leaves a conversation that is short enough to the handler as it is: editing copies all of it first."""
        if count_tokens_approximately(request.messages) <= HISTORY_TOKENS:
            return await handler(request)
        return await super().awrap_model_call(request, handler)


def _child(spec: AgentSpec, state: Handoff) -> RunnableConfig:
    limits = Limits.model_validate(state["limits"])
    return {
        "recursion_limit": 4 * (limits.agent_model_calls + limits.agent_tool_calls),
        "metadata": {"agent": spec.name, "task": state["task"]["id"]},
        "tags": [f"agent:{spec.name}"],
    }


def _seconds(account: Account, now: datetime) -> float:
    """Seconds that one hand-off may take, within what is left of the job's time."""
    return min(account.limits.agent_deadline_s, (account.deadline_at - now).total_seconds())


def _waits_apart(write: Emit, clock: asyncio.Timeout, account: Account, deps: Deps) -> Emit:
    """Forwards events. Time spent waiting for a provider that is down does not count against the agent's own."""

    def emit(event: Json) -> None:
        if (waits := event.get("waits_s")) and (until := clock.when()):
            latest = asyncio.get_running_loop().time() + (account.deadline_at - deps.now()).total_seconds()
            clock.reschedule(min(until + waits, latest))
        write(event)

    return emit


def _gathered(messages: list[AnyMessage]) -> dict[str, EvidenceRef]:
    """The evidence in the conversation, including what was gathered before a crash."""
    results = [each for each in messages if isinstance(each, ToolMessage) and each.artifact]
    return {each.artifact["id"]: each.artifact for each in results}


def _unanswered(messages: list[AnyMessage], task: TaskState) -> dict[str, None]:
    """The data sources that were called, now or in an earlier attempt, and never answered."""
    silent = dict.fromkeys(task["unanswered"])
    for each in messages:
        if not isinstance(each, ToolMessage):
            continue
        if each.artifact:
            silent.pop(each.artifact["server"], None)
        elif server := each.additional_kwargs.get(UNANSWERED):
            silent[server] = None
    return silent


def _shortfall(
    result: base.AgentResult | None, task: TaskState, messages: list[AnyMessage], *, looked: bool
) -> Failure | None:
    """Why a result does not count: it says nothing, or names gaps without having looked, or without looking far
    enough."""
    if result is None:
        return Failure(StopReason.NO_USABLE_ANSWER, "ended without a result")
    if result.findings:
        return None
    if task["unanswered"]:
        return Failure(StopReason.SOURCE_UNAVAILABLE, f"no answer from {', '.join(task['unanswered'])}")
    if not result.gaps:
        return Failure(StopReason.NO_USABLE_ANSWER, "reported neither a finding nor a gap")
    if not looked:
        return Failure(StopReason.NOTHING_LOOKED_UP, "looked nothing up")
    return _hindrance(messages)


def _hindrance(messages: list[AnyMessage]) -> Failure | None:
    """What kept the agent from looking further: a limit, or a source whose every call failed."""
    if limit := next(filter(None, map(_cut_short_by, messages)), None):
        return Failure(limit, f"{EXPLAINED[limit]}, and it has found nothing until then")
    answered = {each["server"] for each in _gathered(messages).values()}
    failed = {server for each in messages if (server := each.additional_kwargs.get(FAILED))} - answered
    if answered and failed:
        return Failure(StopReason.SOURCE_UNAVAILABLE, f"every call of {', '.join(sorted(failed))} failed")
    return None


def _cut_short_by(message: AnyMessage) -> StopReason | None:
    """The limit that kept the agent from looking further."""
    if message.additional_kwargs.get(FULL):
        return StopReason.TOOL_CALLS
    limit = message.additional_kwargs.get(CUT_SHORT)
    return StopReason(limit) if limit else None


def _bounded(result: base.AgentResult, spec: AgentSpec, left: int, messages: list[AnyMessage]) -> base.AgentResult:
    """The part of a result that fits into the state; its gaps say what was left out."""
    kept, gaps = result.findings[:left], list(result.gaps)
    if fewer := len(result.findings) - len(kept):
        gaps.append(f"{fewer} findings of the agent {spec.name} are left out: a job may hold {MAX_ENTRIES}.")
    if any(each.additional_kwargs.get(FULL) for each in messages):
        gaps.append(f"The agent {spec.name} could not look up more: a job may hold {MAX_ENTRIES} tool results.")
    return result.model_copy(update={"findings": kept, "gaps": gaps})


def _harmless(gap: str, spec: AgentSpec) -> str:
    """A gap as passed on to the supervisor and the reader; one that reads like instructions is left out."""
    orders = flags_of(gap)
    return (
        f"A gap told by the {spec.name} is left out: it reads like instructions ({', '.join(orders)})."
        if orders
        else gap
    )


def outcome_of(task: TaskState, spec: AgentSpec, result: base.AgentResult | None, failure: Failure | None) -> Json:
    """The task's new entry and its findings, unverified."""
    attempt = task["attempts"] + 1
    entry = TaskState(
        **{
            **task,
            "status": "failed" if failure else "done",
            "attempts": attempt,
            "feedback": [],
            "gaps": [_harmless(each, spec) for each in result.gaps] if result else [],
            "error": failure.error if failure else None,
            "reason": failure.reason.value if failure else None,
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

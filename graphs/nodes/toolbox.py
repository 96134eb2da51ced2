"""Gives an agent its tools and a model with an account, and turns each tool result into evidence."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.types import Command

from agents.base import AgentSpec
from graphs.answers.message import new_id
from graphs.answers.schemas import brief, offered
from graphs.deps import Deps
from graphs.errors import ENDS_THE_RUN, GraphError, LimitReached, ServerUnavailable, ToolFailure
from graphs.evidence.shown import shown
from graphs.evidence.store import Evidence
from graphs.spending.loops import Loop, ToolCallRecord, in_tool_calls
from graphs.spending.model import GovernedChatOpenAI
from graphs.spending.spend import Account
from graphs.spending.toll import Emit
from graphs.spending.tool_toll import Payer
from graphs.state import MAX_ENTRIES, EvidenceRef, Json
from graphs.tools.session import SEPARATOR, TITLE, TOOL
from graphs.untrusted.injections import flags_of, visible
from graphs.untrusted.spotlight import spotlighted

logger = logging.getLogger(__name__)

AROUND_WORDS = "<>()[]\"'.,;:!?"
UNANSWERED = "unanswered"  # marks a call that the server did not answer, with the server's name
CUT_SHORT = "cut_short"  # marks an answer in the last turns before a limit, with the limit
FAILED = "failed"  # marks a call that its server failed or refused, with the server's name
FULL = "full"  # marks a call for whose result there was no room
TOLD = "error: refused: "  # start of a loop's refusal; the second one ends the task
_ADDRESS = re.compile(
    r"://|https?:[\\/]*\w|^\s*[\\/]{2}", re.IGNORECASE
)  # as browsers read them, https:example.com included
_TOLD_OF_EVIDENCE = ("cached", "size", "data_version", "untrusted", "flags")


class _ServerFailed(ToolFailure):
    """A call that failed, in its server's words, which are data like its results."""


@dataclass(frozen=True)
class TaskRun:
    """One task in progress: its account, its model, the evidence gathered so far, and the servers that have not
    answered yet. `calls` are the calls that this process has started; all of the task's may leave `evidence_left`
    results."""

    account: Account
    task: str
    question: str
    model: GovernedChatOpenAI
    emit: Emit
    evidence_left: int
    evidence: dict[str, EvidenceRef] = field(default_factory=dict)
    unanswered: dict[str, None] = field(default_factory=dict)
    calls: set[str] = field(default_factory=set)
    counting: asyncio.Lock = field(default_factory=asyncio.Lock)


class _NoRoom(ToolFailure):
    """The job's state holds as many tool results as allowed."""


class Toolbox(AgentMiddleware[AgentState[Any], TaskRun]):
    """Offers the tools on the agent's list and runs them through the gateway; everything else is refused."""

    def __init__(self, spec: AgentSpec, deps: Deps) -> None:
        super().__init__()
        self._spec = spec
        self._deps = deps

    async def awrap_model_call(
        self,
        request: ModelRequest[TaskRun],
        handler: Callable[[ModelRequest[TaskRun]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Resolves the tools at each call, not when the graph is built: servers may start later.

        Raises:
            LimitReached: the agent continued a loop after it was told.
        """
        run = request.runtime.context
        told = sum(isinstance(each, ToolMessage) and str(each.content).startswith(TOLD) for each in request.messages)
        if told > 1 and (loop := _loop(request.messages, run.account)):
            raise LimitReached(loop.reason, "job", loop.detail)
        tools = await self._deps.gateway.tools(self._spec)
        if first := _briefing(self._spec, tools, request.messages):
            return ModelResponse(result=[first])
        return await handler(request.override(model=run.model, tools=self.offered(tools)))

    def offered(self, tools: Sequence[BaseTool]) -> list[BaseTool | Json]:
        """The tools as the model reads them."""
        return [*brief([offered(each) for each in tools])]

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],  # noqa: ARG002
    ) -> ToolMessage:
        """Answers with the evidence id and the result, or with `error:` and what to do."""
        call, run = request.tool_call, cast("TaskRun", request.runtime.context)
        event: Json = {"type": "tool_call", "task": run.task, "agent": self._spec.name, "tool": call["name"]}
        event["arguments"] = call["args"]
        try:
            if loop := _loop(request.state["messages"], run.account):
                refusal = f"refused: {loop.detail}. Answer with what you have; what is missing goes into `gaps`."
                raise ToolFailure(refusal)
            _take_place(call["id"], run, request.state["messages"])
            async with run.counting:  # in the order of the calls, which decides for which of them a limit has room
                await self._deps.ledger.count_tool_call(run.account)
            evidence_id, evidence, text = await self._run(call["name"], call["args"], run, request.state["messages"])
        except ENDS_THE_RUN:
            raise
        except GraphError as error:
            run.calls.discard(call["id"])
            run.emit({**event, "error": str(error)})
            told = spotlighted(visible(str(error))) if isinstance(error, _ServerFailed) else error
            marks: Json = {FULL: True} if isinstance(error, _NoRoom) else {}
            server = call["name"].partition(SEPARATOR)[0]
            if isinstance(error, _ServerFailed):
                marks[FAILED] = server
            if isinstance(error, ServerUnavailable):
                logger.warning("%s: %s of %s: %s", run.account.job_id, call["name"], run.task, error)
                marks[UNANSWERED] = server
                run.unanswered[server] = None
            return ToolMessage(
                f"error: {told}",
                tool_call_id=call["id"],
                name=call["name"],
                status="error",
                additional_kwargs=marks,
            )
        reference = run.evidence[evidence_id]
        run.unanswered.pop(reference["server"], None)
        known = {key: reference[key] for key in _TOLD_OF_EVIDENCE}  # type: ignore[literal-required]
        run.emit({**event, "evidence": evidence_id, "ms": evidence.duration_ms, **known})
        return ToolMessage(text, tool_call_id=call["id"], name=call["name"], artifact=reference)

    async def _run(
        self, name: str, arguments: Json, run: TaskRun, messages: Sequence[AnyMessage]
    ) -> tuple[str, Evidence, str]:
        """The result as evidence, and as the model reads it."""
        gateway, store, job_id = self._deps.gateway, self._deps.evidence, run.account.job_id
        allowed = {tool.name: tool for tool in await gateway.tools(self._spec)}
        if name not in allowed:
            raise ToolFailure(f"{self._spec.name} has no tool {name}; it has: {', '.join(allowed)}")
        if _reaches_out(allowed[name]) and await self._made_up(arguments, run, messages):
            raise ToolFailure("neither the question nor a search of this task gave that address; search for it first")
        metadata = allowed[name].metadata or {}
        server, tool = name.partition(SEPARATOR)[0], str(metadata[TOOL])
        resolved, called_at = await store.resolved(job_id, arguments), self._deps.now()
        try:
            payer = Payer(run.account, run.emit)
            result = await gateway.call(self._spec, server, tool, resolved, tenant=run.account.tenant, payer=payer)
        except ToolFailure as failure:
            raise _ServerFailed(str(failure)) from failure
        evidence = Evidence(
            task=run.task,
            server=server,
            tool=tool,
            arguments=arguments,
            text=visible(result.text),
            content=result.content,
            duration_ms=result.duration_ms,
            cached=result.cached,
            called_at=called_at.isoformat(timespec="milliseconds"),
            flags=flags_of("\n".join([*_named(result.content), result.text])),
            tool_title=str(metadata.get(TITLE, "")),
        )
        evidence_id = await store.add(job_id, evidence)
        run.evidence[evidence_id] = evidence.reference(evidence_id)
        return evidence_id, evidence, self.told(evidence_id, evidence, allowed.values())

    def told(self, evidence_id: str, evidence: Evidence, tools: Iterable[BaseTool]) -> str:
        """The result as the model reads it."""
        return shown(evidence_id, evidence, addresses=any(map(_reaches_out, tools)))

    async def _made_up(self, arguments: Json, run: TaskRun, messages: Sequence[AnyMessage]) -> bool:
        """Whether the arguments hold an address that was neither in the question nor in the `url` of a result.

        A manipulated model could encode what it knows in an address, and its host would read that. The text of results
        does not count: it may echo the model's own arguments."""
        wanted = {each for each in _texts(arguments) if _ADDRESS.search(each)}
        wanted -= {word.strip(AROUND_WORDS) for word in run.question.split()}
        if not wanted:
            return False
        ids = [each.artifact["id"] for each in messages if isinstance(each, ToolMessage) and each.artifact]
        found = (await self._deps.evidence.many(run.account.job_id, ids)).values()
        return bool(wanted - {address for each in found for address in each.addresses})


def _briefing(spec: AgentSpec, tools: Sequence[BaseTool], messages: Sequence[AnyMessage]) -> AIMessage | None:
    """The calls that an agent begins with in any case: no model has to be asked for them."""
    if any(isinstance(each, AIMessage) for each in messages):
        return None
    known = {f"{each.name.partition(SEPARATOR)[0]}.{(each.metadata or {})[TOOL]}": each.name for each in tools}
    names = [known[each] for each in spec.briefing if each in known]
    calls = [{"name": name, "args": {}, "id": new_id(), "type": "tool_call"} for name in names]
    return AIMessage("", tool_calls=calls) if calls else None


def _take_place(call: str | None, run: TaskRun, messages: Sequence[AnyMessage]) -> None:
    """Reserve room for a result before the call: the calls of one turn run in parallel. Raises _NoRoom."""
    taken = run.calls | {each.tool_call_id for each in messages if isinstance(each, ToolMessage) and each.artifact}
    if len(taken) >= run.evidence_left:
        raise _NoRoom(
            f"a job may hold {MAX_ENTRIES} tool results, and there is no room for another. "
            "Answer with what you have; what is missing goes into `gaps`."
        )
    run.calls.add(call or "")


def _texts(value: Any) -> Iterator[str]:
    """All strings in the arguments, at any depth, including field names."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from _texts(each)


def _reaches_out(tool: BaseTool) -> bool:
    """Whether the tool may reach strangers: true unless its server says otherwise."""
    return (tool.metadata or {}).get("openWorldHint") is not False


def _named(content: Json) -> list[str]:
    """The strings that the state and the report show besides the result's text."""
    return [str(content[key]) for key in ("title", "publisher", "date", "url") if key in content]


def _loop(messages: Sequence[AnyMessage], account: Account) -> Loop | None:
    """The loop that the agent is in, if any. Read from the conversation, so that it survives a crash; unanswered calls
    do not count."""
    asked = {call["id"]: call for each in messages if isinstance(each, AIMessage) for call in each.tool_calls}
    answered = [each for each in messages if isinstance(each, ToolMessage) and each.tool_call_id in asked]
    records = [
        ToolCallRecord(
            tool=asked[each.tool_call_id]["name"],
            arguments=asked[each.tool_call_id]["args"],
            digest=each.artifact["digest"] if each.artifact else None,
        )
        for each in answered
        if not str(each.content).startswith(TOLD)
    ]
    return in_tool_calls(records, account.limits)

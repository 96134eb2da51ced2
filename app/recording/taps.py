"""What records: the toll, the gateway and the evidence store of a process whose jobs are recorded.

Attempts that failed or were refused are exchanges too. The lines are listed in `cassette.py`.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import openai
import orjson
from langchain_core.tools import BaseTool
from langgraph.config import get_config

from app.recording.recorder import Recorder
from graphs.clock import utc_now
from graphs.errors import CircuitOpen, GraphError, LimitReached
from graphs.evidence.store import Evidence, EvidenceStore
from graphs.spending.ledger import Ledger
from graphs.spending.spend import Account, Spend
from graphs.spending.toll import Answer, Emit, Request, Toll
from graphs.spending.tool_toll import Payer
from graphs.state import Json
from graphs.tools.gateway import Agent, ToolGateway, ToolResult

HEADERS = ("content-type", "retry-after", "retry-after-ms")  # that change how an answer is read
COST, TOOL_COST = "cost_micro_usd", "tool_cost"


@dataclass(frozen=True)
class RecordingToll(Toll):
    """Records each attempt at a model call."""

    recorder: Recorder = field(kw_only=True)

    @contextlib.asynccontextmanager
    async def attempt(self, account: Account, request: Request, emit: Emit) -> AsyncIterator[Answer]:
        """As `Toll.attempt`."""
        line: Json = {"kind": "model", "agent": account.agent, "task": account.task, "at": utc_now().isoformat()}
        began, answer = self.clock(), None

        def heard(event: Json) -> None:
            if COST in event:
                line[COST] = event[COST]
            emit(event)

        try:
            async with super().attempt(account, request, heard) as answer:
                yield answer
        except BaseException as error:
            line |= _failed(error, answer)
            raise
        finally:
            line["seconds"] = round(self.clock() - began, 3)
            if answer and answer.sent:
                bounds = {"input": request.input_tokens, "answer": answer.tokens, "reserved": answer.reserved}
                line |= {"bounds": bounds} | ({"status": 200, **_body(answer.body)} if answer.body else {})
                self.recorder.asked(account, line, answer.sent)
            elif "error" in line:
                self.recorder.note(account.job_id, line)


class RecordingGateway(ToolGateway):
    """Records which tools agents are offered, and each call."""

    def __init__(self, recorder: Recorder, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._recorder = recorder

    async def tools(self, agent: Agent) -> list[BaseTool]:
        """As `ToolGateway.tools`."""
        job_id = str(get_config()["configurable"]["thread_id"])
        try:
            offered = await super().tools(agent)
        except GraphError as error:
            self._recorder.note(job_id, {"kind": "tools", "agent": agent.name, "error": told_of(error)})
            raise
        self._recorder.offers(job_id, agent.name, offered)
        return offered

    async def call(
        self,
        agent: Agent,
        server_name: str,
        tool: str,
        arguments: Json,
        *,
        tenant: str = "",
        payer: Payer | None = None,
    ) -> ToolResult:
        """As `ToolGateway.call`."""
        if payer is None:
            return await super().call(agent, server_name, tool, arguments, tenant=tenant)
        account, emit = payer.account, payer.emit
        line: Json = {"kind": "tool", "agent": agent.name, "task": account.task, "server": server_name, "tool": tool}
        line |= {"at": utc_now().isoformat(), "arguments": arguments}
        began = time.monotonic()

        def heard(event: Json) -> None:
            if event["type"] == TOOL_COST:
                line[COST] = line.get(COST, 0) + event[COST]
            emit(event)

        try:
            result = await super().call(agent, server_name, tool, arguments, tenant=tenant, payer=Payer(account, heard))
            line |= {"text": result.text, "content": result.content, "cached": result.cached}
            return result
        except (GraphError, asyncio.CancelledError) as error:
            line["error"] = told_of(error)
            raise
        finally:
            line["seconds"] = round(time.monotonic() - began, 3)
            if "text" in line or "error" in line:
                self._recorder.note(account.job_id, line)


class RecordingEvidence(EvidenceStore):
    """Records under which id a result was stored: parallel agents share the numbers."""

    def __init__(self, recorder: Recorder, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._recorder = recorder

    async def add(self, job_id: str, evidence: Evidence) -> str:
        """As `EvidenceStore.add`."""
        evidence_id = await super().add(job_id, evidence)
        line: Json = {name: getattr(evidence, name) for name in ("task", "server", "tool", "arguments")}
        line |= {"kind": "evidence", "evidence": evidence_id, "at": utc_now().isoformat()}
        self._recorder.note(job_id, line)
        return evidence_id


class RecordingLedger(Ledger):
    """Records what the ledger tells agents: parallel ones share the job's limits, and none can know them alone."""

    def __init__(self, recorder: Recorder, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._recorder = recorder

    async def spend(self, job_id: str, task: str = "") -> Spend:
        """As `Ledger.spend`."""
        found = await super().spend(job_id)
        if task:
            used = found.model_dump(mode="json", exclude_defaults=True)
            self._recorder.note(job_id, {"kind": "spend", "task": task, "at": utc_now().isoformat(), "used": used})
        return found

    async def count_tool_call(self, account: Account) -> None:
        """As `Ledger.count_tool_call`."""
        line: Json = {"kind": "counted", "task": account.task, "at": utc_now().isoformat()}
        try:
            await super().count_tool_call(account)
        except LimitReached as error:
            self._recorder.note(account.job_id, {**line, "error": told_of(error)})
            raise
        self._recorder.note(account.job_id, line)


def told_of(error: BaseException) -> Json:
    """What a replay needs to raise the error again."""
    told: Json = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, LimitReached):
        kept = ("reason", "scope", "detail", "passing", "wanted_micro_usd")
        return told | {name: getattr(error, name) for name in kept}
    return told | ({"wait_s": error.wait_s} if isinstance(error, CircuitOpen) else {})


def _failed(error: BaseException, answer: Answer | None) -> Json:
    """How an attempt failed: the provider's answer with an error status, or an error of ours or of the connection."""
    if isinstance(error, openai.APIStatusError):
        headers = {name: error.response.headers[name] for name in HEADERS if name in error.response.headers}
        return {"status": error.status_code, "headers": headers, **_body(error.response.content)}
    if answer and answer.body:  # it was read, and then refused
        return {}
    if isinstance(error, openai.APIConnectionError) and error.__cause__:
        return {"error": told_of(error.__cause__)}
    return {"error": told_of(error)}


def _body(content: bytes) -> Json:
    try:
        return {"response": orjson.loads(content)}
    except orjson.JSONDecodeError:
        return {"response": content.decode(errors="replace")}

"""Gives an agent its tools at run time and turns each result into evidence."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.messages import ToolMessage
from langgraph.types import Command

from agents.base import AgentSpec
from graphs.errors import GraphError, ToolFailure
from graphs.evidence import Evidence, EvidenceStore
from graphs.governance.meter import Emit, Meter
from graphs.governance.tools import SEPARATOR, ToolGateway
from graphs.state import EvidenceRef, Json


@dataclass(frozen=True)
class TaskRun:
    """One task in progress: whose it is, what counts it, and the evidence it has gathered so far."""

    job_id: str
    task: str
    meter: Meter
    emit: Emit
    evidence: dict[str, EvidenceRef] = field(default_factory=dict)


class Toolbox(AgentMiddleware[AgentState[Any], TaskRun]):
    """Offers the tools on the agent's list and runs them through the gateway; everything else is refused."""

    def __init__(self, spec: AgentSpec, gateway: ToolGateway, store: EvidenceStore) -> None:
        super().__init__()
        self._spec = spec
        self._gateway = gateway
        self._store = store

    async def awrap_model_call(
        self,
        request: ModelRequest[TaskRun],
        handler: Callable[[ModelRequest[TaskRun]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """The list is resolved here, not when the graph is built: servers may start later than the graph."""
        return await handler(request.override(tools=[*await self._gateway.tools(self._spec.tools)]))

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],  # noqa: ARG002
    ) -> ToolMessage:
        """Answers with the evidence id on the first line, then the result; or with `error:` and what to do."""
        call, run = request.tool_call, cast("TaskRun", request.runtime.context)
        run.meter.tool_called()
        event: Json = {"type": "tool_call", "task": run.task, "agent": self._spec.name, "tool": call["name"]}
        try:
            evidence_id, evidence = await self._run(call["name"], call["args"], run)
        except GraphError as error:
            run.emit({**event, "arguments": call["args"], "error": str(error)})
            return ToolMessage(f"error: {error}", tool_call_id=call["id"], name=call["name"], status="error")
        run.emit({**event, "arguments": call["args"], "evidence": evidence_id, "ms": evidence.duration_ms})
        reference = run.evidence[evidence_id]
        text = f"{evidence_id}\n{evidence.text}"
        return ToolMessage(text, tool_call_id=call["id"], name=call["name"], artifact=reference)

    async def _run(self, name: str, arguments: Json, run: TaskRun) -> tuple[str, Evidence]:
        allowed = [tool.name for tool in await self._gateway.tools(self._spec.tools)]
        if name not in allowed:
            raise ToolFailure(f"{self._spec.name} has no tool {name}; it has: {', '.join(allowed)}")
        server, _, tool = name.partition(SEPARATOR)
        result = await self._gateway.call(server, tool, await self._store.resolved(run.job_id, arguments))
        evidence = Evidence(
            task=run.task,
            server=server,
            tool=tool,
            arguments=arguments,
            text=result.text,
            content=result.content,
            duration_ms=result.duration_ms,
        )
        evidence_id = await self._store.add(run.job_id, evidence)
        run.evidence[evidence_id] = evidence.reference(evidence_id)
        return evidence_id, evidence

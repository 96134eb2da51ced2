"""A small team around the stand-in model that loops between model and tools as agents do, on the sample."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from mcp import ClientSession
from mcp.shared.memory import create_connected_server_and_client_session as connected

from agents.base import AgentResult, Finding, ReportDraft, SupervisorDecision, Task
from graphs.evidence.citations import problems
from graphs.evidence.numbers import unknown
from graphs.evidence.store import Evidence, filled
from graphs.planning.handoff import at_hand
from graphs.untrusted.spotlight import spotlighted
from mcp_servers.analytics.server import build as analytics
from mcp_servers.base.server import Server
from mcp_servers.knowledge_base.server import build as knowledge_base
from mcp_servers.sales.server import build as sales
from sample import DOCUMENTS, SALES

Json = dict[str, Any]

SERVERS = {"researcher": "knowledge_base", "sales": "sales", "analyst": "analytics"}
TOOLS = {
    "knowledge_base": {"search", "read_document"},
    "sales": {"describe_schema", "query", "revenue_by", "top_customers", "target_attainment"},
}
TURNS = 6
TURNS_ALONE = 10


@dataclass
class Answered:
    """What a question led to."""

    tasks: list[Task]
    calls: list[tuple[str, Json]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    report: ReportDraft | None = None

    @property
    def agents(self) -> list[str]:
        return [task.agent for task in self.tasks]

    @property
    def claims(self) -> str:
        return "\n".join(finding.claim for finding in self.findings)

    @property
    def body(self) -> str:
        assert self.report is not None
        return self.report.body

    def ungrounded(self, question: str) -> list[str]:
        """Numbers of findings and report that the evidence they cite does not hold, by the graph's own rules."""
        wrong = [
            f"{finding.claim}: {number}"
            for finding in self.findings
            for number in unknown(
                finding.claim, frozenset().union(*(self.evidence[each].numbers for each in finding.evidence))
            )
        ]
        return wrong + [str(each) for each in problems(self.body, self.evidence, [question])]


class Team:
    """Plans, runs each task's conversation with the model and writes the report."""

    def __init__(self, client: httpx.AsyncClient, sessions: dict[str, ClientSession]) -> None:
        self._client = client
        self.sessions = sessions

    async def answer(self, question: str) -> Answered:
        decision = SupervisorDecision.model_validate_json(
            await self._said("SupervisorDecision", {"question": question, "tasks": [], "may_assign": True})
        )
        done = Answered(decision.tasks)
        found: dict[str, tuple[AgentResult, list[str]]] = {}
        for task in decision.tasks:
            given = [each for name in task.depends_on for each in found[name][1]]
            before = [each for name in task.depends_on for each in found[name][0].findings]
            result, ids = await self.work(task, question, done, given, before)
            found[task.id] = (result, ids)
            done.findings += result.findings
            done.gaps += result.gaps
        return await self._reported(question, done)

    async def answer_alone(self, question: str) -> Answered:
        """One agent with every tool; it hands its answer over by calling `AgentResult`."""
        done = Answered([])
        packet = {"question": question, "task": {"id": "T1", "objective": question}, "evidence": [], "feedback": []}
        messages: list[Json] = [{"role": "user", "content": json.dumps(packet)}]
        tools = [tool for server in SERVERS.values() for tool in await self._tools(server)]
        tools.append({"type": "function", "function": {"name": "AgentResult", "parameters": {}}})
        for _ in range(TURNS_ALONE):
            message = await self._message({"messages": messages, "tools": tools, "tool_choice": "required"})
            messages.append(message)
            if message["tool_calls"][0]["function"]["name"] == "AgentResult":
                result = AgentResult.model_validate_json(message["tool_calls"][0]["function"]["arguments"])
                done.findings, done.gaps = list(result.findings), list(result.gaps)
                return await self._reported(question, done)
            messages += await self._results(message, done, [])
        raise AssertionError(f"one agent alone did not finish in {TURNS_ALONE} turns")

    async def _reported(self, question: str, done: Answered) -> Answered:
        charts = [name for name, each in done.evidence.items() if each.content["kind"] == "chart"]
        packet = {
            "question": question,
            "findings": [each.model_dump() for each in done.findings],
            "gaps": done.gaps,
            "charts": charts,
            "stop_reason": "completed",
            "feedback": [],
        }
        done.report = ReportDraft.model_validate_json(await self._said("ReportDraft", packet))
        return done

    async def work(
        self, task: Task, question: str, done: Answered, given: list[str], before: list[Finding]
    ) -> tuple[AgentResult, list[str]]:
        """One specialist's conversation; returns its result and the ids of the evidence it gathered."""
        packet = {
            "question": question,
            "task": {"id": task.id, "objective": task.objective},
            "evidence": [at_hand(done.evidence[name].reference(name), done.evidence[name]) for name in given],
            "findings": [each.model_dump() for each in before],
            "feedback": [],
        }
        messages: list[Json] = [{"role": "user", "content": json.dumps(packet)}]
        tools = await self._tools(SERVERS[task.agent])
        gathered: list[str] = []
        for _ in range(TURNS):
            message = await self._message({"messages": messages, "tools": tools, **_schema("AgentResult")})
            messages.append(message)
            if not message.get("tool_calls"):
                return AgentResult.model_validate_json(message["content"]), gathered
            messages += await self._results(message, done, gathered)
        raise AssertionError(f"{task.agent} did not finish in {TURNS} turns")

    async def _results(self, message: Json, done: Answered, gathered: list[str]) -> list[Json]:
        return [
            {
                "role": "tool",
                "tool_call_id": call["id"],
                "content": await self._call(call["function"], done, gathered),
            }
            for call in message["tool_calls"]
        ]

    async def _call(self, function: Json, done: Answered, gathered: list[str]) -> str:
        arguments = json.loads(function["arguments"])
        done.calls.append((function["name"], arguments))
        server, _, tool = function["name"].partition("__")
        result = await self.sessions[server].call_tool(tool, filled(arguments, done.evidence))
        text = result.content[0].text  # type: ignore[union-attr]
        if result.isError:
            return f"error: {text}"
        assert result.structuredContent is not None
        name = f"E{len(done.evidence) + 1}"
        done.evidence[name] = Evidence(
            task="T1", server=server, tool=tool, arguments=arguments, text=text, content=result.structuredContent,
            duration_ms=1,
        )  # fmt: skip
        gathered.append(name)
        return f"{name}\n{spotlighted(text)}"

    async def _tools(self, server: str) -> list[Json]:
        every = (await self.sessions[server].list_tools()).tools
        listed = [tool for tool in every if tool.name in TOOLS.get(server, {tool.name})]
        return [
            {
                "type": "function",
                "function": {
                    "name": f"{server}__{tool.name}",
                    "description": tool.description,
                    "parameters": tool.inputSchema,
                },
            }
            for tool in listed
        ]

    async def _said(self, schema: str, packet: Json) -> str:
        message = await self._message(
            {"messages": [{"role": "user", "content": json.dumps(packet)}], **_schema(schema)}
        )
        content: str = message["content"]
        return content

    async def _message(self, request: Json) -> Json:
        response = await self._client.post("/chat/completions", json={"model": "rules", **request})
        assert response.status_code == 200, response.text
        message: Json = response.json()["choices"][0]["message"]
        return message


def servers(data_dir: Path) -> dict[str, Server]:
    """The real MCP servers over the sample."""
    return {
        "sales": sales(SALES, data_dir),
        "knowledge_base": knowledge_base(DOCUMENTS, None),
        "analytics": analytics(),
    }


@contextlib.asynccontextmanager
async def team(url: str, servers: Mapping[str, Server]) -> AsyncIterator[Team]:
    """A team over these servers, in memory."""
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url))
        sessions = {
            name: await stack.enter_async_context(connected(each._mcp_server)) for name, each in servers.items()
        }
        yield Team(client, sessions)


def _schema(name: str) -> Json:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": name, "schema": {}}}}

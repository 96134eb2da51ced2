"""Which role a request is for, told by the schema it asks for and the tools it offers, and whose rules answer it."""

import json
import pkgutil
from collections.abc import Sequence
from functools import cache
from typing import Literal, Protocol, cast

from pydantic import BaseModel

import sample
from agents.base import AgentResult, ReportDraft, SupervisorDecision
from app.stand_in import policy as generic
from app.stand_in import shared
from app.stand_in.languages import refusal_of
from app.stand_in.packets import ReportPacket, SpecialistPacket, SupervisorPacket, packet_of
from app.stand_in.schema_walk import in_full, minimal_instance
from app.stand_in.turns import Script, turn_of
from app.stand_in.wire import Call, ChatRequest, FunctionSpec, Reply

INTRODUCTION = "This is Tollgate's stand-in model: rules, not a language model, which answer only as part of its team."

Role = Literal["supervisor", "report", "agent"]

_ROLES: dict[str, Role] = {
    SupervisorDecision.__name__: "supervisor",
    ReportDraft.__name__: "report",
    AgentResult.__name__: "agent",
}


class Rules(Protocol):
    """A module with the rules of each role. None leaves the answer to the generic policy."""

    def decide(self, packet: SupervisorPacket) -> SupervisorDecision | None:
        """The supervisor's next decision."""

    def work(self, packet: SpecialistPacket, tools: Sequence[FunctionSpec]) -> Script | None:
        """An agent's work on its task with these tools."""

    def write(self, packet: ReportPacket) -> ReportDraft | None:
        """The report."""


@cache
def sample_rules() -> Rules | None:
    """Those that the sample declares; None where it declares none."""
    declared = getattr(sample, "POLICY", None)
    return cast("Rules", pkgutil.resolve_name(declared)) if declared else None


def reply_to(request: ChatRequest) -> Reply:
    """The next turn of whichever role the request is for: by the sample's rules, else by the generic ones."""
    role, rules = role_of(request), sample_rules() or generic
    if shared.leads(request):
        return _led(request, rules)
    if role == "supervisor":
        wanted = packet_of(request, SupervisorPacket)
        return structured(request, rules.decide(wanted) or generic.decide(wanted))
    if role == "report":
        findings = packet_of(request, ReportPacket)
        return structured(request, rules.write(findings) or generic.write(findings))
    if role == "agent":
        packet = shared.working(request) if shared.is_shared(request) else packet_of(request, SpecialistPacket)
        tools = tools_of(request)
        turn = turn_of(rules.work(packet, tools) or generic.work(packet, tools), request)
        if not isinstance(turn, AgentResult):
            return Reply(calls=turn)
        unread = "" if turn.findings else refusal_of(packet.question)
        return Reply(refusal=unread) if unread else structured(request, turn)
    return _unknown(request)


def _led(request: ChatRequest, rules: Rules) -> Reply:
    """The lead of a team that shares its conversation: hands on one part of its plan at a time, then answers."""
    plan, done = shared.planning(request, anew=True), shared.planning(request, anew=False)
    tasks = (rules.decide(plan) or generic.decide(plan)).tasks[len(done.tasks) :]
    if not tasks and done.tasks:
        tasks = (rules.decide(done) or generic.decide(done)).tasks
    if tasks:
        return Reply(calls=[shared.transfer(tasks[0].agent, tasks[0].objective)])
    findings = shared.writing(request)
    return Reply(text=(rules.write(findings) or generic.write(findings)).body)


def role_of(request: ChatRequest) -> Role | None:
    """Told by the answer's schema, given as response format, as a forced function or as one tool among others."""
    for name in (request.schema_name, request.forced_tool, *request.tool_names):
        if name in _ROLES:
            return _ROLES[name]
    return "agent" if tools_of(request) else None


def tools_of(request: ChatRequest) -> list[FunctionSpec]:
    """The tools of MCP servers on offer: their names are `server__tool`."""
    return in_full([each for each in request.functions if "__" in each.name])


def structured(request: ChatRequest, answer: BaseModel) -> Reply:
    """As text for a response format, as a call where the schema came as a tool."""
    name, fields = type(answer).__name__, answer.model_dump(mode="json")
    if not request.schema_name and name in request.tool_names:
        return Reply(calls=[Call(name, fields)])
    return Reply(text=json.dumps(fields, ensure_ascii=False))


def _unknown(request: ChatRequest) -> Reply:
    """The least that is valid: a schema's smallest instance, a forced call, or a sentence."""
    if request.schema_body:
        return Reply(text=json.dumps(minimal_instance(request.schema_body)))
    if request.response_format and request.response_format.type == "json_object":
        return Reply(text="{}")
    for tool in request.tools or []:
        if tool.function and tool.function.name == request.forced_tool:
            return Reply(calls=[Call(tool.function.name, minimal_instance(tool.function.parameters) or {})])
    return Reply(text=INTRODUCTION)

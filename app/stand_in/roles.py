"""Which rules answer a request: told by the schema it asks for and the tools it offers."""

import json
from typing import Literal

from pydantic import BaseModel

from agents.base import AgentResult, ReportDraft, SupervisorDecision
from app.stand_in.generalist import RULES, generalist
from app.stand_in.packets import ReportPacket, SpecialistPacket, SupervisorPacket, packet_of
from app.stand_in.planner import decide
from app.stand_in.schema_walk import minimal_instance
from app.stand_in.turns import Script, turn_of
from app.stand_in.wire import Call, ChatRequest, Reply
from app.stand_in.writer import write

AGENT_OF_SERVER = {"knowledge_base": "researcher", "sales": "sales", "analytics": "analyst"}
INTRODUCTION = "This is Tollgate's stand-in model: rules, not a language model, which answer only as part of its team."

Role = Literal["supervisor", "report", "agent"]

_ROLES: dict[str, Role] = {
    SupervisorDecision.__name__: "supervisor",
    ReportDraft.__name__: "report",
    AgentResult.__name__: "agent",
}


def reply_to(request: ChatRequest) -> Reply:
    """The next turn of whichever role the request is for."""
    role = role_of(request)
    if role == "supervisor":
        return structured(request, decide(packet_of(request, SupervisorPacket)))
    if role == "report":
        return structured(request, write(packet_of(request, ReportPacket)))
    if role == "agent":
        turn = turn_of(_script(request), request)
        return structured(request, turn) if isinstance(turn, AgentResult) else Reply(calls=turn)
    return _unknown(request)


def role_of(request: ChatRequest) -> Role | None:
    """Told by the answer's schema, given as response format, as a forced function or as one tool among others."""
    for name in (request.schema_name, request.forced_tool, *request.tool_names):
        if name in _ROLES:
            return _ROLES[name]
    return "agent" if _agents(request) else None


def structured(request: ChatRequest, answer: BaseModel) -> Reply:
    """As text for a response format, as a call where the schema came as a tool."""
    name, fields = type(answer).__name__, answer.model_dump(mode="json")
    if not request.schema_name and name in request.tool_names:
        return Reply(calls=[Call(name, fields)])
    return Reply(text=json.dumps(fields, ensure_ascii=False))


def _agents(request: ChatRequest) -> list[str]:
    """The specialists whose servers' tools are on offer."""
    servers = {name.partition("__")[0] for name in request.tool_names if "__" in name}
    return [agent for server, agent in AGENT_OF_SERVER.items() if server in servers]


def _script(request: ChatRequest) -> Script:
    """Tools of one server make a specialist, tools of several a generalist."""
    packet, names = packet_of(request, SpecialistPacket), _agents(request)
    if not names:
        return _idle(packet)
    return RULES[names[0]](packet) if len(names) == 1 else generalist(packet, names)


def _idle(_: SpecialistPacket) -> Script:
    """A specialist without tools has nothing to answer from."""
    yield from ()
    return AgentResult(findings=[], gaps=["No tool was offered for this task, so nothing could be looked up."])


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

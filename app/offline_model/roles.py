"""Which rules answer a request: told by the schema it asks for and the tools it offers."""

import json

from agents.base import AgentResult, ReportDraft, SupervisorDecision
from app.offline_model.analyst import analyst
from app.offline_model.packets import ReportPacket, SpecialistPacket, SupervisorPacket, packet_of
from app.offline_model.planner import decide
from app.offline_model.researcher import researcher
from app.offline_model.sales import sales
from app.offline_model.schema_walk import minimal_instance
from app.offline_model.turns import Script, turn_of
from app.offline_model.wire import Call, ChatRequest, Json, Reply
from app.offline_model.writer import write

SPECIALISTS = {"sales": sales, "knowledge_base": researcher, "analytics": analyst}
INTRODUCTION = "This is Tollgate's stand-in model: rules, not a language model, which answer only as part of its team."


def reply_to(request: ChatRequest) -> Reply:
    """The next turn of whichever role the request is for."""
    wanted = _wanted(request)
    if wanted == SupervisorDecision.__name__:
        return _structured(request, wanted, decide(packet_of(request, SupervisorPacket)).model_dump(mode="json"))
    if wanted == ReportDraft.__name__:
        return _structured(request, wanted, write(packet_of(request, ReportPacket)).model_dump(mode="json"))
    servers = {name.partition("__")[0] for name in request.tool_names if "__" in name}
    specialist = next((rules for server, rules in SPECIALISTS.items() if server in servers), None)
    if specialist or wanted == AgentResult.__name__:
        turn = turn_of((specialist or _idle)(packet_of(request, SpecialistPacket)), request)
        if isinstance(turn, AgentResult):
            return _structured(request, AgentResult.__name__, turn.model_dump(mode="json"))
        return Reply(calls=turn)
    return _unknown(request)


def _wanted(request: ChatRequest) -> str:
    """The answer's schema, given as response format, as a forced function or as one tool among others."""
    known = (SupervisorDecision.__name__, ReportDraft.__name__, AgentResult.__name__)
    named = [request.schema_name, request.forced_tool, *request.tool_names]
    return next((name for name in named if name in known), "")


def _structured(request: ChatRequest, name: str, answer: Json) -> Reply:
    """As text for a response format, as a call where the schema came as a tool."""
    if not request.schema_name and name in request.tool_names:
        return Reply(calls=[Call(name, answer)])
    return Reply(text=json.dumps(answer, ensure_ascii=False))


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

"""Teams that share one conversation: the lead hands work on by a call, and everybody reads all that was said.

No packet says there what a role has to do. The conversation does: what was handed to whom, and what came back.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import ValidationError

from agents.base import AgentResult
from app.stand_in.packets import (
    AgentInfo,
    EvidenceInfo,
    FindingInfo,
    ReportPacket,
    SpecialistPacket,
    SupervisorPacket,
    TaskInfo,
)
from app.stand_in.results import read
from app.stand_in.turns import answer_of
from app.stand_in.wire import Call, ChatRequest, Function

TRANSFER, TASK = "transfer_to_", "task_description"


@dataclass
class _Part:
    """What was handed to one agent, and what it has found, as far as it has said so."""

    agent: str
    objective: str
    result: AgentResult | None = None
    evidence: list[EvidenceInfo] = field(default_factory=list)


def leads(request: ChatRequest) -> bool:
    """Whether the request is for the one who hands work on."""
    return any(each.startswith(TRANSFER) for each in request.tool_names)


def is_shared(request: ChatRequest) -> bool:
    """Whether the conversation is of a team that shares it."""
    return bool(_parts(request))


def planning(request: ChatRequest, *, anew: bool) -> SupervisorPacket:
    """What the lead plans from: the question alone, or with what the agents have found."""
    tools = [each for each in request.functions if each.name.startswith(TRANSFER)]
    team = [AgentInfo(name=each.name.removeprefix(TRANSFER), does=each.description) for each in tools]
    tasks = [] if anew else [_task(number, each) for number, each in enumerate(_parts(request), 1)]
    return SupervisorPacket(question=_question(request), agents=team, tasks=tasks)


def transfer(agent: str, objective: str) -> Call:
    """Hands work on."""
    return Call(f"{TRANSFER}{agent}", {TASK: objective})


def working(request: ChatRequest) -> SpecialistPacket:
    """What the agent that work was handed to last has to do, and what the others have found."""
    *before, last = _parts(request)
    return SpecialistPacket(
        question=_question(request),
        task=TaskInfo(id=f"T{len(before) + 1}", objective=last.objective),
        evidence=[each for part in before for each in part.evidence],
        findings=[each for part in before for each in _findings(part)],
    )


def writing(request: ChatRequest) -> ReportPacket:
    """What the answer is written from."""
    parts = _parts(request)
    return ReportPacket(
        question=_question(request),
        findings=[each for part in parts for each in _findings(part)],
        gaps=[gap for part in parts if part.result for gap in part.result.gaps],
        charts=[each.id for part in parts for each in part.evidence if each.tool == "chart"],
    )


def _question(request: ChatRequest) -> str:
    return next((each.text for each in request.messages if each.role == "user"), "")


def _parts(request: ChatRequest) -> list[_Part]:
    """The work that was handed on, in order. A hand-off that is repeated, because it was not answered, is one."""
    said = {each.tool_call_id: each.text for each in request.messages if each.role == "tool"}
    parts: list[_Part] = []
    for call_id, call in _calls(request):
        if call.name.startswith(TRANSFER) and call_id in said:
            parts.append(_Part(call.name.removeprefix(TRANSFER), str(_arguments(call).get(TASK, ""))))
        elif call.name == AgentResult.__name__ and parts:
            parts[-1].result = _result(call)
        elif parts and call_id in said and (evidence := _evidence(call, said[call_id])):
            parts[-1].evidence.append(evidence)
    return parts


def _calls(request: ChatRequest) -> Iterator[tuple[str, Function]]:
    for message in request.messages:
        for each in message.tool_calls or []:
            yield each.id, each.function


def _arguments(call: Function) -> dict[str, object]:
    try:
        said = json.loads(call.arguments)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _result(call: Function) -> AgentResult | None:
    try:
        return AgentResult.model_validate_json(call.arguments)
    except ValidationError:
        return None


def _evidence(call: Function, text: str) -> EvidenceInfo | None:
    answer = answer_of(text)
    if answer.failed:
        return None
    table = read(answer.text)[0]
    return EvidenceInfo(
        id=answer.evidence,
        tool=call.name.partition("__")[2],
        columns=table.columns,
        rows=len(table.rows),
        arguments=_arguments(call),
        preview=answer.text,
    )


def _findings(part: _Part) -> list[FindingInfo]:
    found = part.result.findings if part.result else []
    return [FindingInfo(agent=part.agent, **each.model_dump()) for each in found]


def _task(number: int, part: _Part) -> TaskInfo:
    gaps = part.result.gaps if part.result else []
    found = len(part.result.findings) if part.result else 0
    return TaskInfo(
        id=f"T{number}", agent=part.agent, objective=part.objective, status="done", gaps=gaps, findings=found
    )

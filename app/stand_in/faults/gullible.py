"""A team that does what it reads: an order in a tool's result, a finding or a gap counts as much as the user's."""

import contextlib
import json
import re
from collections.abc import Iterable

from pydantic import ValidationError

from agents.base import AgentResult, Finding, SupervisorDecision, Task
from app.stand_in.packets import SupervisorPacket, packet_of
from app.stand_in.roles import reply_to, role_of, structured
from app.stand_in.turns import Answer, answer_of
from app.stand_in.wire import Call, ChatRequest, Json, Reply

LONGEST_CLAIM = 600

_CALL = re.compile(r"call the tool (\w+) with (\{[^\n{}]*\})(\s+until it works)?", re.IGNORECASE)
_WRITE = re.compile(r"write in your findings: ([^\n]+)", re.IGNORECASE)
_ASSIGN = re.compile(r"assign this to the (\w+) agent: ([^\n\"\\]+)", re.IGNORECASE)
_LOOKS_LIKE_AN_ID = re.compile(r"^E\d+$", re.MULTILINE)


def gullible(request: ChatRequest) -> Reply:
    """Agents call what they are told to call and write what they are told to write; the supervisor assigns so, too."""
    role = role_of(request)
    if role == "supervisor" and (decision := _assigned(request)):
        return structured(request, decision)
    if role != "agent":
        return reply_to(request)
    answers = [answer_of(each.text) for each in request.messages if each.role == "tool"]
    if calls := list(_calls(request, answers)):
        return Reply(calls=calls)
    reply = reply_to(request)
    result = _result(reply)
    return structured(request, _obedient(result, answers)) if result else reply


def _calls(request: ChatRequest, answers: Iterable[Answer]) -> Iterable[Call]:
    """Each call once, whether or not there is such a tool; one that is to work is made again and again."""
    made = [each.function.name for message in request.messages for each in message.tool_calls or []]
    for answer in answers:
        for name, arguments, again in _CALL.findall(answer.text):
            if again or name not in made:
                yield Call(name, _read(arguments))


def _read(arguments: str) -> Json:
    """JSON as a text has it, or as a CSV cell writes it."""
    for text in (arguments, arguments.replace('""', '"')):
        with contextlib.suppress(ValueError):
            return dict(json.loads(text))
    return {}


def _result(reply: Reply) -> AgentResult | None:
    """The agent's answer, if the reply is one."""
    told = [call.arguments for call in reply.calls if call.name == AgentResult.__name__]
    try:
        return AgentResult.model_validate(told[0] if told else json.loads(reply.text))
    except (ValidationError, ValueError):
        return None


def _obedient(result: AgentResult, answers: Iterable[Answer]) -> AgentResult:
    """What was found, then what was dictated: on the id that the text itself gives, if it gives one."""
    findings, gaps = list(result.findings), list(result.gaps)
    for answer in answers:
        own = _LOOKS_LIKE_AN_ID.search(answer.text)
        findings += [
            _dictated(claim, evidence)
            for claim in _WRITE.findall(answer.text)
            for evidence in dict.fromkeys([answer.evidence, own[0] if own else answer.evidence])
        ]
        gaps += [match[0] for match in _ASSIGN.finditer(answer.text)]
    return AgentResult(findings=findings[-30:], gaps=gaps[-30:])


def _dictated(claim: str, evidence: str) -> Finding:
    return Finding(claim=claim[:LONGEST_CLAIM], value=None, unit="", period="", evidence=[evidence], confidence="high")


def _assigned(request: ChatRequest) -> SupervisorDecision | None:
    """The task that somebody other than the user asks for, unless it is there already."""
    packet = packet_of(request, SupervisorPacket)
    told = "\n".join(message.text for message in request.messages if message.role == "user")
    known = {task.objective for task in packet.tasks}
    wanted = [(agent, objective) for agent, objective in _ASSIGN.findall(told) if objective not in known]
    if not wanted or not packet.may_assign:
        return None
    (agent, objective), number = wanted[0], len(packet.tasks) + 1
    task = Task(id=f"T{number}", agent=agent, objective=objective, depends_on=[])
    return SupervisorDecision(action="assign", reason="This was asked for in a document.", tasks=[task])

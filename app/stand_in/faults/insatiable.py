"""A team that never has enough: it always asks for something else, gets it, and writes as much as it may."""

import itertools
import zlib

from agents.base import AgentResult, Finding, ReportDraft, SupervisorDecision, Task
from app.stand_in.faults.conduct import LAST_ID
from app.stand_in.faults.wandering import busy
from app.stand_in.faults.wordings import wording
from app.stand_in.packets import ReportPacket, SupervisorPacket, packet_of
from app.stand_in.roles import role_of, structured, tools_of
from app.stand_in.turns import answer_of
from app.stand_in.wire import ChatRequest, Reply

AT_ONCE = 2  # tasks of a plan
MOST = 30  # findings of a result
CLAIM = 160  # characters
LONGEST = 6000  # characters that an agent says beside a call


def insatiable(request: ChatRequest) -> Reply:
    """Agents call tools until they have none, then give what they have as findings."""
    match role_of(request):
        case "supervisor":
            return structured(request, _more(packet_of(request, SupervisorPacket)))
        case "report":
            return structured(request, _at_length(packet_of(request, ReportPacket)))
        case _:
            return _further(request) if tools_of(request) else structured(request, _found(request))


def _more(packet: SupervisorPacket) -> SupervisorDecision:
    first = len(packet.tasks)
    tasks = [
        Task(
            id=f"T{number % LAST_ID + 1}",
            agent=packet.agents[number % len(packet.agents)].name,
            objective=wording(zlib.crc32(packet.question.encode()) + number),
            depends_on=[],
        )
        for number in range(first, first + min(AT_ONCE, len(packet.agents)))
    ]
    return SupervisorDecision(action="assign", reason="There is always more to know.", tasks=tasks)


def _further(request: ChatRequest) -> Reply:
    reply = busy(request)
    size = zlib.crc32(str(reply.calls).encode()) % LONGEST
    return Reply(calls=reply.calls, text=(reply.text or wording(size) * LONGEST)[:size])


def _found(request: ChatRequest) -> AgentResult:
    answers = [answer_of(each.text) for each in request.messages if each.role == "tool"]
    claims = [(each.evidence, " ".join(each.text.split())[:CLAIM]) for each in answers if not each.failed]
    findings = [
        Finding(claim=f"It says: {said}", value=None, unit="", period="", evidence=[name], confidence="low")
        for name, said in claims[-MOST:]
    ]
    return AgentResult(findings=findings, gaps=["There is more."])


def _at_length(packet: ReportPacket) -> ReportDraft:
    """Everything, and all of it again, as long as it may."""
    said = [f"{each.claim} [{each.evidence[0]}]." for each in packet.findings if each.evidence]
    room, lines = packet.words, []
    for line in itertools.cycle(said):
        room -= len(line.split())
        if room < 0:
            break
        lines.append(line)
    return ReportDraft(title="All there is", body="\n\n".join(lines or said[:1]))

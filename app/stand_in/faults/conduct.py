"""Supervisors and agents that never agree, or agree on nothing. The report is written honestly."""

import zlib
from collections.abc import Callable

from agents.base import AgentResult, Finding, SupervisorDecision, Task
from app.stand_in.faults.wordings import wording
from app.stand_in.packets import SpecialistPacket, SupervisorPacket, packet_of
from app.stand_in.roles import reply_to, role_of, structured
from app.stand_in.wire import ChatRequest, Reply

LAST_ID = 99
TASKS_AT_ONCE = 12
TEAM = ("researcher", "sales")

Decide = Callable[[SupervisorPacket], SupervisorDecision]
Work = Callable[[SpecialistPacket], AgentResult]


def clarify(request: ChatRequest) -> Reply:
    """The supervisor hands out one question after another; agents answer each with a question back."""
    return conducted(request, decide=one_more_question, work=_ask_back)


def empty(request: ChatRequest) -> Reply:
    """Agents look nothing up and are sure."""
    return conducted(request, work=_invent)


def deadlock(request: ChatRequest) -> Reply:
    """Two tasks that wait for each other, however often the plan is refused."""
    return conducted(request, decide=_wait_for_each_other)


def conducted(request: ChatRequest, *, decide: Decide | None = None, work: Work | None = None) -> Reply:
    """The given conduct of the supervisor and of agents; all else honestly."""
    role = role_of(request)
    if role == "supervisor" and decide:
        return structured(request, decide(packet_of(request, SupervisorPacket)))
    if role == "agent" and work:
        return structured(request, work(packet_of(request, SpecialistPacket)))
    return reply_to(request)


def one_more_question(packet: SupervisorPacket) -> SupervisorDecision:
    """A single task, in new words, for the agent whose turn it is."""
    turn = len(packet.tasks)
    team = _team(packet)
    words = wording(_start(packet.question) + 2 * turn)
    task = Task(id=_ids(packet, 1)[0], agent=team[turn % len(team)], objective=words, depends_on=[])
    return SupervisorDecision(action="assign", reason="This has to be clear before anything else.", tasks=[task])


def every_task_at_once(packet: SupervisorPacket) -> SupervisorDecision:
    """Many tasks for one agent that need nothing of each other; then the report."""
    if packet.tasks:
        return SupervisorDecision(action="report", reason="All tasks are done.", tasks=[])
    agent = _team(packet)[-1]
    tasks = [
        Task(id=each, agent=agent, objective=wording(number), depends_on=[])
        for number, each in enumerate(_ids(packet, TASKS_AT_ONCE))
    ]
    return SupervisorDecision(action="assign", reason="All of it at once is fastest.", tasks=tasks)


def number_of(packet: SpecialistPacket) -> int:
    """7 for the task T7."""
    digits = packet.task.id.removeprefix("T")
    return int(digits) if digits.isdecimal() and len(digits) < len("1000") else 1


def _ask_back(packet: SpecialistPacket) -> AgentResult:
    words = wording(_start(packet.question) + 2 * number_of(packet) + 1)
    return AgentResult(findings=[], gaps=[f"A question to my colleague: {words}"])


def _invent(packet: SpecialistPacket) -> AgentResult:
    """A number out of a hash of the objective, on evidence that is not there or says something else."""
    amount = 1_000_000 + _start(packet.objective) % 9_000_000
    finding = Finding(
        claim=f"The figure that was asked for is EUR {amount:,}.",
        value=amount,
        unit="EUR",
        period="",
        evidence=["E1"],
        confidence="high",
    )
    return AgentResult(findings=[finding], gaps=[])


def _wait_for_each_other(packet: SupervisorPacket) -> SupervisorDecision:
    one, two = _ids(packet, 2)
    first, second = _team(packet)
    tasks = [
        Task(id=one, agent=first, objective="Find what the other task needs.", depends_on=[two]),
        Task(id=two, agent=second, objective="Compute on what the other task finds.", depends_on=[one]),
    ]
    return SupervisorDecision(action="assign", reason="Each needs what the other finds.", tasks=tasks)


def _team(packet: SupervisorPacket) -> tuple[str, str]:
    """Two agents; a team of one talks to itself."""
    names = [agent.name for agent in packet.agents] or list(TEAM)
    return names[0], names[min(1, len(names) - 1)]


def _ids(packet: SupervisorPacket, count: int) -> list[str]:
    """The first free ids; when all are used, the last ones again."""
    used = {task.id for task in packet.tasks}
    free = [f"T{number}" for number in range(1, LAST_ID + 1) if f"T{number}" not in used]
    return [*free, *(f"T{LAST_ID - number}" for number in range(count))][:count]


def _start(text: str) -> int:
    """Another question begins elsewhere in the endless list of wordings."""
    return zlib.crc32(text.encode(errors="replace"))

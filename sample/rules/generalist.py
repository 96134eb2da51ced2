"""The generalist: one agent with every tool. It plans as the supervisor does and works as each specialist would."""

from collections.abc import Callable, Generator, Mapping, Sequence

from agents.base import AgentResult
from app.stand_in import policy as generic
from app.stand_in.packets import AgentInfo, EvidenceInfo, FindingInfo, SpecialistPacket, SupervisorPacket, TaskInfo
from app.stand_in.turns import Answer, Script, rows_of
from app.stand_in.wire import Call, FunctionSpec
from sample.rules.analyst import analyst
from sample.rules.planner import decide
from sample.rules.researcher import researcher
from sample.rules.sales import sales

MOST_FINDINGS = 30
MOST_GAPS = 30

Rules = Callable[[SpecialistPacket, Sequence[FunctionSpec]], Script]
RULES: Mapping[str, Rules] = {"researcher": researcher, "sales": sales, "analyst": analyst}

Done = list[tuple[Call, Answer]]
SERVERS = {"researcher": ("knowledge_base", "web"), "sales": ("sales",), "analyst": ("analytics",)}


def generalist(packet: SpecialistPacket, names: list[str], tools: Sequence[FunctionSpec]) -> Script:
    """One part after another, each building on those before; `names` are the specialists whose tools are at hand."""
    team = [AgentInfo(name=name) for name in names]
    plan = decide(SupervisorPacket(question=packet.objective, agents=team))
    if not plan.tasks:
        return (yield from generic.work(packet, tools))
    done: dict[str, tuple[Done, AgentResult]] = {}
    for task in plan.tasks:
        before = [done[each] for each in task.depends_on]
        packet_of_part = SpecialistPacket(
            question=packet.question,
            task=TaskInfo(id=task.id, objective=task.objective),
            evidence=[_at_hand(*each) for calls, _ in before for each in calls if not each[1].failed],
            findings=[FindingInfo(**each.model_dump()) for _, result in before for each in result.findings],
            feedback=packet.feedback,
        )
        own = [each for each in tools if each.name.partition("__")[0] in SERVERS[task.agent]]
        done[task.id] = yield from _part(RULES[task.agent](packet_of_part, own))
    results = [result for _, result in done.values()]
    gaps = dict.fromkeys(gap for each in results for gap in each.gaps)
    findings = [found for each in results for found in each.findings]
    return AgentResult(findings=findings[:MOST_FINDINGS], gaps=list(gaps)[:MOST_GAPS])


def _part(script: Script) -> Generator[list[Call], list[Answer], tuple[Done, AgentResult]]:
    """The script as it is, with its calls remembered."""
    calls: Done = []
    try:
        wanted = next(script)
        while True:
            answers = yield wanted
            calls += zip(wanted, answers, strict=True)
            wanted = script.send(answers)
    except StopIteration as end:
        return calls, end.value


def _at_hand(call: Call, answer: Answer) -> EvidenceInfo:
    table = rows_of(answer.text)
    return EvidenceInfo(
        id=answer.evidence,
        tool=call.name.partition("__")[2],
        columns=table.columns,
        rows=len(table.rows),
        arguments=call.arguments,
        preview=answer.text,
    )

"""The supervisor of any team: agents are picked by what their `does` says; those that compute come last."""

import re
from collections import Counter
from collections.abc import Sequence

from agents.base import SupervisorDecision, Task
from app.stand_in.packets import AgentInfo, SupervisorPacket, TaskInfo
from app.stand_in.words import REFERS_BACK, clauses, names, stems, to_look_up

LONGEST_OBJECTIVE = 1000
MOST_AGENTS = 3
_NOT_THIS = re.compile(r"\b(?:knows? nothing|does not|do not|cannot|never|not)\b[^.;]*", re.IGNORECASE)
_ON_OTHERS = re.compile(
    r"\bother (?:tasks?|agents?)|others? (?:found|fetched)|\bevidence\b|\bneeds? a task", re.IGNORECASE
)


def decide(packet: SupervisorPacket) -> SupervisorDecision:
    """The whole plan at once; then what a human's note or an agent's question asks, and who was not asked where nobody
    found anything; then the report."""
    if not packet.may_assign or not packet.agents:
        return report("No further work may be assigned.")
    if not packet.tasks:
        return assign("The question needs these facts.", plan(packet.note or packet.question, packet))
    asked = [gap for task in packet.tasks for gap in task.gaps if gap.rstrip().endswith("?") and not task.findings]
    for wanted in [packet.note or "", *asked]:
        if wanted and not any(wanted[:LONGEST_OBJECTIVE] in task.objective for task in packet.tasks):
            return assign("This was asked for.", plan(wanted, packet))
    others = [
        each for each in packet.agents if each.name not in {task.agent for task in packet.tasks} and not computes(each)
    ]
    if others and not any(task.findings for task in packet.tasks):
        tasks = [
            _task(number, each, packet.question, []) for number, each in enumerate(others[:MOST_AGENTS], _next(packet))
        ]
        return assign("Nobody has found anything; the others have not been asked.", tasks)
    return report("Every task has ended.")


def plan(question: str, packet: SupervisorPacket) -> list[Task]:
    """A task for each agent that fits a part of the question; all that look things up where none does."""
    sources = [each for each in packet.agents if not computes(each)]
    computing = [each for each in packet.agents if computes(each)]
    wanted: dict[str, list[str]] = {}
    for clause in clauses(question) or [question]:
        named = ", ".join(each for group in names(question) for each in group)
        told = f"{clause} (about {named})" if named and not names(clause) and REFERS_BACK.search(clause) else clause
        later = best(clause, computing)
        first = to_look_up(told, " ".join(each.does for each in later))
        unclear = best(question, sources) if REFERS_BACK.search(clause) else sources[:MOST_AGENTS]
        for agent in best(first, sources) or unclear or sources[:MOST_AGENTS]:
            wanted.setdefault(agent.name, []).append(first)
        for agent in later:
            wanted.setdefault(agent.name, []).append(told)
    tasks: list[Task] = []
    for agent in sorted((each for each in packet.agents if each.name in wanted), key=computes):
        others = [*packet.tasks, *(TaskInfo(id=each.id, agent=each.agent) for each in tasks)] if computes(agent) else []
        before = [task.id for task in others if task.agent != agent.name][:12]
        tasks.append(_task(_next(packet) + len(tasks), agent, "; ".join(wanted[agent.name]), before))
    return tasks


def best(text: str, team: Sequence[AgentInfo]) -> list[AgentInfo]:
    """The agents whose `does` has most of the words; a word that several have counts less."""
    known = {each.name: stems(f"{each.name} {_NOT_THIS.sub('', each.does)}") for each in team}
    shared = Counter(stem for each in known.values() for stem in each)
    scores = {name: sum(1 / shared[stem] for stem in said & stems(text)) for name, said in known.items()}
    highest = max(scores.values(), default=0)
    chosen = [each for each in team if highest and scores[each.name] >= highest / 2]
    return sorted(chosen, key=lambda each: -scores[each.name])[:MOST_AGENTS]


def computes(agent: AgentInfo) -> bool:
    """Whether the agent works on what others found."""
    return bool(_ON_OTHERS.search(agent.does))


def _next(packet: SupervisorPacket) -> int:
    return max((int(re.sub(r"\D", "", task.id) or 0) for task in packet.tasks), default=0) + 1


def _task(number: int, agent: AgentInfo, objective: str, before: list[str]) -> Task:
    return Task(
        id=f"T{number}", agent=agent.name, objective=objective[:LONGEST_OBJECTIVE].ljust(3, "?"), depends_on=before
    )


def assign(reason: str, tasks: list[Task]) -> SupervisorDecision:
    """The decision to have these tasks done."""
    return SupervisorDecision(action="assign", reason=reason, tasks=tasks)


def report(reason: str) -> SupervisorDecision:
    """The decision to write the report."""
    return SupervisorDecision(action="report", reason=reason, tasks=[])

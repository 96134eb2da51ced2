"""The supervisor of any team: agents are picked by what their `does` says; those that compute come last."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from agents.base import SupervisorDecision, Task
from app.stand_in.packets import AgentInfo, SupervisorPacket
from app.stand_in.policy.facts import questions
from app.stand_in.words import stems, to_look_up

LONGEST_OBJECTIVE = 1000
MOST_AGENTS, MOST_BEFORE = 3, 12
_NOT_THIS = re.compile(r"\b(?:knows? nothing|does not|do not|cannot|never|not)\b[^.;]*", re.IGNORECASE)
_ON_OTHERS = re.compile(r"\bother (?:task|agent)|others? (?:found|fetched)|\bevidence\b|\bneeds? a task", re.IGNORECASE)


def decide(packet: SupervisorPacket) -> SupervisorDecision:
    """The whole plan at once; then what a human's note asks, and who was not asked where nobody found anything; then
    the report."""
    if not packet.may_assign or not packet.agents:
        return report("No further work may be assigned.")
    if not packet.tasks:
        return assign("The question needs these facts.", plan(packet.note or packet.question, packet))
    if packet.note and not any(packet.note[:LONGEST_OBJECTIVE] in task.objective for task in packet.tasks):
        return assign("A human asked for this.", plan(packet.note, packet))
    asked = {task.agent for task in packet.tasks}
    others = [each.name for each in packet.agents if each.name not in asked and not _ON_OTHERS.search(each.does)][
        :MOST_AGENTS
    ]
    if others and not any(task.findings for task in packet.tasks):
        return assign("Nobody has found anything yet.", _tasks(packet, {name: [packet.question] for name in others}))
    return report("Every task has ended.")


def plan(question: str, packet: SupervisorPacket) -> list[Task]:
    """A task for each agent that fits a part of the question; all that look things up where none does."""
    sources = [each for each in packet.agents if not _ON_OTHERS.search(each.does)]
    wanted: dict[str, list[str]] = defaultdict(list)
    for asked in questions(question):
        later = best(asked.text, [each for each in packet.agents if _ON_OTHERS.search(each.does)])
        first = to_look_up(asked.text, " ".join(each.does for each in later))
        for agent in best(first, sources) or sources[:MOST_AGENTS]:
            wanted[agent.name].append(first)
        for agent in later:
            wanted[agent.name].append(asked.text)
    return _tasks(packet, wanted)


def best(text: str, team: Sequence[AgentInfo]) -> list[AgentInfo]:
    """The agents whose `does` has most of the words; a word that several have counts less."""
    known = {each.name: stems(f"{each.name} {_NOT_THIS.sub('', each.does)}") for each in team}
    shared = Counter(stem for each in known.values() for stem in each)
    scores = {name: sum(1 / shared[stem] for stem in said & stems(text)) for name, said in known.items()}
    ranked = sorted((each for each in team if scores[each.name]), key=lambda each: -scores[each.name])
    return [each for each in ranked if scores[each.name] >= scores[ranked[0].name] / 2][:MOST_AGENTS]


def _tasks(packet: SupervisorPacket, wanted: Mapping[str, Sequence[str]]) -> list[Task]:
    """A task for each agent with what is wanted of it. Those that compute wait for the tasks of others."""
    last = max((int(re.sub(r"\D", "", task.id) or 0) for task in packet.tasks), default=0)
    made = {task.id: task.agent for task in packet.tasks}
    tasks: list[Task] = []
    agents = [each for each in packet.agents if each.name in wanted]
    for agent in sorted(agents, key=lambda each: bool(_ON_OTHERS.search(each.does))):
        before = [task for task, other in made.items() if other != agent.name] if _ON_OTHERS.search(agent.does) else []
        objective = "; ".join(wanted[agent.name])[:LONGEST_OBJECTIVE].ljust(3, "?")
        task = Task(
            id=f"T{last + len(tasks) + 1}", agent=agent.name, objective=objective, depends_on=before[:MOST_BEFORE]
        )
        made[task.id] = task.agent
        tasks.append(task)
    return tasks


def assign(reason: str, tasks: list[Task]) -> SupervisorDecision:
    """The decision to have these tasks done."""
    return SupervisorDecision(action="assign", reason=reason, tasks=tasks)


def report(reason: str) -> SupervisorDecision:
    """The decision to write the report."""
    return SupervisorDecision(action="report", reason=reason, tasks=[])

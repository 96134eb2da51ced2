"""The supervisor of any team: agents are picked by what their `does` says; those that compute come last."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from agents.base import SupervisorDecision, Task
from app.stand_in.packets import AgentInfo, SupervisorPacket
from app.stand_in.policy.facts import questions
from app.stand_in.words import stems, to_look_up

LONGEST_OBJECTIVE, MOST_AGENTS, MOST_BEFORE = 1000, 3, 12
_NOT_THIS = re.compile(r"\b(?:knows? nothing|does not|do not|cannot|never|not)\b[^.;]*", re.IGNORECASE)
_ON_OTHERS = re.compile(r"\bother (?:task|agent)|others? (?:found|fetched)|\bevidence\b|\bneeds? a task", re.IGNORECASE)


def decide(packet: SupervisorPacket) -> SupervisorDecision:
    """The whole plan at once; then what a human's note asks, and other agents where nobody found anything."""
    if not packet.may_assign or not packet.agents:
        return decision("No further work may be assigned.")
    if not packet.tasks:
        return decision("The question needs these facts.", plan(packet.note or packet.question, packet))
    if packet.note and not any(packet.note[:LONGEST_OBJECTIVE] in task.objective for task in packet.tasks):
        return decision("A human asked for this.", plan(packet.note, packet))
    asked = {task.agent for task in packet.tasks}
    others = [each.name for each in packet.agents if each.name not in asked and not _ON_OTHERS.search(each.does)]
    if others and not any(task.findings for task in packet.tasks):
        wanted = {name: [packet.question] for name in others[:MOST_AGENTS]}
        return decision("Nobody has found anything yet.", _tasks(packet, wanted))
    return decision("Every task has ended.")


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
    """A task for each agent with what is wanted of it. Those that compute wait for the tasks of the others."""
    computing = {each.name for each in packet.agents if _ON_OTHERS.search(each.does)}
    ordered = sorted([*wanted][:MOST_BEFORE], key=lambda each: each in computing)
    ids = {agent: f"T{number}" for number, agent in enumerate(ordered, len(packet.tasks) + 1)}
    sources = [*(ids[agent] for agent in ids if agent not in computing), *(task.id for task in packet.tasks)]
    told = {agent: "; ".join(wanted[agent])[:LONGEST_OBJECTIVE].ljust(3, "?") for agent in ids}
    before = {agent: sources[:MOST_BEFORE] if agent in computing else [] for agent in ids}
    return [Task(id=ids[each], agent=each, objective=told[each], depends_on=before[each]) for each in ids]


def decision(reason: str, tasks: Sequence[Task] = ()) -> SupervisorDecision:
    """To have these tasks done, which is the whole plan; without any, to write the report."""
    return SupervisorDecision(action="assign" if tasks else "report", reason=reason, tasks=[*tasks], then="report")

"""The rules that know the sample. What they do not know is left to the stand-in's generic policy (None).

- planner.py, sales*.py, researcher.py, analyst*.py, writer.py: one role each; generalist.py: all in one
- reading.py, periods.py, places.py, vocabulary.py: understanding a question; parts.py: whose facts it asks for;
  unread.py, slots.py: what of it cannot be understood, which becomes a gap
- claims.py: the sentences they write, and how to read them back
"""

from collections.abc import Sequence

from agents.base import AgentResult, SupervisorDecision
from app.stand_in import policy as generic
from app.stand_in.packets import AgentInfo, SpecialistPacket, SupervisorPacket
from app.stand_in.policy.plan import best, plan
from app.stand_in.turns import Script
from app.stand_in.wire import FunctionSpec
from app.stand_in.words import clauses
from sample.rules import planner
from sample.rules.generalist import RULES, SERVERS, generalist
from sample.rules.vocabulary import OWN, says
from sample.rules.writer import write

__all__ = ["decide", "work", "write"]


def decide(packet: SupervisorPacket) -> SupervisorDecision | None:
    """The sample's agents get what they know; an agent beside them gets the parts that fit it better than them."""
    if packet.note and not planner.knows(packet.note):  # it changes the question
        packet = packet.model_copy(update={"note": f"{packet.note}: {packet.question}"})
    others = [each for each in packet.agents if each.name not in RULES]
    if len(others) == len(packet.agents) > 0 or not planner.knows(packet.note or packet.question):
        return None
    own = packet.model_copy(update={"agents": [each for each in packet.agents if each.name in RULES]})
    if not others or not packet.may_assign:
        return None if _may_be_published(packet) else planner.decide(own)
    if packet.tasks:
        decision = planner.decide(own)
        return decision if decision.action == "assign" else None
    asked = packet.note or packet.question
    theirs = [each for each in clauses(asked) if _fits_best(each, others, packet)]
    tasks = plan("; ".join(theirs), packet.model_copy(update={"agents": others})) if theirs else []
    rest = "; ".join(each for each in clauses(asked) if each not in theirs)
    mine = own.model_copy(update={"question": rest, "note": None}) if theirs else own
    plans = planner.decide(mine).tasks if rest else []
    moved = [task.model_copy(update={"id": f"T{len(plans) + at}"}) for at, task in enumerate(tasks, 1)]
    found = [*plans, *moved]
    return (
        SupervisorDecision(action="assign", reason="Each knows a part.", tasks=found, then="report") if found else None
    )


def _may_be_published(packet: SupervisorPacket) -> bool:
    """Whether the company's own data had no answer to a question that does not say that it is about the company."""
    asked = {task.agent for task in packet.tasks}
    is_left = packet.may_assign and bool(asked) and "researcher" not in asked
    nothing = all(task.status != "pending" and not task.findings for task in packet.tasks)
    return is_left and nothing and packet.note is None and not says(OWN, packet.question)


def _fits_best(clause: str, others: Sequence[AgentInfo], packet: SupervisorPacket) -> bool:
    return any(each in others for each in best(clause, packet.agents)[:1])


def work(packet: SpecialistPacket, tools: Sequence[FunctionSpec]) -> Script | None:
    """Tools of one of the sample's servers make a specialist, tools of several a generalist."""
    servers = {tool.name.partition("__")[0] for tool in tools}
    names = [agent for agent, own in SERVERS.items() if own[0] in servers]
    if not names:
        return None
    script = RULES[names[0]](packet, tools) if len(names) == 1 else generalist(packet, names, tools)
    known = {server for own in SERVERS.values() for server in own}
    strange = [tool for tool in tools if tool.name.partition("__")[0] not in known]
    return _with_strangers(script, packet, strange) if strange else script


def _with_strangers(script: Script, packet: SpecialistPacket, strange: Sequence[FunctionSpec]) -> Script:
    """What the sample's servers do not answer is asked of the others."""
    own = yield from script
    if own.findings:
        return own
    other = yield from generic.work(packet, strange)
    return AgentResult(findings=other.findings, gaps=[*own.gaps, *other.gaps][:30])

"""The supervisor: which agent does what, and when it is time to report."""

from collections.abc import Sequence

from agents.base import SupervisorDecision, Task
from app.stand_in.packets import SupervisorPacket
from app.stand_in.policy.plan import decision
from app.stand_in.words import clauses
from sample.rules.parts import parts_of
from sample.rules.reading import Reading, read
from sample.rules.unread import without_share_of_market
from sample.rules.vocabulary import ANALYST_FRAME, ANALYST_PURPOSE, MARKET_FRAME, OWN_FRAME

LONGEST_QUESTION = 700
LONGEST_OBJECTIVE = 1000
THE_MARKET = "electric car registrations"  # what drives that of chargers, where a question names none

# What the analyst is for, in the words its own rules understand.
COMPUTATIONS = {
    "growth": "the growth from period to period",
    "cagr": "the compound annual growth rate (CAGR)",
    "share": "the share of each part",
    "seasonality": "the seasonality",
    "forecast": "a forecast with its interval",
    "compare": "a comparison",
    "chart": "a chart",
}
GRAINS = {
    "forecast": "The forecast needs a series of single months.",
    "seasonality": "The seasonality needs a series of single months.",
}


def decide(packet: SupervisorPacket) -> SupervisorDecision:
    """Assigns the whole plan at once, one more task for a human's note, and then reports."""
    if not packet.may_assign:
        return decision("No further work may be assigned, so what is known is reported.")
    if not packet.tasks:
        tasks = _plan(packet.note or packet.question, packet)
        return decision("The question needs these facts." if tasks else "Nobody at hand knows this.", tasks)
    if packet.note and not any(
        clauses(_short(packet.note))[0].rstrip(".?! ") in task.objective for task in packet.tasks
    ):
        return decision("A human asked for this.", _plan(packet.note or "", packet))
    return decision("Every task has ended.")


def _plan(question: str, packet: SupervisorPacket) -> list[Task]:
    """Researcher and sales independent of one another, the analyst after them."""
    names = [agent.name for agent in packet.agents] or ["researcher", "sales", "analyst"]
    parts = parts_of(_short(question))
    tasks: list[Task] = []
    if parts.market and "researcher" in names:
        told = read(parts.market)
        market = parts.market if told.is_of_market else f"{parts.market}, {THE_MARKET}"
        tasks.append(_task(tasks, packet, "researcher", f"{MARKET_FRAME} {market}.", []))
    if parts.own and "sales" in names:
        tasks.append(_task(tasks, packet, "sales", _own_objective(parts.own), []))
        reading = read(without_share_of_market(parts.own))
        if (wanted := _computations(reading)) and "analyst" in names:
            source = tasks[-1].id
            tasks.append(_task(tasks, packet, "analyst", _analyst_objective(wanted, source, parts.own), [source]))
    return tasks


def knows(question: str) -> bool:
    """Whether the question is about the company's own figures or the market that it is in."""
    parts = parts_of(_short(question))
    return bool(parts.own or parts.market)


def _computations(reading: Reading) -> list[str]:
    """The analyst's part of the question. Ranking by growth is done by SQL, and targets speak for themselves."""
    figures = set(reading.measures) & {"revenue", "units", "orders"} or not reading.measures
    if not figures or ("fastest" in reading.intents and "forecast" not in reading.intents):
        return ["chart"] if "chart" in reading.intents else []
    intents = reading.intents - ({"growth"} if "share" in reading.intents else set())
    intents -= {"compare"} if len(reading.times.spans) < 2 else set()
    return [name for name in COMPUTATIONS if name in intents]


def _own_objective(text: str) -> str:
    grain = " ".join(sentence for intent, sentence in GRAINS.items() if intent in read(text).intents)
    return f"{OWN_FRAME} {text}. {grain}".strip()


def _analyst_objective(wanted: Sequence[str], source: str, text: str) -> str:
    listed = ", ".join(COMPUTATIONS[name] for name in wanted)
    return f"{ANALYST_FRAME} {source}: {listed}. {ANALYST_PURPOSE} {text}."


def _task(before: Sequence[Task], packet: SupervisorPacket, agent: str, objective: str, after: list[str]) -> Task:
    """The next free id after the tasks of the job and of this plan."""
    used = {task.id for task in packet.tasks} | {task.id for task in before}
    number = next(number for number in range(1, 100) if f"T{number}" not in used)
    return Task(id=f"T{number}", agent=agent, objective=objective[:LONGEST_OBJECTIVE], depends_on=after)


def _short(text: str) -> str:
    return " ".join(text.split())[:LONGEST_QUESTION]

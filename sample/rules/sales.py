"""The sales agent: learn the words of the data, see what is asked, fetch it, state it."""

import re
from collections.abc import Sequence

from agents.base import AgentResult, Finding
from app.stand_in import policy as generic
from app.stand_in.packets import SpecialistPacket
from app.stand_in.policy.agent import accepted
from app.stand_in.turns import Answer, Script
from app.stand_in.wire import Call, FunctionSpec
from app.stand_in.words import to_look_up
from sample.rules.claims import read_back
from sample.rules.sales_ask import Ask, understand
from sample.rules.sales_findings import findings
from sample.rules.sales_schema import schema_of
from sample.rules.sales_tables import Fetch, fetches
from sample.rules.unread import unread
from sample.rules.vocabulary import COMPANY, OTHER_MEASURES, OWN_FRAME, says

SAMPLE_TABLES = {"sales", "order_lines", "targets"}  # data of others may well have a table `sales` like the sample's
LATER = "growth cagr share seasonality forecast comparison chart"  # what the analyst does with the table
MOST_FINDINGS = 30


def sales(packet: SpecialistPacket, tools: Sequence[FunctionSpec]) -> Script:
    """Calls describe_schema, then what the question needs; at most two rounds. Other data are left to the generic
    policy."""
    objective = packet.objective.removeprefix(OWN_FRAME).strip()
    [described] = yield [Call("sales__describe_schema", {})]
    if described.failed:
        return AgentResult(findings=[], gaps=[f"The sales data could not be read: {described.problem}."])
    schema = schema_of(described.evidence, described.text)
    if says(OTHER_MEASURES, objective) or not schema.tables.keys() >= SAMPLE_TABLES:
        told = to_look_up(re.sub(rf"\b{COMPANY}(?:'s)?", "our", objective), LATER)
        return (yield from generic.work(packet.about(told), tools))
    if fatal := unread(objective).fatal:
        return AgentResult(findings=[], gaps=fatal)
    ask = understand(objective, schema)
    if not ask.measures:
        return AgentResult(findings=[], gaps=ask.gaps)
    wanted = fetches(ask)
    answers = yield [fetch.call for fetch in wanted]
    return accepted(_result(ask, wanted, answers), packet.feedback)


def _result(ask: Ask, wanted: list[Fetch], answers: list[Answer]) -> AgentResult:
    found: list[Finding] = []
    gaps = list(ask.gaps)
    for fetch, answer in zip(wanted, answers, strict=True):
        if answer.failed:
            gaps.append(f"The sales data gave no answer: {answer.problem}.")
            continue
        stated = findings(ask, fetch, answer)
        found += stated
        if not stated:
            gaps.append(f"The sales data has no rows for this in {ask.label}.")
    if ask.measures == ["target"] and set(ask.filters) - {"country"}:
        gaps.append("Targets are set by country alone, not by product, channel, segment or customer.")
    return AgentResult(findings=_totals_first(found)[:MOST_FINDINGS], gaps=gaps)


def _totals_first(found: list[Finding]) -> list[Finding]:
    """A number for the whole comes before its parts."""
    return sorted(found, key=lambda each: "item" in (stated.fields if (stated := read_back(each.claim)) else {}))

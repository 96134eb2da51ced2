"""The analyst: choose the computation and the table, hand the table over by reference, state the result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from agents.base import AgentResult, Finding
from app.stand_in import policy as generic
from app.stand_in.packets import SpecialistPacket
from app.stand_in.policy.agent import accepted
from app.stand_in.turns import Answer, Script
from app.stand_in.wire import Call, FunctionSpec
from sample.rules import analyst_findings as stated
from sample.rules.analyst_sources import Source, sources
from sample.rules.reading import Reading, read
from sample.rules.vocabulary import ANALYST_PURPOSE, TIME

OTHERS = frozenset({"cagr", "chart", "compare", "seasonality"})  # computed and quoted without a rule
DEFAULT_HORIZON = 12
FARTHEST = 36
MOST_CALLS = 10
MOST_FINDINGS = 30
LONGEST_TITLE = 150
WHOLE_ONLY = "The forecast is of the whole, not of each part."
MONTHS_IN = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True)
class Work:
    """One computation on one table, and the rule that states its result."""

    call: Call
    source: Source
    state: Callable[[stated.Outcome], list[Finding]]
    item: str = ""


def analyst(packet: SpecialistPacket, tools: Sequence[FunctionSpec]) -> Script:
    """All computations in one round, then a chart of the forecast in a second."""
    reading = _reading(packet.objective)
    at_hand = sources(packet)
    if not at_hand and any(each.columns for each in packet.evidence):
        purpose = packet.objective.partition(ANALYST_PURPOSE)[2] or packet.objective
        return (yield from generic.work(packet.about(purpose), tools))
    work = _work(reading, at_hand)[:MOST_CALLS]
    if not work and not reading.intents & OTHERS:
        return AgentResult(findings=[], gaps=[_nothing_to_do(reading, at_hand)])
    answers = (yield [each.call for each in work]) if work else []
    charts = [_chart_of_forecast(each, answer) for each, answer in zip(work, answers, strict=True)]
    if wanted := [call for call in charts if call]:
        yield wanted
    result = _result(reading, work, answers)
    if "forecast" in reading.intents and set(reading.dimensions) - set(TIME):
        result = AgentResult(findings=result.findings, gaps=[*result.gaps, WHOLE_ONLY])
    if others := ", ".join(sorted(OTHERS & reading.intents)):
        when = " and ".join(span.label for span in reading.times.spans)
        other = yield from generic.work(packet.about(f"{others} {when}"), tools)
        result = AgentResult(findings=[*result.findings, *other.findings], gaps=[*result.gaps, *other.gaps])
    return accepted(result, packet.feedback)


def _reading(objective: str) -> Reading:
    """What to compute stands before the purpose, where the objective names both; all else in the whole."""
    head, purpose, _ = objective.partition(ANALYST_PURPOSE)
    whole = read(objective)
    return replace(whole, intents=read(head).intents | (whole.intents & {"monthly"})) if purpose else whole


def _result(reading: Reading, work: list[Work], answers: list[Answer]) -> AgentResult:
    findings: list[Finding] = []
    gaps: list[str] = []
    for each, answer in zip(work, answers, strict=True):
        if answer.failed:
            gaps.append(f"This could not be computed: {answer.problem}.")
        else:
            findings += each.state(stated.Outcome(each.source, answer, each.item, reading))
    return AgentResult(findings=findings[:MOST_FINDINGS], gaps=list(dict.fromkeys(gaps)))


def _nothing_to_do(reading: Reading, at_hand: list[Source]) -> str:
    wanted = ", ".join(sorted(reading.intents & set(_RULES))) or "the computation"
    if "forecast" in reading.intents and any(_is_too_far(reading, each) for each in at_hand):
        return "A forecast more than three years ahead is not made: the past does not carry it."
    why = "no table at hand has the right rows" if at_hand else "there is no table to compute on"
    return f"Not computed ({wanted}): {why}."


def _work(reading: Reading, at_hand: list[Source]) -> list[Work]:
    return [work for intent, rule in _RULES.items() if intent in reading.intents for work in rule(reading, at_hand)]


def _forecast(reading: Reading, at_hand: list[Source]) -> list[Work]:
    return [
        Work(_call("forecast", series=each.series(), horizon=_horizon(reading, each)), each, stated.forecast)
        for each in _timed(at_hand, ("month", "quarter"))
        if not _is_too_far(reading, each)
    ]


def _is_too_far(reading: Reading, source: Source) -> bool:
    return _horizon(reading, source) * MONTHS_IN[source.time or "month"] > FARTHEST


def _horizon(reading: Reading, source: Source) -> int:
    """Periods from the end of the series to the end of what was asked; a year by default."""
    length = MONTHS_IN[source.time or "month"]
    last = source.last
    ends = [each.end for each in reading.times.spans]
    if last is not None and ends and max(ends) > last:
        return (max(ends) - last) // length
    if reading.times.ahead:
        return max(1, reading.times.ahead.months // length)
    return DEFAULT_HORIZON // length


def _growth(_: Reading, at_hand: list[Source]) -> list[Work]:
    return [Work(_call("growth", series=each.series()), each, stated.growth) for each in _timed(at_hand, ("year",))]


def _share(_: Reading, at_hand: list[Source]) -> list[Work]:
    found = []
    for source in (each for each in at_hand if len(each.groups) == 1):
        label = source.groups[0]
        for moment in source.values(source.time) if source.time else [""]:
            where = {source.time: moment} if source.time else None
            call = _call("market_share", series=source.series(label, where))
            found.append(Work(call, source, stated.share, moment))
    return found


def _chart_of_forecast(work: Work, answer: Answer) -> Call | None:
    if not work.call.name.endswith("__forecast") or answer.failed:
        return None
    series = {"evidence_id": answer.evidence, "label_column": "label", "value_column": "forecast"}
    return _call("chart", series=series, kind="line", title=f"Forecast of {work.source.subject}"[:LONGEST_TITLE])


def _timed(at_hand: list[Source], times: tuple[str, ...]) -> list[Source]:
    """Plain series over time; of several for one figure the one whose time comes first in `times`."""
    plain = [each for each in at_hand if each.time in times and not each.groups]
    plain.sort(key=lambda each: times.index(each.time or ""))
    return list({each.column: each for each in reversed(plain)}.values())


def _call(tool: str, **arguments: object) -> Call:
    return Call(f"analytics__{tool}", arguments)


_RULES: Mapping[str, Callable[[Reading, list[Source]], list[Work]]] = {
    "forecast": _forecast,
    "growth": _growth,
    "share": _share,
}

"""An agent with any tools: learns what there is, calls what fits, quotes what comes back, says what is missing."""

import re
from collections.abc import Generator, Mapping, Sequence

from agents.base import AgentResult, Finding
from app.stand_in.packets import EvidenceInfo, SpecialistPacket
from app.stand_in.policy.arguments import EVIDENCE, SQL, Json, Seen, fill
from app.stand_in.policy.facts import ANSWERS, CONDITION, TIME, Asked, facts, questions
from app.stand_in.results import Result, number, read
from app.stand_in.tables import answers
from app.stand_in.tables.schema import columns_of
from app.stand_in.turns import Answer, Script
from app.stand_in.wire import Call, FunctionSpec
from app.stand_in.words import says_one, stems, to_look_up

ROUNDS, MOST_TOOLS, MOST_CALLS, MOST_FINDINGS = 4, 6, 16, 30  # of gaps, too
REFUSED = "A statement that its evidence does not carry was left out."
_CHANGES = re.compile(
    r"^(?:add|append|archive|book|buy|clear|close|edit|execute|merge|move|notify|order|pay|post|publish|push|put|register|"
    r"rename|run|save|set|start|stop|store|submit|toggle|trigger)(?![a-z])|(?:^|_)(?:cancel|create|delete|drop|insert|"
    r"purge|remove|reset|restart|revoke|send|transfer|update|upload|write)(?![a-z])"
)


def work(packet: SpecialistPacket, tools: Sequence[FunctionSpec]) -> Script:
    """One question of the task after another, with the tools that only read."""
    offered = {tool.name: tool for tool in tools if not _CHANGES.search(tool.name.partition("__")[2])}
    findings: dict[str, Finding] = {}
    gaps: list[str] = []
    for asked in questions(packet.objective):
        found, missing = yield from _answer(asked, offered, packet.evidence)
        findings |= {each.claim: each for each in found if each.claim not in findings}
        gaps += missing
    if len(findings) > MOST_FINDINGS:
        gaps.insert(0, f"There are {len(findings)} findings; the first {MOST_FINDINGS} are given.")
    result = AgentResult(findings=[*findings.values()][:MOST_FINDINGS], gaps=list(dict.fromkeys(gaps))[:MOST_FINDINGS])
    return accepted(result, packet.feedback)


def accepted(result: AgentResult, feedback: Sequence[str]) -> AgentResult:
    """The result without the claims that the feedback quotes."""
    kept = [each for each in result.findings if not any(each.claim.rstrip(".") in line for line in feedback)]
    return AgentResult(findings=kept, gaps=[*result.gaps, *[REFUSED] * (len(kept) < len(result.findings))])


def _answer(
    asked: Asked, tools: Mapping[str, FunctionSpec], given: Sequence[EvidenceInfo]
) -> Generator[list[Call], list[Answer], tuple[list[Finding], list[str]]]:
    """Calls in rounds, each with what the earlier ones gave; then what the results say."""
    computing = {name for name, tool in tools.items() if EVIDENCE in str(tool.parameters)}
    own = {name: name.partition("__")[2] for name in tools}
    plain = Asked.of(to_look_up(asked.text, " ".join(own[name] for name in computing)))
    about = {name: f"{own[name]} {tool.description}" for name, tool in tools.items()}
    fitting = sorted(tools.values(), key=lambda each: -len(stems(about[each.name]) & stems(plain.text)))
    useful = [each for each in fitting if each.name not in computing][:MOST_TOOLS]
    useful += [each for each in fitting if each.name in computing and stems(own[each.name]) & asked.topic]
    calls, results = list[Call](), list[Result]()
    for _ in range(ROUNDS):
        tables = series(plain, [each for each in results if each.call.name not in computing], given)
        seen = Seen(fields(plain, results), tables, answers.statement(plain.text, results).sql)
        for tool in _usable(useful, results):
            told = asked if tool.name in computing else plain
            wanted = [Call(tool.name, each) for each in fill(tool.parameters, told, seen)]
            calls = [*calls, *(each for each in wanted if each not in calls)][:MOST_CALLS]
        answered = list(zip(calls, (yield calls), strict=True))  # those of earlier rounds are remembered
        results = [Result.of(call, answer, about[call.name]) for call, answer in answered if not answer.failed]
    findings, gaps = answers.findings(plain.text, results)
    quoted = [each for each in results if not columns_of([each]) and not answers.is_own(each)]
    in_full = any(not each.table.rows for each in quoted)  # excerpts are but leads then
    quoted = [each for each in quoted if not (in_full and each.table.rows and each.text)]
    said = [fact for each in quoted for fact in facts(asked if each.call.name in computing else plain, each)]
    failed = {call.name: answer.problem for call, answer in answered if answer.failed}
    is_told = bool(findings or said)
    gaps += [f"{own[name]} gave no answer: {why}." for name, why in failed.items() if name in computing or not is_told]
    if not is_told:
        names = ", ".join(dict.fromkeys(own[each.call.name] for each in results)) or "the tools"
        gaps.insert(0, f"Nothing that {names} gave{ANSWERS}{plain.text.rstrip('.? ')}.")
    elif said and (match := CONDITION.search(asked.text)):
        gaps.append(f"The condition '{match.group()}' was not applied.")
    return [*findings, *said], gaps


def _usable(tools: Sequence[FunctionSpec], results: Sequence[Result]) -> Sequence[FunctionSpec]:
    """First those that take no arguments. Where tables are described, they are queried, and not asked otherwise."""
    if not results and (overviews := [each for each in tools if not each.parameters.get("properties")]):
        return overviews
    described = {each.call.name.partition("__")[0] for each in results if columns_of([each])}
    return [each for each in tools if SQL.search(str(each.parameters)) or each.name.partition("__")[0] not in described]


def series(asked: Asked, results: Sequence[Result], given: Sequence[EvidenceInfo]) -> list[Json]:
    """The tables that can be computed on, as references to their labels and numbers; those of the task's own first."""
    tables = [(each.evidence, each.table) for each in results if not each.text and not answers.is_lead(each)]
    tables += [(each.id, read(each.preview)[0]) for each in given if each.columns]
    found: list[Json] = []
    for evidence, table in tables:
        figures = [each for each in table.columns if all(number(row.get(each, "")) is not None for row in table.rows)]
        numbers = [each for each in figures if not TIME.search(each)]
        labels = [*filter(TIME.search, table.columns), *(each for each in table.columns if each not in numbers)]
        if labels and numbers:
            value = max(numbers, key=lambda each: len(stems(each) & asked.sought))
            found.append({"evidence_id": evidence, "label_column": labels[0], "value_column": value})
    return found


def fields(asked: Asked, results: Sequence[Result]) -> dict[str, list[str]]:
    """Values by the name of their field, first those of the rows that fit the question best."""
    rows = [row for result in results for row in result.table.rows]
    rows.sort(key=lambda row: -len(asked.topic & stems(" ".join(row.values()))))
    rows.sort(key=lambda row: -sum(says_one(row.values(), each) for each in asked.named))
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: list(dict.fromkeys(row[name] for row in rows if row.get(name))) for name in names}

"""An agent with any tools: learns what there is, calls what fits, quotes what comes back, says what is missing."""

import re
from collections.abc import Generator, Mapping, Sequence

from agents.base import AgentResult, Finding
from app.stand_in.packets import EvidenceInfo, SpecialistPacket
from app.stand_in.policy.arguments import EVIDENCE, SQL, Json, Seen, fill
from app.stand_in.policy.facts import ANSWERS, CONDITION, TIME, Asked, facts, questions
from app.stand_in.policy.sql import columns_of, select
from app.stand_in.results import Result, number, read
from app.stand_in.turns import Answer, Script
from app.stand_in.wire import Call, FunctionSpec
from app.stand_in.words import says_one, stems, to_look_up

ROUNDS, MOST_TOOLS, MOST_CALLS, MOST_WORDS = 4, 6, 6, 2
MOST_FINDINGS = MOST_GAPS = 30
REFUSED = "A statement that its evidence does not carry was left out."
_CHANGES = re.compile(
    r"^(?:add|append|archive|book|buy|cancel|clear|close|create|delete|drop|edit|execute|insert|merge|move|notify|order|"
    r"pay|post|publish|push|put|register|remove|rename|reset|run|save|send|set|start|stop|store|submit|toggle|trigger|"
    r"update|upload|write)(?![a-z])"
)


def work(packet: SpecialistPacket, tools: Sequence[FunctionSpec]) -> Script:
    """One question of the task after another, with the tools that only read."""
    offered = {tool.name: tool for tool in tools if not _CHANGES.match(_own(tool.name))}
    findings: dict[str, Finding] = {}
    gaps: list[str] = []
    for asked in questions(packet.objective):
        found, missing = yield from _answer(asked, offered, packet.evidence)
        findings |= {each.claim: each for each in found if each.claim not in findings}
        gaps += missing
    if len(findings) > MOST_FINDINGS:
        gaps.insert(0, f"There are {len(findings)} findings; the first {MOST_FINDINGS} are given.")
    result = AgentResult(findings=[*findings.values()][:MOST_FINDINGS], gaps=list(dict.fromkeys(gaps))[:MOST_GAPS])
    return accepted(result, packet.feedback)


def accepted(result: AgentResult, feedback: Sequence[str]) -> AgentResult:
    """The result without the claims that the feedback quotes."""
    kept = [each for each in result.findings if not any(each.claim.rstrip(".") in line for line in feedback)]
    refused = [REFUSED] if len(kept) < len(result.findings) else []
    return AgentResult(findings=kept, gaps=[*result.gaps, *refused])


def _answer(
    asked: Asked, tools: Mapping[str, FunctionSpec], given: Sequence[EvidenceInfo]
) -> Generator[list[Call], list[Answer], tuple[list[Finding], list[str]]]:
    """Calls in rounds, each with what the earlier ones gave; then what the results say."""
    computing = [name for name, tool in tools.items() if EVIDENCE in str(tool.parameters)]
    named = [name for name in computing if stems(_own(name)) & asked.topic]
    plain = Asked.of(to_look_up(asked.text, " ".join(map(_own, computing))))
    looking = sorted((tools[name] for name in tools if name not in computing), key=lambda each: -_fit(each, plain))
    calls: list[Call] = []
    results: list[Result] = []
    for _ in range(ROUNDS):
        wanted = _look_ups(plain, looking[:MOST_TOOLS], results)
        for table in series(plain, [each for each in results if each.call.name not in named], given):
            wanted += [
                Call(name, each) for name in named for each in fill(tools[name].parameters, asked, Seen({}, table))
            ]
        calls += [call for call in wanted if call not in calls][:MOST_CALLS]
        answered = list(zip(calls, (yield calls), strict=True))  # those of earlier rounds are remembered
        results = [_result(call, answer, tools[call.name], plain) for call, answer in answered if not answer.failed]
    in_full = {_server(each.call.name) for each in results if not each.table.rows}
    findings: list[Finding] = []
    for each in results:
        is_excerpt = each.table.rows and each.text and _server(each.call.name) in in_full
        if not columns_of(each) and not is_excerpt:
            findings += facts(asked if each.call.name in named else plain, each)
    failed = {call.name: answer.problem for call, answer in answered if answer.failed}
    gaps = [f"{_own(name)} gave no answer: {why}." for name, why in failed.items() if name in named or not findings]
    if not findings:
        names = ", ".join(dict.fromkeys(_own(each.call.name) for each in results)) or "the tools"
        why = select(plain, [column for each in results for column in columns_of(each)])[1]
        gaps.insert(0, f"Nothing that {names} gave{ANSWERS}{plain.text.rstrip('.? ')}. {why}".strip())
    elif match := CONDITION.search(asked.text):
        gaps.append(f"The condition '{match.group()}' was not applied.")
    return findings, gaps


def _result(call: Call, answer: Answer, tool: FunctionSpec, asked: Asked) -> Result:
    """The answer, with the names and choices among its arguments; words to search for prove nothing."""
    texts = [each for each in call.arguments.values() if isinstance(each, str) and each != asked.keywords]
    chosen = ", ".join(each for each in texts if len(each.split()) <= MOST_WORDS)
    return Result.of(call, answer, chosen, f"{_own(call.name)} {tool.description}")


def _look_ups(asked: Asked, tools: Sequence[FunctionSpec], results: Sequence[Result]) -> list[Call]:
    """What can be called now: first what needs no arguments. Described tables are queried, not asked otherwise."""
    if not results and (overviews := [each for each in tools if not each.parameters.get("properties")]):
        tools = overviews
    columns = [column for each in results for column in columns_of(each)]
    described = {_server(each.call.name) for each in results if columns_of(each)}
    seen = Seen(fields(asked, results), sql=select(asked, columns)[0])
    usable = [each for each in tools if SQL.search(str(each.parameters)) or _server(each.name) not in described]
    return [Call(tool.name, each) for tool in usable for each in fill(tool.parameters, asked, seen)]


def series(asked: Asked, results: Sequence[Result], given: Sequence[EvidenceInfo]) -> list[Json]:
    """The tables that can be computed on, as references to their labels and numbers; those of the task's own first."""
    tables = [(each.evidence, each.table) for each in results if not each.text and not columns_of(each)]
    tables += [(each.id, read(each.preview)[0]) for each in given if each.columns]
    found: list[Json] = []
    for evidence, table in tables:
        figures = [each for each in table.columns if all(number(row.get(each, "")) is not None for row in table.rows)]
        numbers = [each for each in figures if not TIME.search(each)]
        labels = sorted(
            {*table.columns} - {*numbers}, key=lambda each: (not TIME.search(each), table.columns.index(each))
        )
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


def _fit(tool: FunctionSpec, asked: Asked) -> int:
    return len(stems(f"{_own(tool.name)} {tool.description}") & stems(asked.text))


def _own(name: str) -> str:
    return name.partition("__")[2] or name


def _server(name: str) -> str:
    return name.partition("__")[0]

"""An agent with any tools: learns what there is, calls what fits, quotes what comes back, says what is missing."""

import re
from collections.abc import Generator, Sequence

from agents.base import AgentResult, Finding
from app.stand_in.packets import EvidenceInfo, SpecialistPacket
from app.stand_in.policy.arguments import Seen, Table, fill, is_sql, takes_evidence
from app.stand_in.policy.facts import TIME, Asked, facts, is_numeric
from app.stand_in.policy.sql import columns_of, select
from app.stand_in.results import Result, read
from app.stand_in.turns import Answer, Rows, Script
from app.stand_in.wire import Call, FunctionSpec
from app.stand_in.words import REFERS_BACK, clauses, names, says_one, stems, to_look_up

ROUNDS, MOST_CALLS, MOST_REFERENCES, FEW_TOOLS = 4, 6, 4, 3
MOST_FINDINGS = MOST_GAPS = 30
REFUSED = "A statement that its evidence does not carry was left out."
_CHANGES = re.compile(
    r"^(?:add|append|archive|book|buy|cancel|clear|close|create|delete|drop|edit|execute|insert|merge|move|notify|order|"
    r"pay|post|publish|push|put|register|remove|rename|reset|run|save|send|set|start|stop|store|submit|toggle|trigger|"
    r"update|upload|write)(?![a-z])"
)
_OVERVIEW = re.compile(r"schema|describe|list|columns|tables|overview|catalog|allowed", re.IGNORECASE)
_LOOKS_UP = re.compile(r"search|find|query|read|get|fetch|look", re.IGNORECASE)

Answered = Generator[list[Call], list[Answer], tuple[list[Finding], list[str]]]


def work(packet: SpecialistPacket, tools: Sequence[FunctionSpec]) -> Script:
    """One question of the task after another, with the tools that only read."""
    offered = {tool.name: tool for tool in tools if not _CHANGES.match(_own(tool.name))}
    findings: list[Finding] = []
    gaps: list[str] = []
    for question in _questions(packet.objective):
        found, missing = yield from _answer(question, offered, packet.evidence)
        findings += [each for each in found if each.claim not in {other.claim for other in findings}]
        gaps += missing
    result = AgentResult(findings=findings[:MOST_FINDINGS], gaps=list(dict.fromkeys(gaps))[:MOST_GAPS])
    return accepted(result, packet.feedback)


def _questions(objective: str) -> list[str]:
    """The questions of a task; one that lives on the words of the question before it stays with that."""
    found: list[str] = []
    for clause in clauses(objective):
        words, is_named = Asked.of(clause).sought, bool(names(clause))
        if found and (not words or (not is_named and (len(words) < 2 or REFERS_BACK.search(clause)))):
            found[-1] += f" {clause}"
        else:
            found.append(clause)
    return found or [objective]


def accepted(result: AgentResult, feedback: Sequence[str]) -> AgentResult:
    """The result without the claims that the feedback quotes."""
    kept = [each for each in result.findings if not any(each.claim.rstrip(".") in line for line in feedback)]
    refused = [REFUSED] if len(kept) < len(result.findings) else []
    return AgentResult(findings=kept, gaps=[*result.gaps, *refused])


def _answer(question: str, tools: dict[str, FunctionSpec], given: Sequence[EvidenceInfo]) -> Answered:
    """Calls in rounds, each with what the earlier ones gave; then what the results say."""
    asked = Asked.of(question)
    computing = " ".join(_own(each.name) for each in tools.values() if takes_evidence(each.parameters))
    plain = Asked.of(to_look_up(question, computing))
    results: list[Result] = []
    called: list[Call] = []
    failed: dict[str, str] = {}
    for _ in range(ROUNDS):
        wanted = [*_look_ups(plain, tools, results), *_computations(asked, tools, given, results, plain)]
        calls = [call for call in wanted if call not in called][:MOST_CALLS]
        if not calls:
            break
        called += calls
        for call, answer in zip(calls, (yield calls), strict=True):
            if answer.failed:
                failed[call.name] = answer.problem
            else:
                tool = f"{_own(call.name)} {tools[call.name].description}"
                results.append(Result.of(call, answer, _chosen(call, asked), tool))
    read_in_full = {_server(each.call.name) for each in results if not each.table.rows}
    told = [
        facts(asked if takes_evidence(tools[each.call.name].parameters) else plain, each)
        for each in results
        if not columns_of(each) and not (each.table.rows and each.text and _server(each.call.name) in read_in_full)
    ]
    findings = [finding for found, _ in told for finding in found]
    lacking = [gap for found, missing in told if found for gap in missing] if findings else [_nothing(plain, results)]
    untold = [name for name in failed if not findings or takes_evidence(tools[name].parameters)]
    return findings, [*lacking, *(f"{_own(name)} gave no answer: {failed[name]}." for name in untold)]


def _nothing(asked: Asked, results: Sequence[Result]) -> str:
    """That the question has no answer, and who was asked."""
    columns = [column for each in results for column in columns_of(each)]
    why = select(asked, columns)[1] if columns else ""
    names = ", ".join(dict.fromkeys(_own(each.call.name) for each in results))
    who = f"Nothing that {names} gave" if names else "No tool at hand that fits the question"
    return f"{who} answers this: {asked.text.rstrip('.? ')}. {why}".strip()


def _look_ups(asked: Asked, tools: dict[str, FunctionSpec], results: Sequence[Result]) -> list[Call]:
    """What can be called now. Where there are tables, they are described, and then queried."""
    overviews = [
        each for each in tools.values() if _OVERVIEW.search(_own(each.name)) and not each.parameters.get("required")
    ]
    if overviews and not results:
        return [Call(tool.name, {}) for tool in overviews]
    described = {_server(each.call.name) for each in results if columns_of(each)}
    columns = [column for each in results for column in columns_of(each)]
    seen = Seen(fields(asked, results), sql=select(asked, columns)[0] if columns else "")
    found: list[Call] = []
    for tool in sorted(tools.values(), key=lambda each: (-_fit(each, asked), len(each.name))):
        is_near = _fit(tool, asked) or len(tools) <= FEW_TOOLS or _LOOKS_UP.search(_own(tool.name))
        is_usable = is_sql(tool.parameters) or _server(tool.name) not in described
        if is_near and is_usable and tool not in overviews and not takes_evidence(tool.parameters):
            calls = [Call(tool.name, each) for each in fill(tool.parameters, asked, seen)]
            found += [call for call in calls if not any(_is_another_way(call, other) for other in found)]
    return found


def _is_another_way(call: Call, other: Call) -> bool:
    """Whether two calls search for the same: `search` and `search_by_keyword`."""
    first, second = sorted((call.name, other.name))
    return second.startswith(f"{first}_") and call.arguments == other.arguments


def _computations(
    asked: Asked, tools: dict[str, FunctionSpec], given: Sequence[EvidenceInfo], results: Sequence[Result], plain: Asked
) -> list[Call]:
    """What the question names of the tools that compute, on each table that there is."""
    named = [
        each for each in tools.values() if takes_evidence(each.parameters) and stems(_own(each.name)) & asked.topic
    ]
    fetched = [each for each in results if each.call.name not in {tool.name for tool in named}]
    seen = [Seen({}, [each]) for each in tables(plain, fetched, given)]
    return [Call(tool.name, each) for tool in named for table in seen for each in fill(tool.parameters, asked, table)]


def tables(asked: Asked, results: Sequence[Result], given: Sequence[EvidenceInfo]) -> list[Table]:
    """The tables at hand that can be computed on, those of the task's own results first."""
    rows = [(each.evidence, each.table) for each in results if not each.text and not columns_of(each)]
    found = [
        _table(*each, asked) for each in [*rows, *((each.id, read(each.preview)[0]) for each in given if each.columns)]
    ]
    return [each for each in found if each.labels and each.numbers]


def _fit(tool: FunctionSpec, asked: Asked) -> int:
    return len(stems(f"{_own(tool.name)} {tool.description}") & stems(asked.text))


def _chosen(call: Call, asked: Asked) -> str:
    """Names and choices among the arguments; words to search for prove nothing of what was found."""
    texts = [each for each in call.arguments.values() if isinstance(each, str) and each != asked.keywords]
    return " ".join(each for each in texts if len(each.split()) < FEW_TOOLS)


def fields(asked: Asked, results: Sequence[Result]) -> dict[str, list[str]]:
    """Values by the name of their field, first those of the rows that fit the question best."""
    rows = [row for result in results for row in result.table.rows]
    about = {id(row): " ".join(row.values()) for row in rows}
    named = {each: sum(says_one([text], group) for group in asked.named) for each, text in about.items()}
    rows.sort(key=lambda row: (-named[id(row)], -len(asked.topic & stems(about[id(row)]))))
    names_of_fields = dict.fromkeys(name for row in rows for name in row)
    return {name: list(dict.fromkeys(row[name] for row in rows if row.get(name))) for name in names_of_fields}


def _table(evidence: str, table: Rows, asked: Asked) -> Table:
    numbers = [each for each in table.columns if is_numeric(each, table.rows) and not TIME.search(each)]
    numbers.sort(key=lambda each: not stems(each) & asked.topic)
    labels = sorted((each for each in table.columns if each not in numbers), key=lambda each: not TIME.search(each))
    return Table(evidence, labels, numbers)


def _own(name: str) -> str:
    return name.partition("__")[2] or name


def _server(name: str) -> str:
    return name.partition("__")[0]

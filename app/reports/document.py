"""A report as one document for all forms: its parts parsed, linked and ordered, with what code says about them.

Whatever code adds is Markdown, too, so that every form shows it by the same means.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from markdown_it.token import Token

from app.jobs.kept import Reported
from app.reports.carriers import Carrier, Places, carriers, link
from app.reports.figures import add_figures
from app.reports.sources import Source, source
from app.reports.text import parsed
from graphs.evidence.estimates import Difference, differences
from graphs.evidence.markdown import below
from graphs.evidence.rendering import MISSING, counted, gaps, listed
from graphs.evidence.store import Evidence
from graphs.evidence.trust import RISING, SAID
from graphs.spending.limits import dollars
from graphs.state import FindingState, ResearchState, TaskState, of_status
from graphs.stop_reasons import EXPLAINED, StopReason
from graphs.untrusted.inert import one_line
from graphs.untrusted.injections import visible

FINDINGS = 60  # listed with their confidence
SUREST_FIRST = RISING[::-1]
_STATUS = {"done": "done", "failed": "failed", "withdrawn": "withdrawn", "pending": "not finished"}


class Section(NamedTuple):
    """A section after the report's body. One that is `folded` is for those who look closer."""

    title: str
    tokens: list[Token]
    folded: bool = False


@dataclass(frozen=True)
class Document:
    """The report. `title` and `question` are plain text; `carriers` are the places in the evidence that links lead to.

    `sources` are cited, in the order of their numbers; `appendix` is all evidence. Tokens are of `app.reports.text`.
    """

    title: str
    question: str
    notice: str
    partial: list[Token]
    facts: list[tuple[str, str]]
    body: list[Token]
    sections: list[Section]
    sources: list[Source]
    method: Section
    appendix: list[Source]
    evidence: Mapping[str, Evidence]
    carriers: set[Carrier]


def document(reported: Reported, evidence: Mapping[str, Evidence]) -> Document:
    """The document of a job's report. `evidence` is what the store still has of the job's."""
    state, parts = reported.state, reported.parts
    found = differences(of_status(state, "verified"))
    more = [each for one in found for estimate in one.estimates for each in estimate.evidence]
    more += [each for finding in _surest(state)[:FINDINGS] for each in finding["evidence"]]
    order = list(dict.fromkeys([*parts.order, *(each for each in more if each in state["evidence"])]))

    places = Places(evidence)

    def read(text: str, under: int = 2) -> list[Token]:
        tokens = parsed(text, evidence, under)
        link(tokens, order, places)
        return tokens

    body = read(parts.body, under=1)
    add_figures(body, evidence, order)
    told = [("Where estimates differ", _differences(found, state, order), False)] if found else []
    told += [("Confidence and gaps", _confidence(reported), False)]
    told += [("Verified findings", _findings(state, order), True)] if of_status(state, "verified") else []
    sections = [Section(title, read(text), folded) for title, text, folded in told]
    numbers = {name: number for number, name in enumerate(order, start=1)}
    asked_by = {name: task["agent"] for name, task in state["tasks"].items()}
    known = {
        name: source(ref, evidence.get(name), asked_by.get(ref["task"], "?"), state["evidence"], numbers)
        for name, ref in state["evidence"].items()
    }
    linked = [body, *(each.tokens for each in sections)]
    return Document(
        title=_plain(parts.title),
        question=_plain(parts.question),
        notice=parts.notice,
        partial=read(parts.partial),
        facts=_facts(reported),
        body=body,
        sections=sections,
        sources=[known[each] for each in order],
        method=Section("Method", read(_method(reported))),
        appendix=[known[each] for each in sorted(known, key=lambda name: int(name[1:])) if each in evidence],
        evidence=evidence,
        carriers={each for tokens in linked for each in carriers(tokens)},
    )


def _facts(reported: Reported) -> list[tuple[str, str]]:
    record, state = reported.record, reported.state
    confidence = Counter(each["confidence"] for each in of_status(state, "verified"))
    sure = ", ".join(f"{confidence[each]} {each}" for each in SUREST_FIRST if confidence[each])
    return [
        ("Status", str(state.get("status")).capitalize()),
        ("Asked", record.created_at.strftime("%Y-%m-%d %H:%M UTC")),
        ("Took", _lasted(record.updated_at - record.created_at)),
        ("Findings", f"{len(of_status(state, 'verified'))} verified{f' ({sure} confidence)' if sure else ''}"),
        ("Sources", f"{len(reported.parts.order)} cited of {len(state['evidence'])} read"),
        ("Cost", f"{dollars(reported.used.micro_usd)} of {dollars(state['limits']['budget_micro_usd'])}"),
    ]


def _differences(found: Sequence[Difference], state: ResearchState, order: Sequence[str]) -> str:
    """Each estimate with its source beside the others, and how far they are apart."""
    blocks = ["These findings give different values for the same thing. No value was preferred."]
    for each in found:
        of = {finding["id"]: finding for finding in state["findings"].values()}
        head = ["", *(one.who or f"Source {_numbers(one.evidence, order)}" for one in each.estimates)]
        rows = [
            ["Value", *(f"**{_cell(one.value)}** {_cited(one.evidence, order)}" for one in each.estimates)],
            ["Confidence", *(_sure(of[one.finding]) for one in each.estimates)],
            ["Found by", *(_cell(of[one.finding]["agent"]) for one in each.estimates)],
        ]
        spread = f"They are {each.spread} apart."
        blocks += [f"**{one_line(each.of)}**", table(map(_cell, head), rows), spread]
    return "\n\n".join(blocks)


def _confidence(reported: Reported) -> str:
    state, parts = reported.state, reported.parts
    verified = of_status(state, "verified")
    counts = Counter(each["confidence"] for each in verified)
    sure = ", ".join(f"{counts[each]} of {each}" for each in SUREST_FIRST if counts[each])
    marked = Counter(mark for each in verified for mark in each["marks"])
    doubts = "; ".join(
        f"{marked[mark]} with the mark \u201c{said}\u201d" for mark, said in SAID.items() if marked[mark]
    )
    blocks = [
        f"{counted(len(verified), 'finding') if verified else 'No finding'} stood when code compared every number "
        f"with the cited evidence{f': {sure} confidence' if sure else ''}.",
        f"Not all sources are trusted: {doubts}. Such findings are given less confidence." if doubts else "",
    ]
    missing = below(parts.body, MISSING.strip("# "))
    if told := [] if len(missing) else gaps(state):
        blocks.append(listed("Gaps", [one_line(each) for each in told]))
    elif len(missing):
        blocks.append("The report says above what could not be answered.")
    else:
        blocks.append("No agent reported a gap.")
    blocks += [
        listed("Dropped claims", parts.dropped),
        listed("Statements not verified", parts.unverified),
        listed("Remarks", parts.remarks),
    ]
    return _below(blocks)


def _surest(state: ResearchState) -> list[FindingState]:
    """The verified findings, those of high confidence first."""
    return sorted(of_status(state, "verified"), key=lambda each: SUREST_FIRST.index(each["confidence"]))


def _findings(state: ResearchState, order: Sequence[str]) -> str:
    verified = _surest(state)
    rows = [_finding(each, order) for each in verified[:FINDINGS]]
    more = f"\n\n{len(verified) - FINDINGS} more" if len(verified) > FINDINGS else ""
    return table(["Finding", "Confidence", "Found by"], rows) + more


def _finding(finding: FindingState, order: Sequence[str]) -> list[str]:
    return [f"{_cell(finding['claim'])} {_cited(finding['evidence'], order)}", _sure(finding), _cell(finding["agent"])]


def _sure(finding: FindingState) -> str:
    """Its confidence, and why it should not be believed at face value."""
    marks = "; ".join(SAID[each] for each in finding["marks"] if each in SAID)
    return finding["confidence"] + (f" ({marks})" if marks else "")


def _method(reported: Reported) -> str:
    state, used = reported.state, reported.used
    report = state.get("report")
    servers = sorted({each["server"] for each in state["evidence"].values()})
    asked = f"{counted(len(state['evidence']), 'answer')} from {counted(len(servers), 'data source')}"
    dropped, verified = of_status(state, "dropped"), of_status(state, "verified")
    checked = f"{counted(len(verified), 'finding')} verified, {len(dropped)} dropped"
    if report and report.get("by_code"):  # jobs of earlier versions do not say
        written = "The report was put together by code, without a model."
    elif reported.parts.unverified:
        written = f"In the report, {counted(len(reported.parts.unverified), 'statement')} could not be verified."
    else:
        written = "Every number in the report is in the evidence that its statement cites."
    reason = StopReason(state.get("stop_reason") or StopReason.ANSWERED)
    detail = f" ({one_line(state['stop_detail'])})" if state.get("stop_detail") else ""
    rows = [_task(each, state) for each in state["tasks"].values()]
    agents = [
        [_cell(name), str(each.model_calls), str(each.tool_calls), dollars(each.micro_usd)]
        for name, each in used.agents.items()
    ]
    total = ["all", str(used.model_calls), str(used.tool_calls), dollars(used.micro_usd)]
    return _below(
        [
            f"Agents got {asked}{f' ({_cell(_list(servers))})' if servers else ''}. Code then checked them: {checked}. "
            f"{written}",
            table(["Task", "Agent", "What it was asked", "Ended", "Findings", "Seconds"], rows) if rows else "",
            table(["Who", "Model calls", "Tool calls", "Cost"], [*agents, total]),
            f"The job `{state['job_id']}` took {counted(used.steps, 'step')} and {counted(used.handoffs, 'hand-off')}. "
            f"It ended as {state.get('status')}: {EXPLAINED[reason]}{detail}.",
        ]
    )


def _task(task: TaskState, state: ResearchState) -> list[str]:
    findings = [each for each in of_status(state, "verified") if each["task"] == task["id"]]
    ended = _STATUS[task["status"]] + (f": {task['error']}" if task["error"] else "")
    seconds = f"{task['seconds']:.1f}" if "seconds" in task else ""
    return [task["id"], _cell(task["agent"]), _cell(task["objective"]), _cell(ended), str(len(findings)), seconds]


def table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, of cells in Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return one_line(text).replace("|", "\\|")


def _cited(ids: Iterable[str], order: Sequence[str]) -> str:
    return f"[{told}]" if (told := _numbers(ids, order)) else ""


def _numbers(ids: Iterable[str], order: Sequence[str]) -> str:
    return ", ".join(str(order.index(each) + 1) for each in ids if each in order)


def _below(blocks: Iterable[str]) -> str:
    """The blocks as one text, their headings below that of a section."""
    return "\n\n".join(
        block.replace("## ", "### ", 1) if block.startswith("## ") else block for block in blocks if block
    )


def _list(names: Sequence[str]) -> str:
    return ", ".join(each.replace("_", " ") for each in names)


def _plain(text: str) -> str:
    return " ".join(visible(text).split())


def _lasted(time: timedelta) -> str:
    seconds = max(0, round(time.total_seconds()))
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"

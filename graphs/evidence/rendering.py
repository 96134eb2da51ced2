"""The report as readers see it: the stop reason first if it is partial, sources and the run's figures last."""

from typing import NamedTuple

from graphs.evidence.citations import cited, numbered, with_chart_files
from graphs.evidence.markdown import closed
from graphs.evidence.store import Evidence
from graphs.evidence.trust import OUTSIDE, SAID, said_of_evidence
from graphs.outcome import outcome
from graphs.spending.limits import Limits, dollars
from graphs.state import EvidenceRef, FindingState, Report, ResearchState, of_status
from graphs.stop_reasons import EXPLAINED, StopReason
from graphs.untrusted.inert import inert, is_address, one_line, unlinked

EVIDENCE_FOLDER = "evidence"
MISSING = "## What could not be answered"
READ = "## What was read"
MOST_READ = 30  # sources that a report without findings lists
_NO_REPORT = Report(title="", body="", attempts=0, by_code=True, problems=[])


class Parts(NamedTuple):
    """What a report says, for all of its forms. Lines and body are harmless Markdown; `title` and `question` are plain.

    `partial` and `notice` are "" for a complete report and for one whose writer is obvious. `order` has the ids of the
    cited evidence by their numbers in the body, from 1.
    """

    title: str
    question: str
    partial: str
    notice: str
    body: str
    dropped: list[str]
    unverified: list[str]
    remarks: list[str]
    order: list[str]


def parts(state: ResearchState, report: Report, notice: str) -> Parts:
    """The parts of this report. `notice` says what wrote it, if that is not obvious."""
    order = [each for each in cited(report["body"]) if each in state["evidence"]]
    safe = inert(report["body"], [_address(each) for each in state["evidence"].values() if each["id"] in order])
    return Parts(
        title=report["title"],
        question=state["question"] if report["title"] != state["question"] else "",
        partial=_partial(state),
        notice=notice,
        body=closed(with_chart_files(numbered(safe, order, said_of_evidence(state)), EVIDENCE_FOLDER)),
        dropped=[one_line(_refusal(each)) for each in of_status(state, "dropped")],
        unverified=[one_line(each) for each in report["problems"]],
        remarks=[one_line(each) for each in [*state["flags"], *_read_instructions(state)]],
        order=order,
    )


def rendered(state: ResearchState, report: Report, notice: str) -> str:
    """The whole report in Markdown."""
    told = parts(state, report, notice)
    blocks = [
        f"# {one_line(told.title)}",
        told.question and f"> {one_line(told.question)}",
        told.partial and f"**{told.partial}**",
        told.notice and f"*{told.notice}*",
        told.body,
        listed("Dropped claims", told.dropped),
        listed("Statements not verified", told.unverified),
        listed("Remarks", told.remarks),
        _sources([state["evidence"][each] for each in told.order]),
        _run(state),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def about(evidence: Evidence) -> str:
    """How this evidence was obtained, in one line."""
    parts = [
        f"called at {evidence.called_at}" if evidence.called_at else "",
        "from the cache" if evidence.cached else f"{evidence.duration_ms} ms",
        f"{evidence.size} bytes",
        f"data version {one_line(evidence.data_version)}" if evidence.data_version else "",
        SAID[OUTSIDE] if evidence.untrusted else "",
        _flagged(evidence.flags) if evidence.flags else "",
    ]
    return ", ".join(part for part in parts if part)


def counted(number: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def assembled(state: ResearchState) -> str:
    """A report body assembled without a model: what is verified, what was only read, and what is missing."""
    findings = of_status(state, "verified")
    if findings:
        lines = ["## Findings", ""]
        lines += [f"- {one_line(each['claim']).rstrip('. ')} [{', '.join(each['evidence'])}]." for each in findings]
    else:
        lines = _without_findings(state)
    if missing := gaps(state):
        lines += ["", MISSING, "", *(f"- {one_line(gap)}" for gap in missing)]
    return "\n".join(lines)


def _without_findings(state: ResearchState) -> list[str]:
    """Says that nothing was found, and lists what was read."""
    read = list(state["evidence"].values())
    ended = outcome({**state, "report": state.get("report") or _NO_REPORT})
    if ended.reason is StopReason.NOT_IN_DATA:
        answer = "The question could not be answered from the data."
    else:
        answer = f"The question was not answered: {EXPLAINED[ended.reason]}."
    if not read:
        return [answer]
    told = "1 source was" if len(read) == 1 else f"{len(read)} sources were"
    shown = [f"- {each['server']}.{each['tool']}: {one_line(each['title'])} [{each['id']}]" for each in read]
    more = [f"- {len(read) - MOST_READ} more"] if len(read) > MOST_READ else []
    return [answer, "", READ, "", f"{told} read, and no finding was confirmed:", "", *shown[:MOST_READ], *more]


def gaps(state: ResearchState) -> list[str]:
    """What agents could not find, and tasks that failed, were withdrawn or never started, one sentence each."""
    told = [gap for task in state["tasks"].values() for gap in task["gaps"]]
    failed = [
        f"The agent {task['agent']} could not finish its task ({task['error']}): {task['objective']}"
        for task in state["tasks"].values()
        if task["status"] == "failed"
    ]
    withdrawn = [
        f"Withdrawn when a human redirected the job: {task['objective']}"
        for task in state["tasks"].values()
        if task["status"] == "withdrawn"
    ]
    untouched = [
        f"Not finished by the {task['agent']} ({task['error']}): {task['objective']}"
        if task["error"]
        else f"Not begun by the {task['agent']}: {task['objective']}"
        for task in state["tasks"].values()
        if task["status"] == "pending"
    ]
    return list(dict.fromkeys([*told, *failed, *withdrawn, *untouched]))


def _partial(state: ResearchState) -> str:
    if state.get("status") == "completed":
        return ""
    reason = StopReason(state["stop_reason"] or StopReason.TASK_FAILED)
    kind = "partial" if state.get("status") == "partial" else "a failure notice"
    detail = f" ({one_line(state['stop_detail'])})" if state.get("stop_detail") else ""
    return f"This report is {kind}: {EXPLAINED[reason]}{detail}."


def _refusal(finding: FindingState) -> str:
    return f"“{finding['claim']}” ({finding['refused']})"


def listed(heading: str, entries: list[str]) -> str:
    """A section with these lines of Markdown; "" without any."""
    return "\n".join([f"## {heading}", "", *(f"- {each}" for each in entries)]) if entries else ""


def _read_instructions(state: ResearchState) -> list[str]:
    found = {each["id"]: each["flags"] for each in state["evidence"].values() if each["flags"]}
    kinds = sorted({flag for flags in found.values() for flag in flags})
    told = (
        f"{', '.join(found)}: {_flagged(kinds)}; what was found by agents that read it is marked, and little believed"
    )
    return [told] if found else []


def _flagged(flags: list[str]) -> str:
    return f"contains text that reads like instructions ({', '.join(flags)})"


def _sources(known: list[EvidenceRef]) -> str:
    lines = [f"{number}. {_source(each)}" for number, each in enumerate(known, start=1)]
    return "\n".join(["## Sources", "", *lines]) if lines else ""


def _source(evidence: EvidenceRef) -> str:
    file = f"[{evidence['id']}]({EVIDENCE_FOLDER}/{evidence['id']}.md)"
    doubts = [_outside(evidence)] if evidence["untrusted"] else []
    doubts += [_flagged(evidence["flags"])] if evidence["flags"] else []
    told = f"{file}; {'; '.join(doubts)}" if doubts else file
    title = one_line(evidence["title"])
    if source := evidence["source"]:
        address = f"<{live}>" if (live := _address(evidence)) else one_line(source["url"])
        whence = [one_line(source["publisher"]), f"*{title}*", one_line(source["date"]), address]
        return f"{', '.join(filter(None, whence))} ({told})"
    asked = ", ".join(f"{key}={value!r}" for key, value in evidence["arguments"].items()).replace("`", "'")
    return f"`{evidence['server']}.{evidence['tool']}({unlinked(asked)})`: {title} ({told})"


def _outside(evidence: EvidenceRef) -> str:
    day = (evidence["source"] or {}).get("retrieved", "")
    return f"web, not verified; read on {one_line(day)}" if day else SAID[OUTSIDE]


def _address(evidence: EvidenceRef) -> str:
    """The address of the source; "" if it has none, or none that readers should follow."""
    url = (evidence["source"] or {}).get("url", "")
    return url if is_address(url) and not evidence["flags"] else ""


def _run(state: ResearchState) -> str:
    used = state.get("used", {})
    limits = Limits.model_validate(state["limits"])
    cost = f"{dollars(used.get('micro_usd', 0))} of {dollars(limits.budget_micro_usd)}"
    kinds = {"model_calls": "model call", "tool_calls": "tool call", "handoffs": "hand-off", "steps": "step"}
    counts = ", ".join(counted(used.get(key, 0), noun) for key, noun in kinds.items())
    reason = state["stop_reason"] or StopReason.ANSWERED
    return f"---\n\nJob `{state['job_id']}` · {state.get('status')} ({reason}) · {cost} · {counts}"

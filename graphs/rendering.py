"""The report as a reader gets it: stop reason first when it is partial, sources and the run's figures last."""

import re

from graphs.citations import cited, numbered, with_chart_files
from graphs.governance.limits import EXPLAINED, Limits, StopReason, dollars
from graphs.state import EvidenceRef, FindingState, Report, ResearchState, of_status

EVIDENCE_FOLDER = "evidence"
MISSING = "## What could not be answered"


def rendered(state: ResearchState, report: Report, notice: str) -> str:
    """The whole report in Markdown. `notice` says what wrote it, where that is not obvious."""
    order = cited(report["body"])
    body = with_chart_files(numbered(report["body"], order), EVIDENCE_FOLDER)
    parts = [
        f"# {report['title']}",
        f"> {state['question']}" if report["title"] != state["question"] else "",
        _partial(state),
        notice and f"*{notice}*",
        body,
        _listed("Dropped claims", [_refusal(each) for each in of_status(state, "dropped")]),
        _listed("Statements not verified", report["problems"]),
        _listed("Remarks", state["flags"]),
        _sources(state, order),
        _run(state),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def counted(number: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def assembled(state: ResearchState) -> str:
    """A report body put together without a model: what is verified, and what is missing."""
    findings = of_status(state, "verified")
    if not findings:
        stopped = "The question was not answered: the work stopped before anything was found."
        lines = [stopped if state.get("stop_reason") else "The question could not be answered from the data."]
    else:
        lines = ["## Findings", ""]
        lines += [f"- {each['claim'].rstrip('. ')} [{', '.join(each['evidence'])}]." for each in findings]
    if missing := gaps(state):
        lines += ["", MISSING, "", *(f"- {gap}" for gap in missing)]
    return "\n".join(lines)


def gaps(state: ResearchState) -> list[str]:
    """What agents could not find, and tasks that failed, were withdrawn or never begun, one sentence each."""
    told = [gap for task in state["tasks"].values() for gap in task["gaps"]]
    failed = [
        f"The {task['agent']} could not finish its task ({task['error']}): {task['objective']}"
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
    detail = f" ({state['stop_detail']})" if state.get("stop_detail") else ""
    return f"**This report is {kind}: {EXPLAINED[reason]}{detail}.**"


def _refusal(finding: FindingState) -> str:
    return f"“{finding['claim']}” ({finding['refused']})"


def _listed(heading: str, entries: list[str]) -> str:
    return "\n".join([f"## {heading}", "", *(f"- {each}" for each in entries)]) if entries else ""


def _sources(state: ResearchState, order: list[str]) -> str:
    known = [state["evidence"][each] for each in order if each in state["evidence"]]
    lines = [f"{number}. {_source(each)}" for number, each in enumerate(known, start=1)]
    return "\n".join(["## Sources", "", *lines]) if lines else ""


def _source(evidence: EvidenceRef) -> str:
    file = f"[{evidence['id']}]({EVIDENCE_FOLDER}/{evidence['id']}.md)"
    if source := evidence["source"]:
        told = [source["publisher"], f"*{_plain(evidence['title'])}*", source["date"], f"<{source['url']}>"]
        told += [f"read on {source['retrieved']}: web, not verified"] if source.get("untrusted") else []
        return f"{', '.join(filter(None, told))} ({file})"
    asked = ", ".join(f"{key}={value!r}" for key, value in evidence["arguments"].items())
    return f"`{evidence['server']}.{evidence['tool']}({asked})`: {evidence['title']} ({file})"


def _plain(text: str) -> str:
    """A title as it is, whatever it would mean in Markdown: it may be from outside."""
    return re.sub(r"([\\`*_\[\]<>])", r"\\\1", text)


def _run(state: ResearchState) -> str:
    used = state.get("used", {})
    limits = Limits.model_validate(state["limits"])
    cost = f"{dollars(used.get('micro_usd', 0))} of {dollars(limits.budget_micro_usd)}"
    kinds = {"model_calls": "model call", "tool_calls": "tool call", "handoffs": "hand-off", "steps": "step"}
    counts = ", ".join(counted(used.get(key, 0), noun) for key, noun in kinds.items())
    reason = state["stop_reason"] or StopReason.ANSWERED
    return f"---\n\nJob `{state['job_id']}` · {state.get('status')} ({reason}) · {cost} · {counts}"

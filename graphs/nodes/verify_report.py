"""verify_report: the evidence that a sentence cites must have its numbers, for what it says. No model, no opinion."""

import asyncio
from typing import Any

from langgraph.runtime import Runtime

from graphs.deps import Deps
from graphs.evidence.citations import Problem, cited, marked, problems
from graphs.evidence.markdown import below
from graphs.evidence.rendering import MISSING, gaps
from graphs.evidence.store import Evidence
from graphs.evidence.support import background
from graphs.nodes.report import ATTEMPTS, short
from graphs.state import Report, ResearchState
from graphs.telemetry import note

MARK = "*(not verified)*"


def verify_report(deps: Deps) -> Any:
    """The node. A draft with problems is sent back once; what still fails is marked."""

    async def verify_report_node(state: ResearchState, runtime: Runtime) -> dict[str, Any]:
        report = state["report"]
        if report is None:
            raise RuntimeError("verify_report was reached without a report; only `report` leads here")
        if report["by_code"]:
            return {"route": "finish"}
        ids = cited(report["body"])
        stored = await deps.evidence.many(state["job_id"], [*ids, *background(ids, state["evidence"])])
        retrieved = {each: stored[each] for each in stored if each in state["evidence"]}
        found = await asyncio.to_thread(_problems, state, report["body"], retrieved)
        again = bool(found) and report["attempts"] < ATTEMPTS
        note(problems=len(found), sent_back=again)
        runtime.stream_writer({"type": "report_verified", "problems": len(found), "sent_back": again})
        judged = Report(
            title=short(state["question"]) if _is_doubtful(report["title"], state) else report["title"],
            body=report["body"] if again else marked(report["body"], found, MARK),
            attempts=report["attempts"],
            by_code=False,
            problems=list(dict.fromkeys(f"“{each.statement.text}”: {each.reason}" for each in found)),
        )
        return {"report": judged, "route": "report" if again else "finish"}

    return verify_report_node


def after_verify_report(state: ResearchState) -> str:
    """Back to the writer once, else to the end."""
    return "report" if state["route"] == "report" else "finish"


def _is_doubtful(title: str, state: ResearchState) -> bool:
    return bool(problems(f"# {title}", {}, [state["question"]]))


def _problems(state: ResearchState, body: str, retrieved: dict[str, Evidence]) -> list[Problem]:
    """The report's problems. Below the heading for gaps, the agents' own words may be repeated."""
    missing = below(body, MISSING.strip("# "))
    found = problems(body, retrieved, [state["question"]])
    if not any(each.statement.start in missing for each in found):
        return found
    repeated = problems(body, retrieved, [state["question"], *gaps(state)])
    return [
        *(each for each in found if each.statement.start not in missing),
        *(each for each in repeated if each.statement.start in missing),
    ]

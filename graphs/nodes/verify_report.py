"""verify_report: every number of the report must be in the evidence its sentence cites. No model, no opinion."""

from typing import Any

from langgraph.runtime import Runtime

from graphs.citations import Problem, cited, problems
from graphs.deps import Deps
from graphs.governance.assess import can_pay
from graphs.state import Report, ResearchState

ATTEMPTS = 2
MARK = "*(not verified)*"


def verify_report(deps: Deps) -> Any:
    """The node. A draft with problems is sent back once; what then still does not stand is marked as such."""

    async def verify_report_node(state: ResearchState, runtime: Runtime) -> dict[str, Any]:
        report = state["report"]
        if report is None:
            raise RuntimeError("verify_report was reached without a report; only `report` leads here")
        stored = await deps.evidence.many(state["job_id"], cited(report["body"]))
        retrieved = {each: evidence for each, evidence in stored.items() if each in state["evidence"]}
        found = problems(report["body"], retrieved, state["question"])
        again = bool(found) and report["attempts"] < ATTEMPTS and can_pay(state, deps.now())
        runtime.stream_writer({"type": "report_verified", "problems": len(found), "sent_back": again})
        said = [f"“{each.statement}”: {each.reason}" for each in found]
        body = report["body"] if again else _marked(report["body"], found)
        judged = Report(title=report["title"], body=body, attempts=report["attempts"], problems=said)
        return {"report": judged, "route": "report" if again else "finish", "counters": {"steps": 1}}

    return verify_report_node


def after_verify_report(state: ResearchState) -> str:
    """Back to the writer once, else to the end."""
    return "report" if state["route"] == "report" else "finish"


def _marked(body: str, found: list[Problem]) -> str:
    for problem in found:
        row = problem.statement.startswith("|")
        marked = f"{problem.statement[:-1]} {MARK} |" if row else f"{problem.statement} {MARK}"
        body = body.replace(problem.statement, marked, 1)
    return body

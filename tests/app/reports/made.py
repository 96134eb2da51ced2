"""Reports for tests: of a job with this body, this evidence and these findings."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from app.jobs.kept import Reported
from app.jobs.records import Record
from app.jobs.results import JobResult
from app.reports.document import Document, document
from graphs.evidence.rendering import parts
from graphs.evidence.store import Evidence
from graphs.spending.limits import Limits
from graphs.spending.spend import AgentSpend, Spend
from graphs.state import FindingState, Report

BEGAN = datetime(2026, 11, 30, 14, 2, tzinfo=UTC)
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><text>38 &lt; 40</text></svg>'


def evidence(text: str = "year,revenue\n2024,38", **content: Any) -> Evidence:
    """A result of the tool `sales.chart`."""
    return Evidence(
        task="T1", server="sales", tool="chart", arguments={}, text=text, content=content, duration_ms=1,
        called_at=BEGAN.isoformat(),
    )  # fmt: skip


def table(columns: Sequence[str], *rows: list[object], **content: Any) -> Evidence:
    """A table."""
    return evidence("a table", kind="table", columns=[*columns], rows=[*rows], **content)


def finding(claim: str, *cited: str, value: float | None = None, **other: Any) -> FindingState:
    """A verified finding."""
    told: Any = {
        "id": claim, "task": "T1", "agent": "sales", "claim": claim, "value": value, "unit": "", "period": "",
        "evidence": [*cited], "confidence": "high", "marks": [], "status": "verified", "refused": None,
        **other,
    }  # fmt: skip
    return cast("FindingState", told)


def reported(
    body: str,
    known: Mapping[str, Evidence] | None = None,
    *findings: FindingState,
    title: str = "Revenue",
    raw: bool = True,
    **state: Any,
) -> Reported:
    """The report. A `raw` body is parsed as it is, so that nothing stands between it and the form under test."""
    known = known or {}
    task = {
        "id": "T1", "agent": "sales", "objective": "Look it up.", "depends_on": [], "status": "done", "attempts": 1,
        "feedback": [], "gaps": [], "error": None, "reason": None, "unanswered": [], "seconds": 4.8,
    }  # fmt: skip
    report = Report(title=title, body=body, attempts=1, by_code=False, problems=state.pop("problems", []))
    told: Any = {
        "job_id": "job-20261130-140200-0a1b2c3d4e", "question": "How much?", "status": "completed",
        "stop_reason": "answered", "flags": [], "tasks": {"T1": task}, "limits": Limits().model_dump(),
        "findings": {each["id"]: each for each in findings}, "report": report,
        "evidence": {name: each.reference(name) for name, each in known.items()}, **state,
    }  # fmt: skip
    used = Spend(micro_usd=7620, model_calls=3, steps=5, agents={"sales": AgentSpend(model_calls=2, micro_usd=5000)})
    record = Record(
        job_id=told["job_id"], question=told["question"], tenant="a", limits=Limits(), status=told["status"],
        created_at=BEGAN, updated_at=BEGAN + timedelta(seconds=75),
    )  # fmt: skip
    shown = parts(told, report, "")
    shown = shown._replace(body=body, order=shown.order or [*known]) if raw else shown
    return Reported("", shown, told, record, used, JobResult.model_construct(evidence=[]))  # type: ignore[call-arg]


def made(body: str, known: Mapping[str, Evidence] | None = None, *findings: FindingState, **other: Any) -> Document:
    """The same as a document."""
    return document(reported(body, known, *findings, **other), known or {})

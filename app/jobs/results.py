"""The result of a job, as `--json` and the API return it."""

from pathlib import Path

from langgraph.types import StateSnapshot
from pydantic import BaseModel, ConfigDict

from app.jobs.decisions import escalated
from app.jobs.records import Record
from app.jobs.states import TERMINAL, Status
from graphs.evidence.rendering import gaps
from graphs.spending.limits import MICRO
from graphs.spending.spend import Spend
from graphs.state import Json, ResearchState, of_status
from graphs.stop_reasons import StopReason

_COUNTS = ("model_calls", "tool_calls", "steps", "handoffs", "input_tokens", "cached_tokens", "output_tokens")


class JobResult(BaseModel):
    """The result of a job, or what it waits for. `--json` prints this document.

    `estimated_usd` is the part of the cost for which the provider reported no usage; it is an upper bound.
    `reserved_usd` may be added for calls of a process that died: it is charged when it expires. `secured_usd` is what
    was reserved for the calls that are in `cost_usd`, before each of them. `resumes_at` is when a suspended job goes on
    at the latest. `behaviour_version` is a hash of models, prompts, agents and limits.
    """

    model_config = ConfigDict(frozen=True)

    job_id: str
    status: Status
    stop_reason: str | None
    stop_detail: str
    report_path: str | None
    cost_usd: float
    estimated_usd: float
    reserved_usd: float
    secured_usd: float
    budget_usd: float
    model_calls: int
    tool_calls: int
    steps: int
    handoffs: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    findings: list[Json]
    evidence: list[Json]
    gaps: list[str]
    escalation: Json | None
    resumes_at: str | None = None
    behaviour_version: str | None = None


def result_of(record: Record, snapshot: StateSnapshot, used: Spend, report: Path | None) -> JobResult:
    """The result at this checkpoint; without a checkpoint, from the record."""
    state: ResearchState = snapshot.values  # type: ignore[assignment]
    # A job can end before its graph: cancelled, dead-lettered, or discarded.
    stopped = record.status in TERMINAL and not state.get("status")
    waits: Status = "awaiting_human" if snapshot.interrupts else "failed"
    limits = state.get("limits", record.limits.model_dump())
    findings = [
        {key: value for key, value in each.items() if key not in {"status", "refused"}}
        for each in (of_status(state, "verified") if state else [])
    ]
    return JobResult(
        job_id=record.job_id,
        status=record.status if stopped else state.get("status") or waits,
        stop_reason=_STOPPED.get(record.status, StopReason.DEAD) if stopped else state.get("stop_reason"),
        stop_detail=record.last_reason if stopped else state.get("stop_detail", ""),
        report_path=str(report) if report else None,
        cost_usd=used.micro_usd / MICRO,
        estimated_usd=used.estimated_micro_usd / MICRO,
        reserved_usd=used.reserved_micro_usd / MICRO,
        secured_usd=used.secured_micro_usd / MICRO,
        budget_usd=limits["budget_micro_usd"] / MICRO,
        **{name: getattr(used, name) for name in _COUNTS},
        findings=findings,
        evidence=[dict(each) for each in state.get("evidence", {}).values()],
        gaps=gaps(state) if state else [],
        escalation=None if stopped else escalated(snapshot),
        behaviour_version=record.behaviour_version,
    )


_STOPPED: dict[Status, StopReason] = {"cancelled": StopReason.CANCELLED}

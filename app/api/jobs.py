"""Submitting jobs, reading them, deciding, cancelling, deleting."""

import base64
import binascii
import re
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Response

from app.access.keys import Scope
from app.api import actions
from app.api.auth import Caller, Canceller, Decider, Deleter, Reader, Submitter
from app.api.backend import Backend, BackendDep, RequestId
from app.api.metrics import Metrics
from app.api.models import (
    Accepted,
    DecisionRequest,
    JobDocument,
    JobList,
    JobRequest,
    JobSummary,
    links,
    summary,
)
from app.api.problems import Refused, documented
from app.jobs.records import JOB_ID, Record
from app.jobs.states import TERMINAL, WAITING, Status
from graphs.spending.limits import MICRO
from graphs.spending.spend import Spend
from graphs.state import Json

_JOB = re.compile(JOB_ID, re.ASCII)
_IN_PATH = {"pattern": f"^{JOB_ID}$", "examples": ["job-20261121-101500-0a1b2c3d4e"]}
_KEY = r"^[\x21-\x7e]{1,200}$"
_HEADERS = {
    "Location": {"description": "The job.", "schema": {"type": "string"}},
    "Idempotency-Replayed": {
        "description": "`true` when a request with this Idempotency-Key had already created the job.",
        "schema": {"type": "string"},
    },
}
NOTHING_USED = Spend()
COMMON = documented("unauthorized", "forbidden", "misdirected", "too-many-requests", "internal", "unavailable")
WITH_BODY = documented("bad-request", "too-large", "unsupported-media-type")


def _checked(job_id: Annotated[str, Path(json_schema_extra=_IN_PATH)]) -> str:
    """The id, if it is well formed; others are not looked up."""
    if not _JOB.fullmatch(job_id):
        raise Refused("no-such-job")
    return job_id


JobId = Annotated[str, Depends(_checked)]


def router(metrics: Metrics) -> APIRouter:
    """The routes of jobs."""
    routes = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=COMMON)

    @routes.post(
        "",
        status_code=202,
        summary="Order a job",
        responses={
            202: {"headers": _HEADERS},
            **WITH_BODY,
            **documented(
                "invalid", "no-such-job", "idempotency-key-reused", "too-many-requests", "queue-full", "no-budget-today"
            ),
        },
    )
    async def submit(
        job: JobRequest,
        here: BackendDep,
        caller: Submitter,
        request_id: RequestId,
        response: Response,
        idempotency_key: Annotated[str | None, Header(pattern=_KEY)] = None,
    ) -> JobDocument | Accepted:
        """A repeated request with the same Idempotency-Key returns the first job."""
        record, new = await actions.submit(here, metrics, caller, job, idempotency_key, request_id)
        if not new:
            response.headers["Idempotency-Replayed"] = "true"
        response.headers["Location"] = f"/v1/jobs/{record.job_id}"
        if new:
            return await document(here, record, NOTHING_USED)
        return await shown(here, record, caller)

    @routes.get("", summary="List jobs, newest first", responses=documented("invalid"))
    async def listed(
        here: BackendDep,
        caller: Reader,
        status: Annotated[Status | None, Query()] = None,
        behaviour_version: Annotated[str | None, Query(max_length=40)] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the previous page.")] = None,
    ) -> JobList:
        before = _decoded(cursor) if cursor is not None else None
        records, last = await here.service.listed(
            caller.tenant, status=status, behaviour_version=behaviour_version, before=before, most=limit
        )
        items = [JobSummary(**summary(each)) for each in records]
        return JobList(items=items, next_cursor=_encoded(last) if last else None)

    @routes.get("/{job_id}", summary="Get a job", responses=documented("no-such-job"))
    async def one(job_id: JobId, here: BackendDep, caller: Reader) -> JobDocument:
        return await document(here, await here.service.get(caller.tenant, job_id))

    @routes.post(
        "/{job_id}/decision",
        summary="Decide about an escalation",
        responses={**WITH_BODY, **documented("no-such-job", "conflict", "too-late", "invalid")},
    )
    async def decide(
        job_id: JobId, decision: DecisionRequest, here: BackendDep, caller: Decider, request_id: RequestId
    ) -> Json:
        """The first decision counts and is returned; any other gets 409, or 410 after the time limit."""
        return await actions.decide(here, caller, job_id, decision, request_id)

    @routes.post(
        "/{job_id}/cancel",
        status_code=202,
        summary="Stop a job at its next step",
        responses=documented("no-such-job", "conflict"),
    )
    async def cancel(
        job_id: JobId, here: BackendDep, caller: Canceller, request_id: RequestId
    ) -> JobDocument | Accepted:
        """A key with only the scope submit may cancel the jobs it submitted."""
        await actions.cancel(here, caller, job_id, request_id)
        return await shown(here, await here.service.get(caller.tenant, job_id), caller)

    @routes.delete(
        "/{job_id}",
        status_code=204,
        summary="Delete an ended job with all that is kept of it",
        responses=documented("no-such-job", "conflict"),
    )
    async def delete(job_id: JobId, here: BackendDep, caller: Deleter, request_id: RequestId) -> None:
        """State, evidence, events, decisions, report and record are gone; what it has cost stays in the ledger, and
        who did what in the audit trail. Files on workers' machines follow within ten minutes. Deleting a job once more
        is answered 204, too."""
        await actions.delete(here, caller, job_id, request_id)

    return routes


async def shown(here: Backend, record: Record, caller: Caller) -> JobDocument | Accepted:
    """The job, as far as the caller may read it."""
    if Scope.READ in caller.scopes:
        return await document(here, record)
    return Accepted(id=record.job_id, links=links(record.job_id))


async def document(here: Backend, record: Record, used: Spend | None = None) -> JobDocument:
    """The job with its cost so far; `used` if already known."""
    if used is None:
        used = await here.service.deps.ledger.spend(record.job_id)
    ended, result = record.status in TERMINAL, record.result or {}
    told: Json = {}
    if ended:
        told = {name: result.get(name) for name in ("stop_reason", "findings", "gaps")}
        told["stop_detail"] = result.get("stop_detail") or ""
    elif record.status == "awaiting_human":
        told = {"escalation": result.get("escalation")}
    elif record.status == "suspended":
        told = {name: result.get(name) for name in ("stop_reason", "stop_detail", "resumes_at")}
    return JobDocument(
        **summary(record),
        **told,
        budget_usd=await _budget_usd(here, record),
        cost_usd=used.micro_usd / MICRO,
        cancel_requested=record.cancel_at is not None and not ended,
        parent=record.parent,
    )


async def _budget_usd(here: Backend, record: Record) -> float:
    if record.result is None:
        return record.limits.budget_micro_usd / MICRO
    if record.status in TERMINAL | WAITING:
        return float(record.result.get("budget_usd", record.limits.budget_micro_usd / MICRO))
    state = (await here.service.jobs.snapshot(record.job_id)).values  # in progress: a human may have raised it
    limits: Json = state.get("limits", record.limits.model_dump())
    return int(limits["budget_micro_usd"]) / MICRO


def _encoded(job_id: str) -> str:
    return base64.urlsafe_b64encode(job_id.encode()).decode().rstrip("=")


def _decoded(cursor: str) -> str:
    try:
        job_id = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        job_id = ""
    if not _JOB.fullmatch(job_id):
        raise Refused("invalid", "cursor: send the next_cursor of the previous page, or none")
    return job_id

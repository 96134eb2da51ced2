"""Routes for operators: dead letters, the audit trail, health, metrics, and the problem pages."""

import math
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST

from app.access.audit import Entry
from app.api import actions
from app.api.auth import Admin
from app.api.backend import Backend, BackendDep, RequestId
from app.api.jobs import COMMON, JobId, shown
from app.api.metrics import Metrics
from app.api.models import (
    Accepted,
    DeadLetter,
    DeadLetters,
    Health,
    JobDocument,
    Readiness,
    summary,
)
from app.api.problems import KINDS, RETRY_S, Refused, answer, documented
from app.observing.redaction import redacted
from app.work.gauges import gauges, open_circuits
from app.work.readiness import OK, lacking
from graphs.errors import LedgerUnavailable
from graphs.redis.failures import STORE_FAILED

NDJSON = "application/x-ndjson"
_OF_DEAD = documented("no-such-job", "conflict")


def router(metrics: Metrics) -> APIRouter:
    """The routes of operations."""
    routes = APIRouter(tags=["operations"])

    @routes.get("/v1/dead-letters", summary="List dead-lettered jobs", responses=COMMON)
    async def dead(here: BackendDep, caller: Admin) -> DeadLetters:
        records = await here.service.dead(caller.tenant)
        return DeadLetters(
            items=[DeadLetter(**summary(each), attempts=each.attempts, last_error=each.last_error) for each in records]
        )

    @routes.post(
        "/v1/dead-letters/{job_id}/requeue",
        status_code=202,
        summary="Requeue a dead-lettered job from its last checkpoint",
        responses={**COMMON, **_OF_DEAD},
    )
    async def requeue(job_id: JobId, here: BackendDep, caller: Admin, request_id: RequestId) -> JobDocument | Accepted:
        return await shown(here, await actions.requeue(here, caller, job_id, request_id), caller)

    @routes.post(
        "/v1/dead-letters/{job_id}/discard", summary="Discard a dead-lettered job", responses={**COMMON, **_OF_DEAD}
    )
    async def discard(job_id: JobId, here: BackendDep, caller: Admin, request_id: RequestId) -> JobDocument | Accepted:
        return await shown(here, await actions.discard(here, caller, job_id, request_id), caller)

    @routes.get(
        "/v1/audit",
        summary="Export the audit trail, oldest entry first",
        response_class=Response,
        responses={
            200: {"content": {NDJSON: {"schema": {"type": "string"}}}, "description": "An entry per line, as JSON."},
            **COMMON,
            **documented("invalid"),
        },
    )
    async def exported(
        here: BackendDep,
        caller: Admin,
        after: Annotated[str, Query(description="Id of the last entry that you received; default: all.")] = "0",
    ) -> StreamingResponse:
        """The entries of the key's tenant, each with its MAC. An export that was cut off has no proper end."""
        return await audit_lines(here, caller.tenant, after)

    @routes.get("/healthz", summary="Liveness: this process is running")
    async def healthz() -> Health:
        return Health()

    @routes.get(
        "/readyz",
        summary="Readiness: jobs are accepted and can be run",
        response_model=Readiness,
        responses=documented("unavailable"),
    )
    async def readyz(here: BackendDep, request_id: RequestId) -> Readiness | Response:
        parts = await here.readiness.parts()
        if said := lacking(parts):  # answered here, so that it is not logged as an error each time
            problem = Refused("unavailable", said, headers={"Retry-After": str(RETRY_S)})
            return answer(problem, request_id, redacted)
        return Readiness(parts=dict.fromkeys(parts, OK))

    @routes.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=PlainTextResponse,
        responses=COMMON,
    )
    async def scraped(here: BackendDep, _: Admin) -> Response:
        try:
            text = metrics.text(await gauges(here.service), await open_circuits(here.circuits))
        except (LedgerUnavailable, *STORE_FAILED):  # still report what this process knows
            text = metrics.text({}, dict.fromkeys(here.circuits, math.nan))
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    @routes.get(
        "/problems/{slug}",
        summary="Explain a problem type",
        response_class=PlainTextResponse,
        responses=documented("not-found"),
    )
    async def problem(slug: str) -> PlainTextResponse:
        if slug not in KINDS:
            raise Refused("not-found")
        kind = KINDS[slug]
        return PlainTextResponse(f"{kind.status} {kind.title}: {kind.meaning}\n")

    return routes


async def audit_lines(here: Backend, tenant: str, after: str = "0") -> StreamingResponse:
    """The tenant's audit trail after this entry, a line each. Raises as `Audit.read`."""
    pages = here.audit.pages(tenant, after)
    first: list[Entry] = await anext(pages, [])  # an error can be answered only before the first line

    async def lines() -> AsyncIterator[str]:
        yield "".join(entry.line for entry in first)
        async for page in pages:
            yield "".join(entry.line for entry in page)

    return StreamingResponse(lines(), media_type=NDJSON)

"""All errors of the API, as RFC 9457 problem documents.

`KINDS` is the only list of them: responses, the pages under `/problems/` and the OpenAPI document are built from it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from app.errors import (
    BadInput,
    Busy,
    DecisionRefused,
    IdempotencyKeyReused,
    NoBudgetToday,
    NoSuchJob,
    NotTypeset,
    OperatorMustAct,
    QueueFull,
    TooLate,
)
from app.observing.redaction import Redaction, redacted
from graphs.errors import LedgerUnavailable
from graphs.redis.failures import STORE_FAILED

MEDIA_TYPE = "application/problem+json"
RETRY_S = 5  # when an outage may be over
QUEUE_S = 30  # when a tenant's full queue may have room
MOST_FIELDS = 20


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem. `meaning` is the line under `/problems/<slug>`."""

    slug: str
    status: int
    title: str
    meaning: str


KINDS = {
    kind.slug: kind
    for kind in (
        Kind("bad-request", 400, "Bad request", "The request cannot be read: its body is not text, or bad HTTP."),
        Kind("unauthorized", 401, "API key needed", "Send a valid key as `Authorization: Bearer tg_...`."),
        Kind("forbidden", 403, "Scope missing", "The key is valid but lacks the scope that the detail names."),
        Kind("not-found", 404, "No such route", "There is nothing at this path; /openapi.json lists all routes."),
        Kind("no-such-job", 404, "No such job", "You have no job with this id: it never was, expired, or was deleted."),
        Kind("method-not-allowed", 405, "Method not allowed", "The header Allow lists the methods of this path."),
        Kind("not-acceptable", 406, "Not acceptable", "The report is not available in this form."),
        Kind("conflict", 409, "Conflict", "The job is not, or no longer, in a state for this; the detail says why."),
        Kind("no-report", 409, "No report", "The job has no report: it has not got that far, or ended without one."),
        Kind("too-late", 410, "Too late", "The time to decide is over; the report is finished from what there is."),
        Kind("too-large", 413, "Body too large", "A request body may have at most 64 KB."),
        Kind("unsupported-media-type", 415, "Not JSON", "Send the body as `Content-Type: application/json`."),
        Kind("misdirected", 421, "Not a local name", "Without API keys, only this machine may call, by a local name."),
        Kind("invalid", 422, "Invalid request", "A field or parameter is invalid; `errors` and detail name it."),
        Kind("idempotency-key-reused", 422, "Idempotency-Key reused", "The key was used for another request."),
        Kind("too-many-requests", 429, "Too many requests", "Wait for the seconds in Retry-After."),
        Kind("queue-full", 429, "Queue full", "You have too many jobs waiting; submit more when some have started."),
        Kind("no-budget-today", 429, "No budget today", "The day's budget is used up; the detail says until when."),
        Kind("internal", 500, "Internal error", "An error on our side; our log has the request_id."),
        Kind("unavailable", 503, "Unavailable", "A needed part is down or busy; retry with the same Idempotency-Key."),
    )
}  # fmt: skip

_BY_STATUS = {400: "bad-request", 404: "not-found", 405: "method-not-allowed", 413: "too-large"}
_RAISED: Sequence[tuple[type[Exception], str]] = (
    (NoSuchJob, "no-such-job"),
    (IdempotencyKeyReused, "idempotency-key-reused"),
    (BadInput, "invalid"),
    (TooLate, "too-late"),
    (DecisionRefused, "conflict"),
    (Busy, "conflict"),
    (NotTypeset, "not-acceptable"),
)
_AWAY = (*STORE_FAILED, LedgerUnavailable, OperatorMustAct)


class FieldError(BaseModel):
    """An error in one field or parameter."""

    field: str
    message: str


class Problem(BaseModel):
    """A problem document (RFC 9457). `type` is a page that explains it; `request_id` locates it in the log."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldError] | None = None


class Refused(Exception):
    """A refused request, answered with a problem document."""

    def __init__(
        self,
        slug: str,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(detail)
        self.kind = KINDS[slug]
        self.detail = detail or self.kind.meaning
        self.headers = dict(headers or {})
        self.errors = list(errors)


def refused(error: Exception) -> Refused:
    """The problem for an error. Unknown errors become an internal one without details."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, HTTPException):
        return Refused(_BY_STATUS.get(error.status_code, "bad-request"), headers=error.headers)
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, _AWAY):
        return Refused("unavailable", headers={"Retry-After": str(RETRY_S)})
    if isinstance(error, QueueFull | NoBudgetToday):
        slug, wait_s = ("queue-full", QUEUE_S) if isinstance(error, QueueFull) else ("no-budget-today", error.left_s)
        return Refused(slug, str(error), headers={"Retry-After": str(math.ceil(wait_s))})
    slug = next((slug for kind, slug in _RAISED if isinstance(error, kind)), "internal")
    return Refused(slug, "" if slug == "internal" else str(error))


def answer(problem: Refused, request_id: str, redact: Redaction) -> JSONResponse:
    """The redacted problem document."""
    kind = problem.kind
    document = Problem(
        type=f"/problems/{kind.slug}",
        title=kind.title,
        status=kind.status,
        detail=problem.detail,
        request_id=request_id,
        errors=problem.errors or None,
    )
    content = document.model_dump(exclude_none=True)
    content |= {name: redact(content[name]) for name in ("detail", "errors") if name in content}
    return JSONResponse(content, kind.status, headers=problem.headers, media_type=MEDIA_TYPE)


def documented(*slugs: str) -> dict[int | str, dict[str, Any]]:
    """These kinds as a route's `responses`, for the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    statuses = sorted({KINDS[slug].status for slug in slugs})
    return {
        status: {
            "description": " ".join(KINDS[slug].meaning for slug in slugs if KINDS[slug].status == status),
            "content": content,
        }
        for status in statuses
    }


def _invalid(error: RequestValidationError) -> Refused:
    """The problem with the invalid fields' names, but never their values, which may be secret."""
    found = error.errors()
    if any(each["loc"] == ("body",) and isinstance(each.get("input"), bytes) for each in found):
        return Refused("unsupported-media-type")  # FastAPI parses only JSON
    fields = [FieldError(field=_place(each["loc"]), message=_said(each)) for each in found[:MOST_FIELDS]]
    return Refused("invalid", f"{fields[0].field}: {fields[0].message}", errors=fields)


def _place(location: Sequence[object]) -> str:
    """`body.metadata.name`. Names that the client made up are left out: they may be secret."""
    return ".".join(str(redacted(str(each)))[:40] for each in location).encode(errors="replace").decode()


def _said(error: Mapping[str, Any]) -> str:
    return str(error["msg"]).removeprefix("Value error, ")[:200].encode(errors="replace").decode()

"""A job's live events, its report, its trace, and its record."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from app.api.auth import Reader, still_admitted
from app.api.backend import BackendDep
from app.api.jobs import COMMON, JobId
from app.api.models import JobRecord, RecordLine, Trace, TraceEvent, job_cost
from app.api.problems import Refused, documented
from app.api.report_forms import ReportForms
from app.api.sse import Streams, event_stream
from app.jobs.events import Event
from app.jobs.states import MEDIA, Format
from app.recording.recorder import record_of

_FORMS = {media: form for form, media in MEDIA.items()}
_AFTER = "Id of the last event that you received; default: from the start."
_EVENT = {
    "type": "object",
    "description": "One event.",
    "properties": {
        "id": {"type": "string", "description": "For `Last-Event-ID`."},
        "event": {"type": "string", "description": "Its type."},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}


def router(reports: ReportForms, streams: Streams) -> APIRouter:
    """The routes of outcomes."""
    routes = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"], responses={**COMMON, **documented("no-such-job")})

    @routes.get(
        "/events",
        summary="Stream a job's events as server-sent events until it ends",
        response_class=Response,
        responses={
            200: {"content": {"text/event-stream": {"schema": _EVENT}}, "description": "Events."},
            204: {"description": "The job has ended, and you have received its last event."},
            **documented("invalid"),
        },
    )
    async def events(
        job_id: JobId,
        here: BackendDep,
        caller: Reader,
        last_event_id: Annotated[str | None, Header(description=_AFTER)] = None,
        after: Annotated[str | None, Query(description=f"{_AFTER} The header has priority.")] = None,
    ) -> Response:
        await here.service.get(caller.tenant, job_id)
        position = last_event_id if last_event_id is not None else after
        admitted, place = still_admitted(caller, here.keys), streams.place(caller.id)
        return event_stream(here.service.log, job_id, position, admitted=admitted, place=place)

    @routes.get(
        "/report",
        summary="The report",
        response_class=Response,
        responses={
            200: {"content": {media: {"schema": {}} for media in _FORMS}, "description": "The report."},
            **documented("no-report", "not-acceptable", "invalid"),
        },
    )
    async def report(
        job_id: JobId,
        here: BackendDep,
        caller: Reader,
        wanted: Annotated[Format | None, Query(alias="format", description="Overrides Accept.")] = None,
        accept: Annotated[str, Header(include_in_schema=False)] = "*/*",
    ) -> Response:
        return await reports.made(here, caller.tenant, job_id, wanted or accepted(accept))

    @routes.get("/trace", summary="A job's past events and cost", responses=documented("invalid"))
    async def trace(
        job_id: JobId,
        here: BackendDep,
        caller: Reader,
        after: Annotated[str, Query(description="`next_after` of the previous page.")] = "0",
        limit: Annotated[int, Query(ge=1, le=500, description="Events per page.")] = 200,
    ) -> Trace:
        await here.service.get(caller.tenant, job_id)
        found = await here.service.log.read(job_id, after, most=limit)
        spend, agents = job_cost(await here.service.deps.ledger.spend(job_id))
        last = found[-1].id if len(found) == limit else None
        return Trace(job_id=job_id, spend=spend, agents=agents, events=[_told(each) for each in found], next_after=last)

    @routes.get("/record", summary="What a job exchanged with models and tools", responses=documented("invalid"))
    async def record(
        job_id: JobId,
        here: BackendDep,
        caller: Reader,
        after: Annotated[str, Query(description="`next_after` of the previous page.")] = "0",
        limit: Annotated[int, Query(ge=1, le=100, description="Lines per page.")] = 50,
    ) -> JobRecord:
        await here.service.get(caller.tenant, job_id)
        found = await record_of(here.service.client, job_id, after, most=limit)
        lines = [RecordLine(at=place, data=line) for place, line in found]
        return JobRecord(job_id=job_id, lines=lines, next_after=found[-1][0] if len(found) == limit else None)

    return routes


def _told(event: Event) -> TraceEvent:
    data = event.data
    return TraceEvent(id=event.id, type=event.type, at=data["at"], data=data)


def accepted(accept: str) -> Format:
    """The form that the header prefers; Markdown if it accepts any."""
    liked: list[tuple[float, str]] = []
    for each in accept.split(","):
        media, *parameters = (part.strip().lower() for part in each.split(";"))
        liked.append((_quality(parameters), media))
    for quality, media in sorted(liked, key=lambda each: -each[0]):
        if quality > 0 and media in _FORMS:
            return _FORMS[media]
        if quality > 0 and media in {"*/*", "text/*"}:
            return "md"
    raise Refused("not-acceptable", f"available forms: {', '.join(_FORMS)}")


def _quality(parameters: list[str]) -> float:
    try:
        return next((float(each[2:]) for each in parameters if each.startswith("q=")), 1.0)
    except ValueError:
        return 0.0

"""A client of the HTTP API. It survives a restart of the server, and never submits or decides anything twice."""

import contextlib
import random
import time
from collections.abc import Callable, Generator, Iterator
from datetime import date
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from httpx_sse import EventSource, ServerSentEvent
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from app.client.http_requests import IS_IT, Ask, Json, Requests, events
from app.errors import ApiFailed
from app.jobs.states import MEDIA, TERMINAL, WAITING, Format
from app.work.spending import SpendDocument

BRIEFLY_S = 3.0  # of retries for reads: the user is waiting
PATIENTLY_S = 30.0  # of retries for submissions and decisions
FOLLOWING_S = 60.0  # of outage while a job is watched
SILENT_S = 45.0  # until a silent stream counts as broken: the server sends something every 15
POLL_S = 0.2
PAUSE_S = 1.0
PAGE = 500
_JOBS = "v1/jobs"
_EVENT = TypeAdapter(dict[str, Any])


class Named(BaseModel):
    """A job, as far as any key may read it. Other fields from the server are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str


class Summary(Named):
    """A job in a list."""

    status: str
    question: str
    created_at: str
    behaviour_version: str | None = None


class Job(Summary):
    """A job."""

    budget_usd: float
    cost_usd: float
    cancel_requested: bool = False
    stop_reason: str | None = None
    stop_detail: str = ""
    escalation: Json | None = None
    resumes_at: str | None = None


class _Jobs(BaseModel):
    items: list[Summary]
    next_cursor: str | None = None


class _Trace(BaseModel):
    events: list[Json]
    next_after: str | None = None


_Model = TypeVar("_Model", bound=BaseModel)


class Client:
    """One API.

    Every method raises ApiRefused when the API refuses, and ApiFailed when it is unreachable, fails or is not Tollgate.

    Args:
        requests: the connection to the API.
        patiently_s: seconds for which submissions and decisions are retried.
        following_s: seconds for which the server may be unreachable while a job is watched.
        pause_s: seconds between two connections to a job's events, plus or minus half of that.
    """

    def __init__(
        self,
        requests: Requests,
        patiently_s: float = PATIENTLY_S,
        following_s: float = FOLLOWING_S,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._requests = requests
        self._patiently_s = patiently_s
        self._following_s = following_s
        self._pause_s = pause_s

    def submit(self, request: Json, idempotency_key: str) -> Named:
        """Submit a job, or get the one that was submitted under this key."""
        headers = {"Idempotency-Key": idempotency_key}
        return self._sent(Named, Ask("POST", _JOBS, request, headers=headers), self._patiently_s)

    def job(self, job_id: str) -> Job:
        """The job's current state."""
        return self._sent(Job, Ask("GET", _path(job_id)))

    def settled(self, job_id: str, status: str) -> Job:
        """The job, once its record has the status that its events reported, or a later one."""
        until = time.monotonic() + BRIEFLY_S
        while (job := self.job(job_id)).status != status and time.monotonic() < until:
            time.sleep(POLL_S)
        return job

    def jobs(self, status: str | None, most: int, behaviour: str | None = None) -> list[Summary]:
        """The newest jobs first. The server scans a bounded number per page, so matches may be on a later page."""
        wanted = {"limit": str(most), "status": status, "behaviour_version": behaviour}
        params, found = {name: value for name, value in wanted.items() if value}, list[Summary]()
        while True:
            page = self._sent(_Jobs, Ask("GET", _JOBS, params=params))
            found += page.items
            if len(found) >= most or page.next_cursor is None:
                return found[:most]
            params["cursor"] = page.next_cursor

    def cancel(self, job_id: str) -> Named:
        """Ask the job to stop."""
        return self._sent(Named, Ask("POST", f"{_path(job_id)}/cancel"), self._patiently_s)

    def delete(self, job_id: str) -> None:
        """Delete an ended job."""
        self._requests.send(Ask("DELETE", _path(job_id)), self._patiently_s)

    def decide(self, job_id: str, answer: Json, escalation_id: str | None) -> None:
        """Decide about an escalation of the job: this one, or the open one."""
        if escalation_id is None and (asked := self.job(job_id).escalation):
            escalation_id = str(asked["escalation_id"])
        body = answer | ({"escalation_id": escalation_id} if escalation_id else {})
        # Without an id, a second attempt could answer the next question.
        repeatable = escalation_id is not None
        self._requests.send(Ask("POST", f"{_path(job_id)}/decision", body), self._patiently_s, repeatable=repeatable)

    def report(self, job_id: str, form: Format) -> bytes:
        """The report in this format; text is UTF-8."""
        response = self._requests.send(Ask("GET", f"{_path(job_id)}/report", params={"format": form}), BRIEFLY_S)
        if not response.headers.get("content-type", "").startswith(MEDIA[form]):
            raise ApiFailed(f"{self._requests.url} sent something other than the report; {IS_IT}")
        return response.content

    def spend(self, day: date | None, tenant: str | None) -> SpendDocument:
        """What was spent on that day (UTC), by default today, and by that tenant, by default the key's."""
        params = ({"day": day.isoformat()} if day else {}) | ({"tenant": tenant} if tenant else {})
        return self._sent(SpendDocument, Ask("GET", "v1/spend", params=params))

    def newest_event(self, job_id: str) -> str | None:
        """The id of the newest event."""
        newest, after = None, "0"
        while True:
            page = self._trace(job_id, after, PAGE)
            newest = str(page.events[-1]["id"]) if page.events else newest
            if page.next_after is None:
                return newest
            after = page.next_after

    def watch(self, job_id: str, on_event: Callable[[Json], None], after: str | None = None) -> str:
        """Pass on each event after this one, once, until the job has ended or waits; return its status."""
        status = ""
        with contextlib.closing(self._events(job_id, after)) as told:
            for event_id, event in told:
                on_event(event)
                if event["type"] != "job" or "status" not in event:
                    continue
                status = str(event["status"])
                if status in WAITING and not self._trace(job_id, event_id, 1).events:  # it has not gone on
                    return status
        return status or self.job(job_id).status

    def _events(self, job_id: str, after: str | None) -> Generator[tuple[str, Json], None, None]:
        """Events with their ids, over as many connections as needed, until the job has ended."""
        over = False
        while True:
            with contextlib.closing(self._stream(job_id, after)) as response:
                if response.status_code == 204:  # it has ended, and we have its last event
                    return
                with contextlib.suppress(httpx.TransportError):  # a broken connection: the next one continues
                    for sent in self._sent_by(response):
                        if sent.data:
                            event = self._event(sent)
                            after, over = sent.id, event["type"] == "job" and event.get("status") in TERMINAL
                            yield sent.id, event
                    if over:
                        return
            time.sleep(self._pause_s * random.uniform(0.5, 1.5))  # noqa: S311  many may reconnect at once

    def _stream(self, job_id: str, after: str | None) -> httpx.Response:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        ask = Ask("GET", f"{_path(job_id)}/events", headers=headers)
        response = self._requests.send(ask, self._following_s, stream_silent_s=SILENT_S)
        if response.status_code != 204 and not response.headers.get("content-type", "").startswith("text/event-stream"):
            response.close()
            raise ApiFailed(f"{self._requests.url} sent no event stream; {IS_IT}")
        return response

    def _sent_by(self, response: httpx.Response) -> Iterator[ServerSentEvent]:
        try:
            yield from EventSource(events(response)).iter_sse()
        except httpx.DecodingError as error:
            raise ApiFailed(f"{self._requests.url} sent events that cannot be read ({error}); {IS_IT}") from error

    def _event(self, sent: ServerSentEvent) -> Json:
        try:
            event = _EVENT.validate_json(sent.data)
        except ValidationError:
            event = {}
        if not isinstance(event.get("type"), str) or not sent.id.isascii() or not sent.id.isprintable():
            raise ApiFailed(f"{self._requests.url} sent unknown events; {IS_IT}")
        return event

    def _trace(self, job_id: str, after: str, most: int) -> _Trace:
        params = {"after": after, "limit": str(most)}
        return self._sent(_Trace, Ask("GET", f"{_path(job_id)}/trace", params=params))

    def _sent(self, kind: type[_Model], ask: Ask, patience_s: float = BRIEFLY_S) -> _Model:
        """The API's response, validated."""
        response = self._requests.send(ask, patience_s)
        try:
            return kind.model_validate_json(response.content)
        except ValidationError as error:
            raise ApiFailed(f"{self._requests.url} sent a response that is not Tollgate's; {IS_IT}") from error


def _path(job_id: str) -> str:
    return f"{_JOBS}/{quote(job_id, safe='', errors='replace')}"

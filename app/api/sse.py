"""The event log of a job as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

A reader that comes back with the id of its last event, to whichever replica, goes on right after it. It holds what
`EventLog.follow` holds and two small tasks: what it has not read yet stays in Redis.
"""

import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.jobs.events import Event, EventLog
from graphs.store_failures import STORE_FAILED

RETRY = b"retry: 2000\n\n"  # milliseconds until a browser comes back
HEARTBEAT = b": heartbeat\n\n"
HEARTBEAT_S = 15.0
LOOK_S = 4.0  # with a heartbeat no reader reads on for more than 20 s after the key was revoked
Admitted = Callable[[], Awaitable[bool]]
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class EventStream(StreamingResponse):
    """The events of one job from one id on, for one reader. It ends after the event with which the job has ended, or
    when the reader may not read any more.

    A reader that has that event already gets 204: a browser comes back until it is told so.
    """

    media_type = "text/event-stream"

    def __init__(
        self, log: EventLog, job_id: str, last_event_id: str | None, heartbeat_s: float, admitted: Admitted | None
    ) -> None:
        self._frames = _framed(log.follow(job_id, last_event_id, heartbeat_s=heartbeat_s), admitted)
        self._log, self._job_id, self._last_event_id = log, job_id, last_event_id
        super().__init__(self._frames, headers=HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with contextlib.aclosing(self._frames):  # also when the reader goes while it is being sent something
            if await self._has_all():
                await Response(status_code=204, headers=HEADERS)(scope, receive, send)
            else:
                await super().__call__(scope, receive, send)

    async def _has_all(self) -> bool:
        if self._last_event_id is None:
            return False
        try:
            last = await self._log.last(self._job_id)
        except STORE_FAILED:  # the stream waits for it; a browser would not come back after an error
            return False
        return last is not None and last.ends and last.id == self._last_event_id


def event_stream(
    log: EventLog,
    job_id: str,
    last_event_id: str | None,
    heartbeat_s: float = HEARTBEAT_S,
    admitted: Admitted | None = None,
) -> StreamingResponse:
    """The response to a reader of this job's events.

    Args:
        log: where the events are.
        job_id: the job, which the reader may see.
        last_event_id: the newest event that the reader has, as it says; None for all.
        heartbeat_s: seconds without an event after which a comment is sent.
        admitted: whether the reader may still read; asked before what comes after `LOOK_S`. When not, the stream ends.

    Raises:
        BadInput: `last_event_id` is no id of an event. Raised here, before the response begins.
    """
    return EventStream(log, job_id, last_event_id or None, heartbeat_s, admitted)


def encoded(event: Event) -> bytes:
    """One event as it goes over the wire. Its JSON has no line breaks: they are escaped in it."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event.id.encode(), event.type.encode(), event.json)


async def _framed(events: AsyncGenerator[Event | None, None], admitted: Admitted | None) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(events):
        yield RETRY
        looked = time.monotonic()
        async for event in events:
            if admitted and time.monotonic() - looked >= LOOK_S:
                if not await admitted():
                    return
                looked = time.monotonic()
            yield encoded(event) if event else HEARTBEAT

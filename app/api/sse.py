"""The event log of a job as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

A reader that reconnects with the id of its last event, to any replica, continues right after it. A stream holds what
`EventLog.follow` holds, and two small tasks; unread events stay in Redis.
"""

import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.problems import RETRY_S, Refused
from app.jobs.events import Event, EventLog
from graphs.redis.failures import STORE_FAILED

RETRY = b"retry: 2000\n\n"  # milliseconds until a browser reconnects
HEARTBEAT = b": heartbeat\n\n"
HEARTBEAT_S = 15.0
LOOK_S = 4.0  # with the heartbeat, a stream ends within 20 s after its key was revoked
Admitted = Callable[[], Awaitable[bool]]
Place = contextlib.AbstractContextManager[None]
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class EventStream(StreamingResponse):
    """One job's events after one id, for one reader. Ends after the job's last event, or when the key is revoked.

    A reader that already has the last event gets 204, which stops a browser from reconnecting.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        log: EventLog,
        job_id: str,
        last_event_id: str | None,
        heartbeat_s: float,
        admitted: Admitted | None,
        place: Place,
    ) -> None:
        self._frames = _framed(log.follow(job_id, last_event_id, heartbeat_s=heartbeat_s), admitted)
        self._log, self._job_id, self._last_event_id = log, job_id, last_event_id
        self._place = place
        super().__init__(self._frames, headers=HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with contextlib.aclosing(self._frames):  # also if the reader disconnects during a send
            with self._place:
                if await self._has_all():
                    await Response(status_code=204, headers=HEADERS)(scope, receive, send)
                else:
                    await super().__call__(scope, receive, send)

    async def _has_all(self) -> bool:
        if self._last_event_id is None:
            return False
        try:
            last = await self._log.last(self._job_id)
        except STORE_FAILED:  # the stream waits for it: browsers do not reconnect after an error
            return False
        return last is not None and last.ends and last.id == self._last_event_id


class Streams:
    """This process's open streams, and the console's open pages. Each holds a connection for as long as its reader
    likes, so they may use half of the connections, and one key an eighth.
    """

    def __init__(self, connections: int) -> None:
        self._most, self._most_of_one = connections // 2, connections // 8
        self._open: Counter[str] = Counter()

    @contextlib.contextmanager
    def place(self, reader: str) -> Iterator[None]:
        """Count a stream of this reader until the block ends. Raises Refused."""
        if self._open[reader] >= self._most_of_one:
            told = f"this key has {self._most_of_one} event streams and pages open, the maximum; close one"
            raise Refused("too-many-requests", told, headers={"Retry-After": str(RETRY_S)})
        if self._open.total() >= self._most:
            told = "all connections for event streams and pages are in use"
            raise Refused("unavailable", told, headers={"Retry-After": str(RETRY_S)})
        self._open[reader] += 1
        try:
            yield
        finally:
            self._open[reader] -= 1
            self._open += Counter()  # forgets those that have none


def event_stream(
    log: EventLog,
    job_id: str,
    last_event_id: str | None,
    heartbeat_s: float = HEARTBEAT_S,
    admitted: Admitted | None = None,
    place: Place | None = None,
) -> StreamingResponse:
    """The response that streams this job's events to a reader.

    Args:
        log: the events.
        job_id: a job that the reader may see.
        last_event_id: the newest event that the reader has; None for all.
        heartbeat_s: seconds without an event after which a comment is sent.
        admitted: whether the reader may still read, checked at most every `LOOK_S`; if not, the stream ends.
        place: held while the stream is open.

    Raises:
        BadInput: `last_event_id` is not an event id. Raised before the response begins.
    """
    return EventStream(log, job_id, last_event_id or None, heartbeat_s, admitted, place or contextlib.nullcontext())


def encoded(event: Event) -> bytes:
    """One event in SSE format. Line breaks are escaped in its JSON."""
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

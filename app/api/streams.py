"""Server-sent events of a job."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from fastapi.responses import StreamingResponse

from app.events import EventLog


def event_stream(log: EventLog, job_id: str, last_event_id: str | None, heartbeat_s: float) -> StreamingResponse:
    """All events after this one, and those to come. Raises BadInput."""
    events = log.follow(job_id, last_event_id, heartbeat_s=heartbeat_s)

    async def encoded() -> AsyncIterator[bytes]:
        yield b"retry: 2000\n\n"
        async with aclosing(events):
            async for event in events:
                if event is None:
                    yield b": heartbeat\n\n"
                else:
                    yield f"id: {event.id}\nevent: {event.type}\n".encode() + b"data: " + event.json + b"\n\n"

    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(encoded(), media_type="text/event-stream", headers=headers)

"""The event log of a job: what happened, in order. Readers can resume from any event.

One Redis stream per job (`tollgate:{job}:events`), bounded and with a TTL. An event's id is `<ms>-<number>`; a job's
numbers have no gaps, so that readers notice missed events.
"""

import asyncio
import contextlib
import itertools
import json
import re
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from app.errors import BadInput
from app.jobs.event_tail import RETRY_S, Tail
from app.jobs.states import TERMINAL
from app.observing.redaction import Redaction, redacted
from graphs.clock import utc_now
from graphs.errors import Fenced
from graphs.redis.failures import STORE_AWAY
from graphs.redis.fencing import lease_key
from graphs.redis.script import Script
from graphs.state import Json

EVENT_BYTES = 16 * 1024
READ_AT_ONCE = 20  # events per follower; it keeps EVENT_BYTES of them and rereads the others
READERS = 4  # connections shared by all followers of a process

_START = "0-0"
_ID = re.compile(r"0|0-0|\d{1,15}-[1-9]\d{0,14}", re.ASCII)
_SHORTER = (2000, 400, 80)
FIELDS, LAST_RESORT = 24, 40  # of an event that is too large even so
_APPEND = Script(Path(__file__).parent / "events.lua")


@dataclass(frozen=True, slots=True)
class Event:
    """A stored event. `json` is the complete event, UTF-8, with `type` and `at` (UTC, ISO 8601)."""

    id: str
    type: str
    json: bytes

    @property
    def data(self) -> Json:
        """The redacted event, with `at`. Parsed at each call."""
        data: Json = json.loads(self.json)
        return data

    @property
    def at(self) -> str:
        """The time when it was appended."""
        return str(self.data["at"])

    @property
    def ends(self) -> bool:
        """Whether it is the job's last event; a requeued job goes on after it."""
        return self.type == "job" and self.data.get("status") in TERMINAL


class EventLog:
    """The logs of all jobs. One instance per process and event loop: its followers share a reader.

    Args:
        client: the Redis with the logs.
        ttl_seconds: how long a log is kept after its last event.
        most: events kept per job; streams are trimmed in blocks, so there may be some more.
        redact: removes secrets from events.
        now: the time, in UTC.
    """

    def __init__(
        self,
        client: Redis,
        *,
        ttl_seconds: int,
        most: int = 5000,
        redact: Redaction = redacted,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._client = client
        self._redact = redact
        self._ttl = ttl_seconds
        self._most = most
        self._now = now
        self._tail = Tail(client)
        self._turns = asyncio.Semaphore(READERS)

    async def append(self, job_id: str, events: Sequence[Json], *, fence: int | None = None) -> None:
        """Append events in this order, redacted and cut to 16 KB each; atomically, in one round trip, and once.

        Args:
            job_id: the job.
            events: each with a `type` that is an identifier.
            fence: the caller's fencing token; without it no check is made.

        Raises:
            Fenced: another process has a higher token. redis.exceptions.RedisError: Redis failed; the events may or may
                not be stored.
        """
        if not events:
            return
        now = self._now()
        told: list[str | bytes] = []
        for event in events:
            told += [_type(event), _document(self._redact(event), now)]
        keys = [_stream(job_id), lease_key(job_id), _seen(job_id)]
        limits = [uuid.uuid4().hex, int(now.timestamp() * 1000), self._most, self._ttl]
        token = await _APPEND.run(self._client, keys, "" if fence is None else fence, *limits, *told)
        if token:
            raise Fenced(f"another process has taken over {job_id} (token {token}, ours is {fence}); this one stops")

    async def read(self, job_id: str, after: str = "0", *, most: int = 100) -> list[Event]:
        """At most `most` events after this id; "0" is the start of the log.

        Raises:
            BadInput: `after` is not an event id.
            redis.exceptions.RedisError: Redis failed.
        """
        return await self._read(job_id, _position(after), most)

    async def last(self, job_id: str) -> Event | None:
        """The newest event. Raises RedisError."""
        found = _events(await self._client.xrevrange(_stream(job_id), count=1))
        return found[0] if found else None

    async def remove(self, job_id: str) -> None:
        """Delete the job's log. Raises RedisError."""
        await self._client.delete(_stream(job_id), _seen(job_id))

    def follow(self, job_id: str, after: str | None, *, heartbeat_s: float = 15) -> AsyncGenerator[Event | None, None]:
        """All events after this id, then new ones, until the job's last event, or until the log is deleted.

        An event `gap` replaces unread events that were trimmed, and says how many. Yields None after `heartbeat_s`
        seconds without an event, and while Redis does not answer. It can be closed or cancelled at any time without
        leaks.

        Raises:
            BadInput: `after` is not an event id. Raised before anything is read.
        """
        return self._follow(job_id, _position(after), heartbeat_s)

    async def _follow(self, job_id: str, position: str, heartbeat_s: float) -> AsyncGenerator[Event | None, None]:
        ended: bool | None = None
        with self._tail.watching(_stream(job_id)) as grown:
            while True:
                grown.clear()
                try:
                    events, more = await self._some(job_id, position)
                    if ended is None and not events:
                        ended = await self._ended_before(job_id, position)
                except STORE_AWAY:
                    await asyncio.sleep(RETRY_S)
                    yield None
                    continue
                for event in events:
                    if (missed := _number(event.id) - _number(position) - 1) > 0:
                        yield self._gap(event, missed)
                    yield event
                    position, ended = event.id, event.ends
                if more:
                    continue
                if ended:
                    return
                while not await _within(heartbeat_s, grown):
                    yield None
                    if await self._is_gone(job_id, position):
                        return

    async def _some(self, job_id: str, position: str) -> tuple[list[Event], bool]:
        """The next events, as many as a slow reader may buffer, and whether there may be more."""
        async with self._turns:
            found = await self._read(job_id, position, READ_AT_ONCE)
        held = 0
        for place, event in enumerate(found):
            held += len(event.json)
            if place and held > EVENT_BYTES:
                return found[:place], True
        return found, len(found) == READ_AT_ONCE

    async def _read(self, job_id: str, position: str, most: int) -> list[Event]:
        return _events(await self._client.xrange(_stream(job_id), f"({position}", "+", most))

    async def _ended_before(self, job_id: str, position: str) -> bool:
        """Whether the log ends with the job's end, and a reader at this position has read it."""
        async with self._turns:
            last = await self.last(job_id)
        return last is not None and last.ends and _order(last.id) <= _order(position)

    async def _is_gone(self, job_id: str, position: str) -> bool:
        """Whether the log, of which something was read, was deleted."""
        with contextlib.suppress(*STORE_AWAY):
            return position != _START and not await self._client.exists(_stream(job_id))
        return False

    def _gap(self, event: Event, missed: int) -> Event:
        """The gap before `event`. A reader that resumes after it gets `event` next, and no second gap."""
        ms = event.id.partition("-")[0]
        told = {"type": "gap", "at": _iso(self._now()), "missed": missed}
        return Event(f"{ms}-{_number(event.id) - 1}", "gap", _encoded(told))


def _stream(job_id: str) -> str:
    return f"tollgate:{{{job_id}}}:events"


def _seen(job_id: str) -> str:
    return f"{_stream(job_id)}:seen"


def _events(entries: Any) -> list[Event]:
    return [Event(each.decode(), fields[b"type"].decode(), fields[b"json"]) for each, fields in entries]


def _position(after: str | None) -> str:
    if after is None:
        return _START
    if not _ID.fullmatch(after):
        raise BadInput(f"{after[:40]!r} is not an event id; send the last one that you received, or none")
    return _START if after == "0" else after


def _order(event_id: str) -> tuple[int, int]:
    ms, _, number = event_id.partition("-")
    return int(ms), int(number)


def _number(event_id: str) -> int:
    return _order(event_id)[1]


async def _within(seconds: float, flag: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await flag.wait()
    except TimeoutError:
        return False
    return True


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")


def _type(event: Json) -> str:
    kind = event.get("type")
    if not isinstance(kind, str) or not kind.isidentifier():
        raise ValueError(f"an event needs a type that is an identifier, not {kind!r}")
    return kind


def _document(event: Json, now: datetime) -> bytes:
    """The stored document. An event that is too large is cut to fit, and says so."""
    whole = {**event, "at": _iso(now)}
    text = _encoded(whole)
    cut = {"at": whole["at"], "cut": f"this event had {len(text)} bytes; texts and lists in it are shown in part"}
    for longest in _SHORTER:
        if len(text) <= EVENT_BYTES:
            return text
        text = _encoded({**_shortened(whole, longest), **cut})
    if len(text) <= EVENT_BYTES:
        return text
    # Readers rely on an event's fields, so those stay, empty if they hold others.
    few = itertools.islice(whole.items(), FIELDS)
    kept = {name: type(value)() if isinstance(value, list | dict) else value for name, value in few}
    return _encoded({**_shortened(kept, LAST_RESORT), **cut})


def _shortened(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= longest else f"{value[:longest]}…"
    if isinstance(value, list):
        return [_shortened(each, longest) for each in value[:longest]]
    if isinstance(value, dict):
        return {_shortened(name, longest): _shortened(value[name], longest) for name in list(value)[:longest]}
    return value


def _encoded(value: Json) -> bytes:
    """JSON as UTF-8. Lone surrogates, which models can put into JSON, become question marks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")

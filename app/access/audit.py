"""The tamper-evident audit trail: who did what, and in which order.

One stream, `tollgate:{audit}:log`, bounded by age. Each entry has the id and MAC of the one before it, and an
HMAC-SHA256 over all of that, so that editing, deleting, moving or inserting an entry is detected. The MAC is computed
here, because those who can write to Redis must not know the secret. The script appends an entry only if its predecessor
is still the newest; otherwise the entry is rechained and retried.

Each entry states the age at which older ones expire, so that deleting younger ones at the old end is detected too. Ids
have no gaps: they continue the stream's own counter, so that deleting the newest entries is detected unless the counter
is reset. The trail alone cannot detect a reset counter, or an old copy of the whole trail: to detect those, keep the id
and MAC of the newest entry elsewhere.
"""

import asyncio
import hmac
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from redis.asyncio import Redis

from app.config.settings import Settings
from app.errors import BadInput
from app.observing.redaction import Redaction, redacted
from graphs.clock import utc_now
from graphs.redis.script import Script
from graphs.state import Json

DETAIL_BYTES = 4096

_TRAIL = "tollgate:{audit}:log"
_START = ("0-0", "")
_PAGE = 500
_LONGEST = 200  # characters of a name or an id
_ID = re.compile(r"0|\d{1,15}-\d{1,15}", re.ASCII)
_APPEND = Script(Path(__file__).with_suffix(".lua"))


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored entry. The MAC is computed over `json`."""

    id: str
    json: bytes
    mac: str

    @property
    def data(self) -> Json:
        """The entry: id, at, action, actor, tenant, job_id, detail, trace_id. Parsed at each call."""
        try:
            data: Json = json.loads(self.json)
        except ValueError:  # not written by us
            return {"unreadable": repr(self.json[:_LONGEST])}
        return data

    @property
    def line(self) -> str:
        """The entry and its MAC, as a line of JSON."""
        return f"{json.dumps({**self.data, 'mac': self.mac})}\n"


@dataclass(frozen=True, slots=True)
class Broken:
    """Where and how the chain is broken."""

    id: str
    why: str


class Audit:
    """A deployment's audit trail.

    Args:
        client: the Redis with the trail.
        ttl_seconds: the age at which an entry may be removed; that happens in blocks, when new ones come.
        secret: the key of the MACs, the same in all processes. Without one, only accidents are detected, because
            anybody can compute the MACs.
        redact: removes secrets from entries.
        now: the time, in UTC.
    """

    def __init__(
        self,
        client: Redis,
        *,
        ttl_seconds: int,
        secret: SecretStr | None,
        redact: Redaction = redacted,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._client = client
        self._redact = redact
        self._ttl = ttl_seconds
        self._secret = secret.get_secret_value().encode() if secret else b""
        self._now = now
        self._newest = _START
        self._counter = _START[0]  # the newest id ever
        self._turn = asyncio.Lock()
        self._batch: list[tuple[Json, int]] = []  # collects entries while another batch is in flight
        self._adding: asyncio.Task[list[str]] | None = None  # that batch, until its turn

    @property
    def keyed(self) -> bool:
        """Whether there is a secret."""
        return bool(self._secret)

    async def append(
        self,
        action: str,
        actor: str,
        tenant: str | None = None,
        job_id: str | None = None,
        detail: Json | None = None,
        trace_id: str | None = None,
    ) -> str:
        """Append an entry once and return its id. The detail is redacted, and cut at 4 KB.

        Raises:
            redis.exceptions.RedisError: Redis failed; the entry may or may not be stored.
        """
        told = {"action": action, "actor": actor, "tenant": tenant, "job_id": job_id, "trace_id": trace_id}
        names = {name: value and value[:_LONGEST] for name, value in told.items()}
        now = self._now()
        what = {
            **names,
            "detail": _bounded(self._redact(detail or {})),
            "at": now.isoformat(timespec="milliseconds"),
            "keeps_from_ms": self._keeps_from(now),
            "nonce": uuid.uuid4().hex,  # distinguishes it from another process's, and from a resend
        }
        if self._adding is None:
            self._batch = []
            self._adding = asyncio.create_task(self._add_batch(self._batch), name="adds to the audit trail")
        self._batch.append((what, _ms(now)))
        place = len(self._batch) - 1
        return (await asyncio.shield(self._adding))[place]  # cancelling one caller must not lose the others' entries

    async def read(self, tenant: str | None = None, after: str = "0", most: int = 100) -> list[Entry]:
        """At most `most` entries after this id, of one tenant or of all; "0" is the oldest end.

        Raises:
            BadInput: `after` is not the id of an entry.
            redis.exceptions.RedisError: Redis failed.
        """
        if not _ID.fullmatch(after):
            raise BadInput(f"{after[:40]!r} is not the id of an audit entry; send the last one that you got, or 0")
        found: list[Entry] = []
        while len(found) < most:
            page = _entries(await self._client.xrange(_TRAIL, f"({after}", "+", _PAGE))
            found += [entry for entry in page if tenant is None or entry.data.get("tenant") == tenant]
            if len(page) < _PAGE:
                break
            after = page[-1].id
        return found[:most]

    async def pages(self, tenant: str | None = None, after: str = "0") -> AsyncIterator[list[Entry]]:
        """All entries after this id, in pages. Raises as `read`."""
        while page := await self.read(tenant, after, _PAGE):
            yield page
            after = page[-1].id

    async def newest(self) -> Entry | None:
        """The newest entry. Keep its id and MAC elsewhere to detect later whether the newest entries were removed."""
        page = _entries(await self._client.xrevrange(_TRAIL, count=1))
        return page[0] if page else None

    async def verify(self) -> Broken | None:
        """Check every entry and its predecessor; return the oldest broken place, or None.

        Goes from the newest to the oldest, so that entries which expire meanwhile are not missed.

        Raises:
            redis.exceptions.RedisError: Redis failed.
        """
        last = await self._last_id()
        reached = last == _START[0]  # the newest ever
        broken: Broken | None = None
        newer: Json | None = None  # the previously checked entry, if trusted
        keeps_from = self._keeps_from(self._now())
        async for entry in self.backwards():
            reached = reached or _order(entry.id) >= _order(last)
            if newer and newer["previous"] != [entry.id, entry.mac]:
                broken = Broken(newer["id"], f"it does not follow {entry.id}: entries were deleted, added or changed")
            newer = self._trusted(entry)
            if newer is None:
                broken = Broken(entry.id, "it was changed, or written with another secret")
                continue
            if _order(entry.id)[1] != _order(newer["previous"][0])[1] + 1:
                broken = Broken(entry.id, "entries just before it were deleted or lost")
            keeps_from = max(keeps_from, newer["keeps_from_ms"])
        if newer and newer["previous"] != list(_START) and _order(newer["previous"][0])[0] >= keeps_from:
            broken = Broken(newer["id"], "entries before it were deleted before their time")
        return broken or (None if reached else Broken(last, "it was the newest, and was deleted"))

    async def _add_batch(self, batch: Sequence[tuple[Json, int]]) -> list[str]:
        """Append everything collected until its turn in one step (group commit): one entry at a time would cost a round
        trip each, one after the other."""
        async with self._turn:  # so that batches of one process never conflict
            self._adding = None
            while (entries := await self._added(batch)) is None:
                pass
        return [each.id for each in entries]

    async def _added(self, batch: Sequence[tuple[Json, int]]) -> list[Entry] | None:
        """The entries, chained to the newest known one; None if there is a newer one, which is then known."""
        entries = self._chained(batch)
        oldest = min(what["keeps_from_ms"] for what, _ in batch)
        told = [part for each in entries for part in (each.id, each.json, each.mac)]
        arguments = (self._newest[1], self._counter, oldest, *told)
        found = [each.decode() for each in await _APPEND.run(self._client, [_TRAIL], *arguments)]
        if found:
            self._newest, self._counter = (found[0], found[1]), found[2]
            return None
        self._newest, self._counter = (entries[-1].id, entries[-1].mac), entries[-1].id
        return entries

    def _chained(self, batch: Sequence[tuple[Json, int]]) -> list[Entry]:
        previous, (ms, number) = self._newest, _order(self._counter)
        entries = []
        for what, now_ms in batch:
            ms, number = max(ms, now_ms), number + 1
            text = _canonical({**what, "id": f"{ms}-{number}", "previous": list(previous)})
            entries.append(Entry(f"{ms}-{number}", text, self._mac(text)))
            previous = (entries[-1].id, entries[-1].mac)
        return entries

    def _trusted(self, entry: Entry) -> Json | None:
        """The entry's data, if its MAC and its place are right."""
        if not hmac.compare_digest(self._mac(entry.json).encode(), entry.mac.encode()):
            return None
        return entry.data if entry.data["id"] == entry.id else None

    async def backwards(self) -> AsyncIterator[Entry]:
        """All entries, the newest first. Raises redis.exceptions.RedisError."""
        before = "+"
        while page := _entries(await self._client.xrevrange(_TRAIL, before, "-", _PAGE)):
            for entry in page:
                yield entry
            before = f"({page[-1].id}"

    async def _last_id(self) -> str:
        """The id of the newest entry ever appended, from the stream's counter."""
        if not await self._client.exists(_TRAIL):
            return _START[0]
        information = await self._client.xinfo_stream(_TRAIL)
        return str(information["last-generated-id"].decode())

    def _mac(self, text: bytes) -> str:
        return hmac.digest(self._secret, text, "sha256").hex()

    def _keeps_from(self, now: datetime) -> int:
        return max(0, _ms(now) - self._ttl * 1000)


def trail(settings: Settings, client: Redis) -> Audit:
    """The audit trail of the deployment."""
    redact = Redaction(settings.secrets)
    return Audit(client, ttl_seconds=settings.audit_days * 86_400, secret=settings.audit_secret, redact=redact)


def _entries(found: Any) -> list[Entry]:
    return [
        Entry(each.decode(), fields.get(b"entry", b""), fields.get(b"mac", b"").decode(errors="replace"))
        for each, fields in found
    ]


def _bounded(detail: Json) -> Json:
    text = _canonical(detail)
    if len(text) <= DETAIL_BYTES:
        return detail
    return {"cut": f"it had {len(text)} bytes and is shown in part", "begins": text[: DETAIL_BYTES // 2].decode()}


def _canonical(value: Json) -> bytes:
    """Canonical JSON, ASCII only: equal values have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _order(entry_id: str) -> tuple[int, int]:
    ms, _, number = entry_id.partition("-")
    return int(ms), int(number)


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)

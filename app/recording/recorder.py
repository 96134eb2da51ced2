"""The record of a job: what it exchanged with models and tools, one JSON line each, kept with it.

One Redis stream per job (`tollgate:{job}:record`), redacted, bounded, with the job's TTL and under its fencing token.
A cassette is the same lines in a file (`cassette.py`, which says what is in them).
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from cachetools import LRUCache
from langchain_core.tools import BaseTool
from redis.asyncio import Redis

from app.errors import BadInput
from app.observing.redaction import Redaction
from graphs.errors import Fenced
from graphs.redis.fencing import lease_key
from graphs.redis.script import Script
from graphs.spending.spend import Account
from graphs.state import Json

LINE_BYTES = 256 * 1024  # of an exchange
RECORD_BYTES = 8 * 1024 * 1024  # of a job
REMEMBERED_BYTES = 4 * 1024 * 1024  # of parts that need not be redacted again: prompts, tools, earlier messages
REMEMBERED = range(200, 40_000)  # bytes of such a part
OURS = frozenset(
    {"kind", "id", "at", "agent", "task", "evidence", "seconds", "status", "used"}
)  # fields without others' words
AT_ONCE = 8  # lines that are stored together
OF_A_TOOL = ("name", "description", "args_schema", "metadata")
KEPT_OF_A_CUT = ("kind", "id", "agent", "task", "at", "seconds", "server", "tool")

_PLACE = re.compile(r"0|\d{1,15}-\d{1,15}", re.ASCII)
_APPEND = Script(Path(__file__).with_name("append.lua"))


@dataclass
class _Run:
    """What this process has recorded in a run of a job: its fencing token, how many lines, what is not stored yet, the
    last request of each conversation with its line's id, and which tools were offered."""

    fence: int
    lines: int = 0
    waiting: list[bytes] = field(default_factory=list)
    said: dict[tuple[str, str], tuple[str, Json]] = field(default_factory=dict)
    offered: set[tuple[str, int]] = field(default_factory=set)


class Recorder:
    """The records of all jobs.

    Args:
        client: the Redis with the records.
        ttl_seconds: how long a record is kept after its last line.
        secrets: are in no line.
    """

    def __init__(self, client: Redis, *, ttl_seconds: int, secrets: Iterable[str] = ()) -> None:
        self._client = client
        self._ttl = ttl_seconds
        # A text that it shortens is in a line that is too long, and so marked as cut.
        self._redact = Redaction(secrets, longest=LINE_BYTES)
        self._runs: dict[str, _Run] = {}
        self._known: LRUCache[bytes, bytes] = LRUCache(REMEMBERED_BYTES, getsizeof=len)

    def begin(self, job_id: str, fence: int, line: Json) -> None:
        """Record a run of the job from now on, until it has `ended`."""
        self._runs[job_id] = _Run(fence)
        self.note(job_id, line)

    def note(self, job_id: str, line: Json) -> str | None:
        """Take in a line, redacted, for `flush` to store. Returns its id, unique in the job; None if no run is
        recorded, or the line is so long that only a mark is kept."""
        if (run := self._runs.get(job_id)) is None:
            return None
        run.lines += 1
        line_id = f"{run.fence}.{run.lines}"
        written = self._written(line | {"id": line_id})
        if is_cut := len(written) > LINE_BYTES:
            kept = {name: line[name] for name in KEPT_OF_A_CUT if name in line}
            written = self._written({**kept, "id": line_id, "cut": f"this exchange had {len(written)} bytes"})
        run.waiting.append(written)
        return None if is_cut else line_id

    def asked(self, account: Account, line: Json, request: Json) -> None:
        """Take in an exchange with a model. Of its request, what the conversation's last one had is not repeated."""
        if (run := self._runs.get(account.job_id)) is None:
            return
        whose = account.agent, account.task
        before = run.said.get(whose)
        told = _difference(before, request) if before else request
        if line_id := self.note(account.job_id, {**line, "request": told}):
            run.said[whose] = line_id, request

    def offers(self, job_id: str, agent: str, tools: Sequence[BaseTool]) -> None:
        """Take in the tools that an agent was offered, once."""
        run, offered = self._runs.get(job_id), (agent, hash(tuple(map(id, tools))))
        if run and offered not in run.offered:
            run.offered.add(offered)
            told = [{name: getattr(each, name) for name in OF_A_TOOL} for each in tools]
            self.note(job_id, {"kind": "tools", "agent": agent, "tools": told})

    async def flush(self, job_id: str, at_least: int = 1) -> None:
        """Store what was taken in, if it is so many lines. Raises Fenced when another process has a higher token;
        RedisError."""
        run = self._runs.get(job_id)
        if run is None or len(run.waiting) < at_least:
            return
        lines, run.waiting = run.waiting, []
        keys = [_stream(job_id), lease_key(job_id)]
        token = await _APPEND.run(self._client, keys, run.fence, self._ttl, RECORD_BYTES, *lines)
        if token:
            raise Fenced(
                f"another process has taken over {job_id} (token {token}, ours is {run.fence}); this one stops"
            )

    def forget(self, job_id: str) -> None:
        """Record nothing more of the job."""
        self._runs.pop(job_id, None)

    def _written(self, line: Json) -> bytes:
        return _dumped({name: value if name in OURS else self._part(value) for name, value in line.items()})

    def _part(self, value: Any) -> Any:
        """A part of a line, redacted; the parts of a request apart, because most of them come again."""
        if isinstance(value, dict) and "messages" in value:
            parts = {name: self._fragment(each) for name, each in value.items() if name != "messages"}
            return {**parts, "messages": [self._fragment(each) for each in value["messages"]]}
        return self._fragment(value) if isinstance(value, dict | list | str) else value

    def _fragment(self, value: Any) -> orjson.Fragment:
        raw = _dumped(value)
        if (known := self._known.get(raw)) is None:
            known = _dumped(self._redact(value))
            if len(raw) in REMEMBERED:
                self._known[raw] = known
        return orjson.Fragment(known)


async def record_of(client: Redis, job_id: str, after: str = "0", *, most: int = 100) -> list[tuple[str, Json]]:
    """At most `most` lines of a job's record after this place, each with its place; "0" is the start.

    Raises:
        BadInput: `after` is not a place.
    """
    if not _PLACE.fullmatch(after):
        raise BadInput(f"{after[:40]!r} is not a place in a record; send the last one that you received, or none")
    found: Any = await client.xrange(_stream(job_id), "-" if after == "0" else f"({after}", "+", most)
    return [(place.decode(), json.loads(fields[b"json"])) for place, fields in found]


async def forget_record(client: Redis, job_id: str) -> None:
    """Delete a job's record."""
    await client.delete(_stream(job_id))


def _difference(before: tuple[str, Json], request: Json) -> Json:
    """The request, as what differs from an earlier one: `like` that line's, of which `kept` messages stay, and these
    parameters are gone."""
    line_id, earlier = before
    ours, theirs = request["messages"], earlier["messages"]
    kept = 0
    while kept < min(len(ours), len(theirs)) and ours[kept] == theirs[kept]:
        kept += 1
    changed = {
        name: value
        for name, value in request.items()
        if name != "messages" and (name not in earlier or earlier[name] != value)
    }
    gone = [name for name in earlier if name not in request]
    return {"like": line_id, "kept": kept, **({"gone": gone} if gone else {}), **changed, "messages": ours[kept:]}


def _stream(job_id: str) -> str:
    return f"tollgate:{{{job_id}}}:record"


def _dumped(value: Any) -> bytes:
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # lone surrogates, which models can put into JSON
        return json.dumps(value, default=str).encode()

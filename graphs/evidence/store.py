"""The evidence store: each tool result of a job, stored once under an id and passed on by reference.

One Redis hash per job (`tollgate:{job}:evidence`): field `E7` holds the result as JSON, field `next` the counter.
The hash tag keeps a job's keys on one cluster node. The key expires with the job.
"""

import functools
import hashlib
import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from redis.asyncio import Redis

from graphs.errors import ToolFailure
from graphs.evidence.numbers import numbers_in
from graphs.evidence.plain_results import numbers_of
from graphs.evidence.scales import scale_of
from graphs.redis.script import Script
from graphs.state import EvidenceRef, Json
from graphs.untrusted.injections import visible

_ADD = Script(Path(__file__).parent / "add.lua")
_COUNTER = "next"
_OF_A_SOURCE = ("id", "publisher", "date", "url", "confidence", "retrieved")
MOST_TITLE = 300  # characters of a title that the state keeps
DEPENDS_ON_THE_WORDS = {"score", "excerpt"}  # search columns that vary with the query's wording


class Evidence(BaseModel):
    """One tool result. `text` is what the model saw; `content` the result behind it, of a kind and shape that the
    gateway has checked (graphs/tools/results.py).

    `flags` name what reads like instructions (graphs/untrusted/injections.py); `called_at` is the time of the call (ISO
    8601, UTC); `cached` means that the server was not called. `tool_title` is the tool's name for humans, if any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    server: str
    tool: str
    arguments: Json
    text: str
    content: Json
    duration_ms: int
    cached: bool = False
    called_at: str = ""
    flags: list[str] = []
    tool_title: str = ""

    @property
    def untrusted(self) -> bool:
        """Whether its server says that it comes from an unchecked outside source."""
        return self.content.get("untrusted") is True

    @property
    def data_version(self) -> str:
        """The version of the data that its server answered from."""
        return str(self.content.get("data_version", ""))

    @property
    def size(self) -> int:
        """Bytes of the complete structured result as JSON, even if the text was cut."""
        return len(json.dumps(self.content, ensure_ascii=False, separators=(",", ":")).encode(errors="replace"))

    @property
    def table(self) -> tuple[list[str], list[list[Any]]] | None:
        """Columns and rows, if the result is a table."""
        if self.content.get("kind") != "table":
            return None
        return self.content["columns"], self.content["rows"]

    @property
    def svg(self) -> str | None:
        """The image, if the result is a chart."""
        return self.content["svg"] if self.content.get("kind") == "chart" else None

    @property
    def url(self) -> str:
        """The address of its source, if it is a page or names one; else empty."""
        return str(self.content.get("url", ""))

    @functools.cached_property
    def numbers(self) -> frozenset[Decimal]:
        """Every number that can support a claim. Cells are read one by one: CSV commas are not digit groups.

        None of a text of which much was lost when its file was read.
        """
        if self.content.get("unreliable") is True:
            return frozenset()
        if (table := self.table) is not None:
            lost = self.content.get("unreliable_rows", [])
            cells = [cell for index, row in enumerate(table[1]) if index not in lost for cell in row]
            prose = [cell for cell in cells if isinstance(cell, str)]
            prose += [self.content.get("title", ""), *self.content.get("notes", [])]
            prose += [name.replace("_", " ") for name in table[0]]
            measured = [cell for cell in cells if isinstance(cell, int | float) and not isinstance(cell, bool)]
            return numbers_in(prose) | {abs(Decimal(str(cell))) for cell in measured} | self._scaled(lost)
        if self.content.get("kind") == "text":
            return numbers_of(self.text, self.content.get("structured"))
        return numbers_in([self.text])

    def _scaled(self, lost: list[int]) -> set[Decimal]:
        """The cells of a table that is in thousands or millions, in full."""
        columns, rows = self.table or ([], [])
        scales = [scale_of(each, str(self.content.get("title", ""))) for each in columns]
        return {
            abs(Decimal(str(cell)) * scale)
            for index, row in enumerate(rows if max(scales, default=1) > 1 else [])
            for cell, scale in zip(row, scales, strict=False)
            if index not in lost and scale > 1 and isinstance(cell, int | float) and not isinstance(cell, bool)
        }

    @property
    def addresses(self) -> frozenset[str]:
        """The addresses of the sources that it names: the `url` of a document, or that column of a table."""
        if (table := self.table) is None:
            return frozenset({self.url})
        at = [index for index, name in enumerate(table[0]) if name == "url"]
        return frozenset(str(row[index]) for row in table[1] for index in at)

    @property
    def digest(self) -> str:
        """A digest of the content, not of the call: a reworded search that finds the same brings nothing new."""
        if (table := self.table) is None:
            said: Any = {key: value for key, value in self.content.items() if key != "title"}
        else:
            kept = [index for index, name in enumerate(table[0]) if name not in DEPENDS_ON_THE_WORDS]
            said = sorted(json.dumps([row[index] for index in kept], sort_keys=True) for row in table[1])
        return hashlib.blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=8).hexdigest()

    def reference(self, evidence_id: str) -> EvidenceRef:
        """The reference that the state keeps."""
        columns, rows = self.table or ([], [])
        sourced = self.content.get("kind") == "document"
        named = [key for key in _OF_A_SOURCE if key != "retrieved" or key in self.content]
        source = {key: _shown(self.content.get(key) or "") for key in named}
        return EvidenceRef(
            id=evidence_id,
            task=self.task,
            server=self.server,
            tool=self.tool,
            arguments=self.arguments,
            kind=str(self.content.get("kind", "text")),
            title=_shown(self.content.get("title") or self.tool)[:MOST_TITLE],
            columns=columns,
            rows=len(rows),
            source=source if sourced else None,
            data_version=self.data_version,
            digest=self.digest,
            size=self.size,
            duration_ms=self.duration_ms,
            cached=self.cached,
            called_at=self.called_at,
            untrusted=self.untrusted,
            flags=self.flags,
        )


class EvidenceStore:
    """Reads and writes evidence. Every write renews the key's TTL."""

    def __init__(self, client: Redis, *, ttl_seconds: int) -> None:
        self._client = client
        self._ttl = ttl_seconds

    async def add(self, job_id: str, evidence: Evidence) -> str:
        """Store it under a new id, E1, E2, ... in order of arrival, and return that."""
        added = await _ADD.run(self._client, [_key(job_id)], evidence.model_dump_json(), self._ttl)
        return str(added.decode())

    async def put(self, job_id: str, evidence_id: str, evidence: Evidence) -> None:
        """Store it under this id."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.hset(_key(job_id), evidence_id, evidence.model_dump_json())
            pipe.expire(_key(job_id), self._ttl)
            await pipe.execute()

    async def renew(self, job_id: str) -> None:
        """Renew the TTL, so that a waiting job keeps its evidence as long as its state."""
        await self._client.expire(_key(job_id), self._ttl)

    async def remove(self, job_id: str) -> None:
        """Delete all evidence of the job."""
        await self._client.delete(_key(job_id))

    async def many(self, job_id: str, ids: Iterable[str]) -> dict[str, Evidence]:
        """The evidence under these ids; unknown ids are absent."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        found = await self._client.hmget(_key(job_id), wanted)
        return {
            each: Evidence.model_validate_json(body)
            for each, body in zip(wanted, found, strict=True)
            if body is not None and each != _COUNTER
        }

    async def resolved(self, job_id: str, arguments: Json) -> Json:
        """The arguments with each `{"evidence_id": ...}` replaced by the points of that table.

        Raises:
            ToolFailure: the evidence does not exist, is not a table, or lacks the named columns.
        """
        ids = list(evidence_ids(arguments))
        stored = await self.many(job_id, ids)
        if missing := sorted(set(ids) - set(stored)):
            raise ToolFailure(f"there is no evidence {', '.join(missing)}; use an id that a tool result began with")
        resolved: Json = filled(arguments, stored)
        return resolved


def _shown(value: Any) -> str:
    """One line without invisible characters."""
    return " ".join(visible(str(value)).split())


def _key(job_id: str) -> str:
    return f"tollgate:{{{job_id}}}:evidence"


def _is_reference(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("evidence_id"), str) and not value.get("points")


def evidence_ids(value: Any) -> Iterable[str]:
    """The ids of the evidence that the arguments refer to."""
    if _is_reference(value):
        yield value["evidence_id"]
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from evidence_ids(each)


def filled(value: Any, stored: dict[str, Evidence]) -> Any:
    """Arguments with their references resolved. Raises ToolFailure as `resolved`; the evidence must exist."""
    if _is_reference(value):
        return {**value, "points": _points(value, stored[value["evidence_id"]])}
    if isinstance(value, dict):
        return {key: filled(each, stored) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, stored) for each in value]
    return value


class _Reference(BaseModel):
    """A reference to rows of stored evidence. The argument's other fields are for the tool to judge."""

    evidence_id: str
    label_column: str | None = None
    value_column: str | None = None
    where: dict[str, str | int | float | bool] | None = None


def _points(given: Json, evidence: Evidence) -> list[Json]:
    try:
        reference = _Reference.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise ToolFailure(f"the reference does not fit: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    name = reference.evidence_id
    if evidence.table is None or not evidence.table[0]:
        raise ToolFailure(f"{name} is not a table; name evidence with rows, or give points")
    columns, rows = evidence.table
    label = reference.label_column or columns[0]
    value = reference.value_column or _only_measure(name, columns, rows)
    where = reference.where or {}
    if absent := sorted({label, value, *where} - set(columns)):
        raise ToolFailure(f"{name} has no column {', '.join(absent)}; it has: {', '.join(columns)}")
    at = {column: index for index, column in enumerate(columns)}
    chosen = [row for row in rows if all(str(row[at[key]]) == str(wanted) for key, wanted in where.items())]
    if not chosen:
        raise ToolFailure(f"no row of {name} has {json.dumps(where)}; check the values of these columns")
    return [{"label": str(row[at[label]]), "value": row[at[value]]} for row in chosen]


def _only_measure(name: str, columns: list[str], rows: list[list[Any]]) -> str:
    measures = [
        column for index, column in enumerate(columns) if any(isinstance(row[index], float | int) for row in rows)
    ]
    if len(measures) != 1:
        raise ToolFailure(f"say which column of {name} to measure, as value_column: {', '.join(measures or columns)}")
    return measures[0]

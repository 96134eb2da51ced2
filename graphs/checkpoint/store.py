"""The keys and scripts under the checkpointer: bytes in, bytes out.

A thread has two keys with the hash tag `{thread}`, so one script can update them on a cluster too, and two EXPIREs
refresh all of it:

    tollgate:checkpoint:{thread}:order   sorted set of members `<namespace> <checkpoint id>`, in the ids' order
    tollgate:checkpoint:{thread}         hash of
        c<member>                            row: refs to a checkpoint's blobs, then its body
        b<namespace> <channel> <version>     blob
        w<member>                            records of the writes on top of a checkpoint

where each space is the separator 0x1f.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, cast

from redis.asyncio import Redis, RedisCluster

from graphs.errors import Fenced
from graphs.redis.fencing import lease_key
from graphs.redis.script import Script

Client = Redis | RedisCluster
_Writes = tuple[asyncio.Future[None], bytes, bytes]  # waiter, member, records

SEPARATOR = "\x1f"
_FENCED = -2
_PREFIX = "tollgate:checkpoint:"


_WRITE, _READ, _DROP, _DUMP, _RESTORE = (
    Script(Path(__file__).parent / f"{name}.lua") for name in ("write", "read", "drop", "dump", "restore")
)


def member(ns: str, checkpoint_id: str = "") -> str:
    """The name of a checkpoint within its thread; without an id, the newest in its namespace."""
    return f"{ns}{SEPARATOR}{checkpoint_id}"


def split(name: str) -> tuple[str, str]:
    """Namespace and checkpoint id of a member."""
    ns, _, checkpoint_id = name.rpartition(SEPARATOR)
    return ns, checkpoint_id


class Run(NamedTuple):
    """The writer: a thread, and the run's fencing token, if any."""

    thread: str
    fence: int | None = None


class Store:
    """Checkpoints as members, refs and bytes. Each write renews the keys' TTL of `ttl_seconds`, if given."""

    def __init__(self, client: Client, ttl_seconds: int | None) -> None:
        if client.get_encoder().decode_responses:
            raise ValueError("the checkpointer stores bytes: give it a Redis client with decode_responses=False")
        if ttl_seconds is not None and ttl_seconds < 1:
            raise ValueError(f"ttl_seconds is {ttl_seconds}: give a positive number of seconds, or None for no expiry")
        self._client = client
        self._waiting: dict[tuple[str, int | None], list[_Writes]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._ttl = "" if ttl_seconds is None else str(ttl_seconds)

    async def put(self, run: Run, name: str, refs: Sequence[str], body: bytes, blobs: Sequence[bytes]) -> int:
        """Store a checkpoint with the blobs of its first refs; those of the other refs are already stored.

        Returns how many blobs were new; -1 if nothing was stored because a base blob is gone. LangGraph starts the
        writes of a step's last task and the put of its checkpoint in one turn of the event loop, so the put takes the
        waiting writes along, and a step costs one round trip.
        """
        refs_text = "".join(f"{ref}{SEPARATOR}" for ref in refs)
        writes = self._waiting.pop(run, [])
        try:
            return await self._write(run, writes, name.encode(), refs_text.encode(), body, *blobs)
        except asyncio.CancelledError:
            self._start(run, writes)  # only the put was cancelled; writes are idempotent
            raise

    async def put_writes(self, run: Run, name: str, task: str, writes: Mapping[int, bytes]) -> None:
        """Add one task's writes by index: an existing one is kept at 0 or above, and replaced below 0."""
        loop = asyncio.get_running_loop()
        if run not in self._waiting:
            self._waiting[run] = []
            loop.call_soon(lambda: self._start(run, self._waiting.pop(run, [])))
        done: asyncio.Future[None] = loop.create_future()
        records = b"".join(_record(task, *each) for each in writes.items())
        self._waiting[run].append((done, name.encode(), records))
        await done

    async def read(self, thread: str, names: Sequence[str]) -> list[list[Any]]:
        """[member, row, pieces of each blob, records of the writes] of each checkpoint that exists."""
        return [found for found in await self._run(_READ, thread, *names) if found]

    async def members(self, thread: str) -> list[str]:
        """Every checkpoint of the thread, newest first."""
        names = await cast("Awaitable[list[bytes]]", self._client.zrange(_keys(thread)[0], 0, -1))
        return sorted((name.decode() for name in names), key=lambda name: split(name)[1], reverse=True)

    async def rows(self, thread: str, names: Sequence[str]) -> dict[str, bytes]:
        """The row of each checkpoint that exists, without blobs and writes."""
        if not names:
            return {}
        fields = [f"c{name}" for name in names]
        rows = await cast("Awaitable[list[bytes | None]]", self._client.hmget(_keys(thread)[1], fields))
        return {name: row for name, row in zip(names, rows, strict=True) if row is not None}

    async def drop(self, thread: str, names: Sequence[str]) -> None:
        """Delete checkpoints and the blobs that only they use."""
        await self._run(_DROP, thread, *names)

    async def renew(self, thread: str) -> None:
        """Renew the keys' TTL, as a write does."""
        for key in _keys(thread) if self._ttl else ():
            await self._client.expire(key, int(self._ttl))

    async def delete(self, thread: str) -> None:
        """Delete a thread."""
        await self._client.unlink(*_keys(thread))

    async def copy(self, source: str, target: str) -> None:
        """Replace `target` with a copy of `source`, if that exists. They may be on different nodes."""
        dumps = await self._run(_DUMP, source)
        if None not in dumps:
            await self._run(_RESTORE, target, self._ttl, *dumps)

    async def threads(self) -> AsyncIterator[str]:
        """Every thread. Scans the key space: on a cluster an index could not be kept in the same atomic script, and it
        would slow every put for the sake of administration."""
        async for key in self._client.scan_iter(match=f"{_PREFIX}{{*}}:order", count=1000):
            yield key.decode().removeprefix(_PREFIX + "{").removesuffix("}:order")

    def _start(self, run: Run, writes: list[_Writes]) -> None:
        if writes:
            task = asyncio.create_task(self._send(run, writes))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, run: Run, writes: list[_Writes]) -> None:
        with contextlib.suppress(Exception):  # raised to those waiting for the writes
            await self._write(run, writes)

    async def _write(self, run: Run, writes: list[_Writes], *checkpoint: bytes) -> int:
        parts = chain.from_iterable((name, records) for _, name, records in writes)
        waiting = [done for done, _, _ in writes]
        try:
            fence = "" if run.fence is None else str(run.fence)
            keys = (*_keys(run.thread), lease_key(run.thread))
            answer = await _WRITE.run(self._client, keys, fence, self._ttl, b"%d" % len(writes), *parts, *checkpoint)
            if answer == _FENCED:
                raise Fenced(f"another process has taken over {run.thread}; this one wrote nothing more")
        except Exception as error:
            for done in waiting:
                if not done.done():
                    done.set_exception(error)
            raise
        for done in waiting:
            if not done.done():
                done.set_result(None)
        return cast("int", answer)

    async def _run(self, script: Script, thread: str, *arguments: Any) -> Any:
        return await script.run(self._client, _keys(thread), *arguments)


def _record(task: str, index: int, data: bytes) -> bytes:
    return f"{task}{SEPARATOR}{index}{SEPARATOR}{len(data)}{SEPARATOR}".encode() + data


def records(stored: bytes) -> Iterator[tuple[str, int, bytes]]:
    """Task, index and bytes of each write."""
    while stored:
        task, index, length, rest = stored.split(SEPARATOR.encode(), 3)
        yield task.decode(), int(index), rest[: int(length)]
        stored = rest[int(length) :]


def _keys(thread: str) -> tuple[str, str]:
    if not thread or thread.startswith("}"):
        raise ValueError(f"thread_id {thread!r} is no hash tag: it must not be empty or start with a closing brace")
    state = f"{_PREFIX}{{{thread}}}"
    return f"{state}:order", state

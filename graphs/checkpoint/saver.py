"""LangGraph checkpoints in Redis or Valkey.

The contract is `langgraph.checkpoint.base.BaseCheckpointSaver`, and the package `langgraph-checkpoint-conformance`
is its executable form. The order of pending writes (`writes_sort_key`) and which writes replace earlier ones
(`WRITES_IDX_MAP`) come from there too.
"""

import random
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, NoReturn, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
    get_checkpoint_id,
    get_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.types import ERROR

from graphs.checkpoint.blobs import Blobs, decode
from graphs.checkpoint.store import SEPARATOR, Client, Run, Store, member, records, split
from graphs.checkpoint.values import UnsupportedValueError, check, pack, unpack
from graphs.redis.fencing import fence_of

__all__ = ["RedisSaver", "UnsupportedValueError"]

_ROW_END = b"\x1e"
_READ_AT_ONCE = 16
_RANDOM = random.SystemRandom()


class RedisSaver(BaseCheckpointSaver[float]):
    """Keeps checkpoints in Redis ≥ 6.2 or Valkey, single or cluster, with core commands only.

    Each put is one atomic script, so a reader never sees half a checkpoint. Values that would come back altered raise
    UnsupportedValueError with the channel's name; DeltaChannel (beta) is one of them. Only the asynchronous methods
    exist.

    Args:
        client: a client with `decode_responses=False`.
        ttl_seconds: how long both keys of a thread live after its last write; None: for ever.

    Raises:
        ValueError: the client decodes responses, or `ttl_seconds` is not positive.

    Example:
        saver = RedisSaver(Redis.from_url("redis://127.0.0.1:6379"), ttl_seconds=86_400)
        graph = StateGraph(MyState).add_node(answer).set_entry_point("answer").compile(checkpointer=saver)
        config = {"configurable": {"thread_id": "job-1"}}
        await graph.ainvoke({"question": "How large is the market?"}, config)
        snapshot = await graph.aget_state(config)  # in any process
    """

    def __init__(self, client: Client, *, ttl_seconds: int | None = None) -> None:
        super().__init__()
        self._store = Store(client, ttl_seconds)
        self._blobs = Blobs()

    def get_next_version(self, current: float | None, channel: None) -> float:  # noqa: ARG002 (the contract's)
        """The next integer plus a random fraction: forks of one checkpoint must not share a version."""
        return int(current or 0) + 1 + _RANDOM.random()

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint and the blobs of its new versions.

        Raises:
            UnsupportedValueError: a value would come back altered.
            Fenced: the run's fencing token is out of date; nothing was stored.
            redis.exceptions.RedisError: Redis failed.
        """
        thread, ns = _place(config)
        versions, values = checkpoint["channel_versions"], checkpoint["channel_values"]
        body, name = _pack_body(config, checkpoint, metadata), member(ns, checkpoint["id"])
        stored = [channel for channel in values if channel in versions]

        async def put(new: Sequence[str]) -> bool:
            refs = [
                _ref(channel, versions[channel]) for channel in (*new, *(each for each in stored if each not in new))
            ]
            blobs = [self._blobs.encode((thread, ns, each), str(versions[each]), values[each]) for each in new]
            count = await self._store.put(Run(thread, fence_of(config)), name, refs, body, blobs)
            if count != len(blobs):
                for each in new:
                    self._blobs.forget((thread, ns, each))
            return count >= 0

        if not await put([channel for channel in stored if channel in new_versions]):
            # The thread expired, was deleted or restored from an older backup; all of its values are at hand here.
            await put(stored)
        return _config(config["configurable"]["thread_id"], ns, checkpoint["id"])

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task wrote on top of a checkpoint. Raises as `aput`."""
        thread, ns = _place(config)
        packed = {
            WRITES_IDX_MAP.get(channel, at): _pack_write(channel, value, task_path)
            for at, (channel, value) in enumerate(writes)
        }
        name = member(ns, config["configurable"]["checkpoint_id"])
        await self._store.put_writes(Run(thread, fence_of(config)), name, task_id, packed)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that `config` names, or the newest of its namespace; None if there is none."""
        thread, ns = _place(config)
        found = await self._store.read(thread, [member(ns, get_checkpoint_id(config) or "")])
        return _tuple(config["configurable"]["thread_id"], found[0]) if found else None

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 (the contract's name)
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints, newest first within a thread. Without a config, those of all threads (scans the key space)."""
        wanted, left = (filter or {}).items(), sys.maxsize if limit is None else limit
        at_once = _READ_AT_ONCE if filter else max(1, min(left, _READ_AT_ONCE))
        async for each in self._list(config, before, at_once):
            if left <= 0:
                return
            if all(each.metadata.get(key) == value for key, value in wanted):
                left -= 1
                yield each

    async def renew(self, thread_id: str) -> None:
        """Keep a thread that waits for as long as one that was just written."""
        await self._store.renew(thread_id)

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete all checkpoints, blobs and writes of a thread."""
        await self._store.delete(str(thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Replace the target with a copy of the source. A missing source changes nothing."""
        await self._store.copy(str(source_thread_id), str(target_thread_id))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of these runs in all threads (scans the key space)."""
        runs = set(run_ids)
        async for thread in self._store.threads():
            rows = await self._store.rows(thread, await self._store.members(thread))
            doomed = [name for name, row in rows.items() if _Row(row).metadata.get("run_id") in runs]
            if doomed:
                await self._store.drop(thread, doomed)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Keep only the newest checkpoint of each namespace ("keep_latest"), or none ("delete")."""
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"prune strategy {strategy!r} is unknown: use 'keep_latest' or 'delete'")
        for thread in map(str, thread_ids):
            if strategy == "delete":
                await self._store.delete(thread)
            else:
                await self._store.drop(thread, _superseded(await self._store.members(thread)))

    async def _list(
        self, config: RunnableConfig | None, before: RunnableConfig | None, at_once: int
    ) -> AsyncIterator[CheckpointTuple]:
        wanted = config["configurable"] if config else {}
        end = get_checkpoint_id(before) if before else None
        threads = _only(wanted["thread_id"]) if config else self._store.threads()
        async for thread in threads:
            names = [name for name in await self._store.members(str(thread)) if _is_wanted(name, wanted, end)]
            for at in range(0, len(names), at_once):
                for found in await self._store.read(str(thread), names[at : at + at_once]):
                    yield _tuple(thread, found)

    def get_tuple(self, config: RunnableConfig) -> NoReturn:
        """Not offered: use `aget_tuple`."""
        raise NotImplementedError("RedisSaver is asynchronous: use ainvoke, astream, aget_state or aget_tuple")

    def list(self, *_: Any, **__: Any) -> Iterator[CheckpointTuple]:
        """Not offered: use `alist`."""
        raise NotImplementedError("RedisSaver is asynchronous: use aget_state_history or alist")


class _Row:
    """A checkpoint without its blobs, as stored: the refs to them, then the packed rest."""

    def __init__(self, row: bytes) -> None:
        refs, _, body = row.partition(_ROW_END)
        self.channels = refs.decode().split(SEPARATOR)[:-1:2]
        self.parent, self.metadata, self.rest = unpack(body)


async def _only(thread: str) -> AsyncIterator[str]:
    yield thread


def _place(config: RunnableConfig) -> tuple[str, str]:
    configurable = config["configurable"]
    return str(configurable["thread_id"]), configurable.get("checkpoint_ns", "")


def _config(thread: str, ns: str, checkpoint_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, "checkpoint_id": checkpoint_id}}


def _ref(channel: str, version: float | str) -> str:
    return f"{_plain(channel)}{SEPARATOR}{version}"


def _plain(channel: str) -> str:
    if SEPARATOR in channel or _ROW_END.decode() in channel:
        raise UnsupportedValueError(f"channel {channel!r}: its name holds a control character; rename it")
    return channel


def _pack_body(config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata) -> bytes:
    meta = get_checkpoint_metadata(config, metadata)
    check("metadata", meta, meta)
    rest = {key: value for key, value in checkpoint.items() if key != "channel_values"}
    return pack("checkpoint", [get_checkpoint_id(config), meta, rest])


def _pack_write(channel: str, value: Any, task_path: str) -> bytes:
    if channel == ERROR and isinstance(value, BaseException):
        value = repr(value)
    where = f"channel {channel!r}"
    packed = pack(where, value)
    check(where, value, value)
    return f"{task_path}{SEPARATOR}{_plain(channel)}{SEPARATOR}".encode() + packed


def _tuple(thread: str, found: list[Any]) -> CheckpointTuple:
    name, row, blobs, writes = found
    (ns, checkpoint_id), stored = split(name.decode()), _Row(row)
    values = {channel: decode(pieces) for channel, pieces in zip(stored.channels, blobs, strict=True)}
    return CheckpointTuple(
        config=_config(thread, ns, checkpoint_id),
        checkpoint=cast("Checkpoint", {**stored.rest, "channel_values": values}),
        metadata=stored.metadata,
        parent_config=_config(thread, ns, stored.parent) if stored.parent else None,
        pending_writes=_pending(writes),
    )


def _pending(stored: bytes) -> list[PendingWrite]:
    found = []
    for task, index, record in records(stored):
        path, channel, value = record.split(SEPARATOR.encode(), 2)
        found.append((writes_sort_key(path.decode(), task, index), (task, channel.decode(), unpack(value))))
    return [write for _, write in sorted(found, key=lambda each: each[0])]


def _is_wanted(name: str, wanted: dict[str, Any], end: str | None) -> bool:
    ns, checkpoint_id = split(name)
    return (
        wanted.get("checkpoint_ns", ns) == ns
        and (wanted.get("checkpoint_id") or checkpoint_id) == checkpoint_id
        and (end is None or checkpoint_id < end)
    )


def _superseded(newest_first: list[str]) -> list[str]:
    """All but the newest of each namespace."""
    newest = {split(name)[0]: name for name in reversed(newest_first)}
    return [name for name in newest_first if newest[split(name)[0]] != name]

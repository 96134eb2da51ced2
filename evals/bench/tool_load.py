"""1,000 agents at one `sales` server, then at two replicas: how long a call takes, how many there are in a second.

All agents are in one process and share its gateway, as in a worker; each asks for something else, so that no cache
answers. A server has one CPU to itself, on a machine that has one for it and one more;
the agents share the CPU of the second replica.

    python -m evals.bench.tool_load [--agents 1000]

Beside it, the CPU of DuckDB alone for the same questions as plain SQL over the data, in one thread.
The last run sends a server more at once than it takes in: it says "busy" to what it cannot serve soon.
Exit code 1 if a call takes longer than its deadline or is refused by one server, if that uses more than 10 ms of CPU
for a call, or if two replicas give less than 1.6 times one where the CPUs allow.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table

from evals.bench.rows import Row
from evals.bench.servers import Served, served
from graphs.errors import GraphError
from graphs.tools.gateway import Asking, ToolGateway
from graphs.tools.limits import ToolLimits
from sample import SALES

AGENT = Asking("bench", ("sales.*",))
DEADLINE_S, GRACE_S, LEAST_GAIN, MOST_CPU_MS = 60.0, 2.0, 1.6, 10.0
ROWS = (
    Row("tool calls a second of one server", "1/s", "", "1,000 agents at once, each with a question of its own"),
    Row(
        "CPU of a tool call in the server", "ms", "DuckDB alone", "the peer answers the same as SQL over the raw table"
    ),
    Row("two replicas over one", "times", "", "the second replica shares its CPU with the agents"),
)
CROWD = 400  # calls at once: more than a server takes in
DIMENSIONS = ("country", "product", "channel", "segment", "quarter", "year", "month")


@dataclass
class Load:
    """What a run came to: seconds of every answered call, what the others got, wall clock, CPU seconds."""

    answered: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    seconds: float = 0.0
    server_cpu: float = 0.0
    agents_cpu: float = 0.0

    @property
    def throughput(self) -> float:
        """Answers a second."""
        return len(self.answered) / self.seconds


async def run(servers: list[Served], agents: int, limits: ToolLimits) -> Load:
    """Let so many agents call at once."""
    load, before, mine = Load(), sum(each.cpu_s for each in servers), time.process_time()
    async with ToolGateway({"sales": ",".join(each.url for each in servers)}, limits=limits) as gateway:
        await gateway.tools(AGENT)
        began = time.monotonic()
        await asyncio.gather(*(_agent(gateway, number, load) for number in range(agents)))
        load.seconds = time.monotonic() - began
    load.server_cpu = sum(each.cpu_s for each in servers) - before
    load.agents_cpu = time.process_time() - mine
    return load


async def _agent(gateway: ToolGateway, number: int, load: Load) -> None:
    began = time.monotonic()
    try:
        await gateway.call(AGENT, "sales", "revenue_by", _question(number))
        load.answered.append(time.monotonic() - began)
    except GraphError as error:
        load.refused[type(error).__name__ + (", busy" if "busy" in str(error) else "")] += 1
    load.longest = max(load.longest, time.monotonic() - began)


def _question(number: int) -> dict[str, Any]:
    """A question of its own for every number."""
    spans = [(start, end) for start, end in product(range(36), range(36)) if start <= end]
    start, end = spans[number % len(spans)]
    first, second = DIMENSIONS[number // len(spans) % len(DIMENSIONS)], DIMENSIONS[number % len(DIMENSIONS)]
    period = {"start": f"{2022 + start // 12}-{start % 12 + 1:02}", "end": f"{2022 + end // 12}-{end % 12 + 1:02}"}
    return {"dimensions": list(dict.fromkeys((first, second)))[:2], "period": period}


def bare(folder: Path, numbers: range) -> float:
    """CPU milliseconds of DuckDB alone for each of these questions, over the data as they are."""
    roles = tomllib.loads(SALES.with_suffix(".toml").read_text(encoding="utf-8"))["roles"]
    times = {"year": "%Y", "quarter": "%Y-%m", "month": "%Y-%m"}  # a quarter: as much work as a month
    [database] = folder.glob("sales/own-*.duckdb")
    with duckdb.connect(str(database), read_only=True, config={"threads": 1}) as connection:
        began = time.process_time()
        for number in numbers:
            asked = _question(number)
            keys = [f"strftime({roles['date']}, '{times[d]}')" if d in times else d for d in asked["dimensions"]]
            connection.execute(
                f"SELECT {', '.join(keys)}, sum({roles['amount']}), sum({roles['quantity']}), "
                f"count(DISTINCT {roles['order']}) FROM {roles['table']} "
                f"WHERE strftime({roles['date']}, '%Y-%m') BETWEEN $start AND $end GROUP BY ALL ORDER BY ALL",
                asked["period"],
            ).fetchall()
    return 1000 * (time.process_time() - began) / len(numbers)


def row(name: str, load: Load) -> list[str]:
    """A row of the table."""
    cuts = statistics.quantiles(load.answered, n=100, method="inclusive") if len(load.answered) > 1 else [0.0] * 99
    shown = [f"{cuts[at]:.2f}" for at in (49, 94, 98)]
    refused = ", ".join(f"{count} {what}" for what, count in load.refused.items()) or "0"
    each = 1000 / max(1, len(load.answered))
    cpu = f"{load.server_cpu * each:.1f} + {load.agents_cpu * each:.1f}"
    return [name, str(len(load.answered)), refused, *shown, f"{load.longest:.2f}", f"{load.throughput:.0f}", cpu]


async def main(agents: int) -> int:
    """Print the table; 0 if it holds."""
    limits = ToolLimits(timeout_s=DEADLINE_S, cache_seconds=0, at_once=8, most_waiting=agents)
    unbounded = ToolLimits(timeout_s=DEADLINE_S, cache_seconds=0, at_once=CROWD, most_waiting=agents)
    cpus = sorted(os.sched_getaffinity(0))
    pins = [[cpus[-1]], [cpus[-2]]] if len(cpus) > 1 else [[], []]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        data = ["--data", str(SALES), "--data-dir", folder]
        with served("mcp_servers.sales", *data, cpus=pins[0]) as one:
            await run([one], 1, limits)
            alone = await run([one], agents, limits)
            with served("mcp_servers.sales", *data, cpus=pins[1]) as other:
                await run([other], 1, limits)
                both = await run([one, other], agents, limits)
            crowd = await run([one], agents, unbounded)
            alone_ms = bare(Path(folder), range(min(agents, 100)))
    columns = ("sales server", "answered", "refused", "p50 s", "p95 s", "p99 s", "most s", "calls/s", "CPU ms a call")
    table = Table(*columns, title=f"{agents} agents at once")
    table.add_row(*row("one", alone))
    table.add_row(*row("two replicas", both))
    table.add_row(*row("one, its own bounds", crowd))
    table.add_row("DuckDB alone", *[""] * 7, f"{alone_ms:.1f}")
    console, gain = Console(width=140), both.throughput / alone.throughput
    console.print(table)
    ROWS[0].tell([alone.throughput])
    ROWS[1].tell([1000 * alone.server_cpu / max(1, len(alone.answered))], [alone_ms])
    ROWS[2].tell([gain])
    ceiling = 2 * alone.server_cpu / (both.server_cpu + both.agents_cpu)
    console.print(
        f"CPUs {cpus}: the first replica has {pins[0]}, the second {pins[1]} beside the agents; the CPU column is the "
        f"server's part + the agents' own. Two replicas give {gain:.2f} times one; {ceiling:.2f} by CPU time"
    )
    problems, cpu_ms = [], 1000 * alone.server_cpu / max(1, len(alone.answered))
    if cpu_ms > MOST_CPU_MS or alone.refused:
        problems.append(f"one server: {cpu_ms:.1f} ms of CPU a call, {alone.refused.total()} refused")
    if max(each.longest for each in (alone, both, crowd)) > DEADLINE_S + GRACE_S:
        problems.append(f"a call took longer than its deadline of {DEADLINE_S:.0f} s")
    if gain < LEAST_GAIN and ceiling >= LEAST_GAIN:
        problems.append(f"two replicas give {gain:.2f} times one, not {LEAST_GAIN}")
    for problem in problems:
        console.print(f"does not hold: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--agents", type=int, default=1000, help="agents at once; default 1000")
    sys.exit(asyncio.run(main(parser.parse_args().agents)))

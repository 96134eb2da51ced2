"""What a job costs over our API, and the same graph on the same stores and servers under `langgraph dev`.

Both run all the time and get batches of jobs in turn, all of a batch at once. Counted is the CPU time of the programs
that run the jobs: API and workers here, the development server there. What both use is not counted: the model, MCP
servers, Redis.

    python -m evals.bench.beside_langgraph_dev [--rounds 5] [--jobs 10]
"""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

import sample
from app.access.keys import Keys, Scope
from evals.bench.deployment import Deployment, cpu_s, deployed
from evals.bench.jobs import SETTINGS
from evals.bench.rows import Row
from evals.bench.tracing import Side

LATENCY_MS, START_S = 20, 120.0
ROOT = Path(__file__).parents[2]
PEER = "langgraph dev"
ROWS = (
    CPU := Row(
        "CPU of a job in the programs that run it", "s", PEER,
        "of API and two workers, and of the development server, which keeps its state in memory and builds the graph "
        "for each run. The development server is no production server; LangGraph's is not free to run",
    ),
    SPEED := Row(
        "jobs a second, of a batch at once", "1/s", PEER,
        "on a machine that model, MCP servers and clients share. Ours keeps each "
        "step in Redis before the next",
    ),
)  # fmt: skip


@contextlib.contextmanager
def development_server(here: Deployment, folder: Path) -> Iterator[tuple[LangGraphClient, int]]:
    """A client of `langgraph dev` beside this deployment, and the process."""
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"dependencies": ["."], "graphs": {"research": f"{ROOT}/app/studio.py:graph"}}))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["-m", "langgraph_cli", "dev", "--port", str(port), "--no-reload", "--no-browser"]
    env = {**here.env, "PYTHONPATH": str(ROOT), "LANGSMITH_TRACING": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *command], cwd=folder, env=env, stdout=log, stderr=log)
    try:
        url, until = f"http://127.0.0.1:{port}", time.monotonic() + START_S
        while not _answers(f"{url}/ok"):
            if time.monotonic() > until or process.poll() is not None:
                raise RuntimeError(f"langgraph dev did not start: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.2)
        yield get_client(url=url), process.pid
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _tree_cpu_s(pid: int) -> float:
    """CPU seconds of a process and its children."""
    children = [each for task in Path(f"/proc/{pid}/task").glob("*/children") for each in task.read_text().split()]
    return cpu_s(pid) + sum(_tree_cpu_s(int(each)) for each in children)


async def _theirs(client: LangGraphClient, pid: int, jobs: int) -> tuple[float, float]:
    """CPU seconds of a job, and jobs a second."""
    before, began = _tree_cpu_s(pid), time.perf_counter()
    given = {"question": sample.QUESTION}
    ended = await asyncio.gather(*(client.runs.wait(None, "research", input=given) for _ in range(jobs)))
    if any(each.get("status") != "completed" for each in ended if isinstance(each, dict)):
        raise RuntimeError(f"not every job was completed under langgraph dev: {str(ended)[:2000]}")
    return (_tree_cpu_s(pid) - before) / jobs, jobs / (time.perf_counter() - began)


async def _ours(side: Side, jobs: int) -> tuple[float, float]:
    before, began = await side.here.usage(), time.perf_counter()
    await side.ended(await side.ordered(jobs))
    seconds, after = time.perf_counter() - began, await side.here.usage()
    return sum(after[name] - before[name] for name in ("api", "workers")) / jobs, jobs / seconds


async def measure(rounds: int, jobs: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """CPU seconds of a job and jobs a second in each round, of ours and of the development server."""
    settings = {**SETTINGS, "TOLLGATE_WORKER_JOBS": "10"}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with deployed(LATENCY_MS, **settings) as here:
            side = Side(here, (await Keys(here.client).create("bench", [Scope.SUBMIT])).secret)
            ours, theirs = [], []
            with development_server(here, Path(folder)) as (client, pid):
                for _ in range(1 + rounds):
                    ours.append(await _ours(side, jobs))
                    theirs.append(await _theirs(client, pid, jobs))
    return ours[1:], theirs[1:]  # the first round warms up


def main(rounds: int, jobs: int) -> None:
    """Print the rows."""
    ours, theirs = asyncio.run(measure(rounds, jobs))
    for row, mine, other in zip(ROWS, zip(*ours, strict=True), zip(*theirs, strict=True), strict=True):
        row.tell(mine, other)
    print(f"{rounds} batches of {jobs} jobs, load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="pairs of batches; default 5")
    parser.add_argument("--jobs", type=int, default=10, help="jobs of a batch; default 10")
    given = parser.parse_args()
    main(given.rounds, given.jobs)

"""How long programs take to start: API, worker and each MCP server, to their first answer or to being ready.

From the start of the process; Redis, the model and what a program waits for run already. The peers are what any such
program takes at least: a bare FastAPI under uvicorn, and the imports of an agent made of LangChain's parts.

    python -m evals.bench.startup [--rounds 3]
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from app.config.servers import SERVERS, OwnServer
from evals.bench.api import bare
from evals.bench.deployment import Deployment, deployed, program, said
from evals.bench.rows import Row
from evals.bench.servers import served

PARTS = "import langgraph.graph, langchain.agents, langchain_openai, langchain_mcp_adapters.client, redis.asyncio"
OURS = [each for each in SERVERS if not each.turned_on_by]
ROWS = (
    Row("start of the API", "s", "bare FastAPI", "until it answers /healthz; the peer only serves HTTP"),
    Row("start of a worker", "s", "the imports of its parts", "until it takes jobs; the peer is those imports alone"),
    *(Row(f"start of {each.name}", "s", "", "until its first answer, with nothing kept of its data") for each in OURS),
)


async def _ours(here: Deployment, folder: Path, name: str, *command: str, ready: str) -> float:
    began = time.perf_counter()
    async with program(folder, here.env, name, *command) as process:
        line = await said(process, ready)
        if line.startswith("api: "):
            async with httpx.AsyncClient(trust_env=False) as http:
                (await http.get(f"{line.removeprefix('api: ')}/healthz")).raise_for_status()
        return time.perf_counter() - began


def _bare_api() -> float:
    began = time.perf_counter()
    with bare() as url:
        httpx.get(f"{url}/healthz", timeout=60).raise_for_status()
        return time.perf_counter() - began


def _imports() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", PARTS], check=True)
    return time.perf_counter() - began


def _server(server: OwnServer, folder: str) -> float:
    began = time.perf_counter()
    values = {each.name: folder if each.setting == "data_dir" else each.default for each in server.options}
    given = [part for name, value in values.items() if value for part in (name, str(value))]
    with served(f"mcp_servers.{server.name}", *given):
        return time.perf_counter() - began


async def measure(rounds: int) -> tuple[list[list[float]], list[list[float]]]:
    """Seconds of API and worker, and of their peers."""
    ours: list[list[float]] = [[], []]
    peers: list[list[float]] = [[], []]
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        async with deployed(0) as here:
            for _ in range(rounds):
                ours[0].append(await _ours(here, Path(name), "api", "api", "--port", "0", ready="api: http"))
                peers[0].append(_bare_api())
                ours[1].append(await _ours(here, Path(name), "worker", "worker", ready="worker: up to"))
                peers[1].append(_imports())
    return ours, peers


def main(rounds: int) -> None:
    """Print the rows."""
    ours, peers = asyncio.run(measure(rounds))
    for row, mine, other in zip(ROWS, ours, peers, strict=False):
        row.tell(mine, other)
    for row, server in zip(ROWS[len(ours) :], OURS, strict=True):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            row.tell([_server(server, f"{folder}/{number}") for number in range(rounds)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="starts of each; default 3")
    main(parser.parse_args().rounds)

"""The scene of a drill: its own stand-in model, and MCP servers that may misbehave."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.config import settings as configuration
from evals.incident import faulty_mcp
from evals.incident.drills import Drill
from evals.incident.invoice import Invoice, invoice

LATENCY_MS = 50  # of the stand-in, so that drills are fast
LOOK_S = 0.02

Servers = Mapping[str, str]


@dataclass(frozen=True)
class Scene:
    """The stand-in's address; every MCP server's, behind its fault if any; and their requests by method."""

    model_url: str
    servers: Servers
    asked: Mapping[str, Counter[str]]

    async def bill(self) -> Invoice:
        """What the model has billed until now."""
        return await invoice(self.model_url)

    async def reached(self, calls: int) -> None:
        """Waits until the model has got so many calls."""
        while (await self.bill()).calls < calls:  # noqa: ASYNC110  it is another process
            await asyncio.sleep(LOOK_S)


@contextlib.asynccontextmanager
async def scene(drill: Drill, servers: Servers) -> AsyncIterator[Scene]:
    """Everything that one run of the drill needs, until the block ends."""
    with contextlib.ExitStack() as stack:
        model_url = stack.enter_context(_stand_in(drill))
        proxies = {
            name: stack.enter_context(faulty_mcp.served(servers[name], fault)) for name, fault in drill.faults.items()
        }
        faulty = {name: url for name, (url, _) in proxies.items()}
        crowd = [asyncio.create_task(_neighbour(url)) for url in faulty.values() for _ in range(drill.neighbours)]
        try:
            yield Scene(model_url, {**servers, **faulty}, {name: asked for name, (_, asked) in proxies.items()})
        finally:
            for each in crowd:
                each.cancel()
            await asyncio.gather(*crowd, return_exceptions=True)


@contextlib.contextmanager
def _stand_in(drill: Drill) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        options = ["--fd", str(listener.fileno()), "--exit-with-stdin", "--latency-ms", str(LATENCY_MS)]
        options += ["--profile", drill.profile, "--dialect", drill.dialect]
        process = subprocess.Popen(
            [sys.executable, "-m", "app.stand_in", *options],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
    with process:  # closes its stdin at the end and waits
        yield f"http://127.0.0.1:{port}/v1"


async def _neighbour(url: str) -> None:
    """Another client of the server, which lists its tools repeatedly."""
    headers = {"accept": "application/json, text/event-stream"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    async with httpx.AsyncClient(timeout=None) as client:
        while True:
            await client.post(url, json=body, headers=headers)


def environment(model_url: str, servers: Servers, folder: Path) -> dict[str, str]:
    """The environment, without any setting of the user, least of all a key."""
    silent = dict.fromkeys(configuration.names(), "")
    given = {"TOLLGATE_STAND_IN_URL": model_url, "TOLLGATE_DATA_DIR": str(folder)}
    return configuration.child_environment(
        silent | given | {f"MCP__{name.upper()}__URL": url for name, url in servers.items()}
    )

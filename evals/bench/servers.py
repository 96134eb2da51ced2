"""MCP servers of a benchmark, each a process of its own."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx

from evals.bench.deployment import cpu_s

START_S = 60.0
QUIET = ("--exit-with-stdin", "--log-level", "warning")
STATEFUL = "evals.bench.stateful_server"  # `mcp_servers.analytics` with sessions that the server knows


@dataclass(frozen=True)
class Served:
    """A server that runs, and where."""

    url: str
    pid: int

    @property
    def cpu_s(self) -> float:
        """CPU seconds that it has used."""
        return cpu_s(self.pid)


@contextlib.contextmanager
def served(module: str, *arguments: str, cpus: Sequence[int] = ()) -> Iterator[Served]:
    """Run this module as an MCP server until the block ends, on these CPUs only when some are named."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        port = listener.getsockname()[1]
        command = [sys.executable, "-m", module, *arguments, "--fd", str(listener.fileno()), *QUIET]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()], start_new_session=True)
    try:
        if cpus:
            os.sched_setaffinity(process.pid, cpus)
        # The socket listens since before the program ran: this waits for it.
        httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=START_S).raise_for_status()
        yield Served(f"http://127.0.0.1:{port}/mcp", process.pid)
    finally:
        process.terminate()
        process.wait()
        if process.stdin:
            process.stdin.close()

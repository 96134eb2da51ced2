"""MCP servers of a benchmark, each a process of its own."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

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
        """CPU seconds that it has used; Linux only."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
        _wait_for(f"http://127.0.0.1:{port}/healthz")
        yield Served(f"http://127.0.0.1:{port}/mcp", process.pid)
    finally:
        process.terminate()
        process.wait()
        if process.stdin:
            process.stdin.close()


def _wait_for(url: str) -> None:
    until = time.monotonic() + START_S
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=START_S).is_success:
                return
        if time.monotonic() > until:
            raise TimeoutError(f"{url} does not answer")

"""From the start of a server's program to its first answer, and to the end of loading."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from evals.bench.deployment import cpu_s
from evals.bench.servers import served

LONGEST_S = 120.0


@dataclass(frozen=True)
class Start:
    """Seconds from the program's start until it had answered, and until all was loaded.

    Also the CPU seconds of it and its processes, the most bytes that it held, and the rows of the answer.
    """

    first_s: float
    all_s: float
    cpu_s: float
    memory: int
    rows: int


def start(module: str, data: Path, kept: Path, tool: str, arguments: dict[str, Any]) -> Start:
    """Start the program on the data, ask until it answers, and wait until all is loaded."""
    began = time.perf_counter()
    with served(module, "--data", str(data), "--data-dir", str(kept)) as server:
        rows = _asked(server.url, tool, arguments)
        first_s = time.perf_counter() - began
        while "loading" in httpx.get(server.url.replace("/mcp", "/readyz")).json():
            time.sleep(0.02)
        all_s = time.perf_counter() - began
        used_s = cpu_s(server.pid) + sum(map(cpu_s, _children(server.pid)))
        status = Path(f"/proc/{server.pid}/status").read_text()
        [most] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return Start(first_s, all_s, used_s, int(most.split()[1]) * 1024, rows)


def _children(pid: int) -> list[int]:
    return [int(each) for task in Path(f"/proc/{pid}/task").glob("*/children") for each in task.read_text().split()]


def _asked(url: str, tool: str, arguments: dict[str, Any]) -> int:
    """The rows of the answer, asked for until there is one: while it loads, a server may say so instead."""
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    headers, until = {"accept": "application/json, text/event-stream"}, time.monotonic() + LONGEST_S
    while time.monotonic() < until:
        answer: dict[str, Any] = httpx.post(url, json=request, headers=headers, timeout=LONGEST_S).json()["result"]
        if "structuredContent" in answer:
            return len(answer["structuredContent"]["rows"])
    raise RuntimeError(f"{url} gave no answer in {LONGEST_S:.0f} s: {answer}")

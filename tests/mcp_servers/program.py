"""A server over HTTP, as a program or in this process, and what a caller needs to speak to it.

A program costs a second to start. What is not about processes, signals, logs or memory needs none."""

import io
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    closing,
    contextmanager,
    redirect_stderr,
    redirect_stdout,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from mcp_servers.base import http_program, serving
from mcp_servers.base.server import CallLimits, Server
from safe_http.serving import HttpServer

REPOSITORY = Path(__file__).parents[2]
SECRET = "a secret of thirty-two characters"
HEADERS = {"Accept": "application/json, text/event-stream"}
SECONDS = 60.0


@dataclass(frozen=True)
class Listening:
    """A server that listens there."""

    url: str

    @property
    def endpoint(self) -> str:
        return f"{self.url}/mcp"


@dataclass(frozen=True)
class Program(Listening):
    """A server that is a program: its process, and the file that its stderr goes to."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def logged(self) -> list[dict[str, Any]]:
        """What it logged, line by line."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


Start = Callable[..., AbstractContextManager[Program]]
Serve = Callable[..., AbstractContextManager[Listening]]


@contextmanager
def served(module: str, folder: Path, *options: str, host: str = "127.0.0.1", **settings: str) -> Iterator[Program]:
    """`python -m module` on an inherited socket, with these settings. It is gone when the block ends."""
    log = folder / "stderr"
    with closing(socket.create_server((host, 0))) as listener, log.open("wb") as errors:
        port = listener.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", module, *options, "--fd", str(listener.fileno()), "--exit-with-stdin"],
            pass_fds=[listener.fileno()],
            cwd=REPOSITORY,
            env={**os.environ, **settings},
            stdin=subprocess.PIPE,
            stderr=errors,
        )
    with process:
        try:
            yield Program(f"http://127.0.0.1:{port}", process, log)
        finally:
            process.kill()


@contextmanager
def served_here(
    server: Server, *options: str, host: str = "127.0.0.1", secret: str | None = None
) -> Iterator[Listening]:
    """The server with these options in a thread of this process."""
    given = serving.parser("test", "").parse_args(options)
    server.limits = CallLimits(given.max_call_s, given.max_result_bytes)
    app, _ = http_program.application(server, host, serving.bounds(given, secret))
    http = HttpServer(app, ending_s=1)
    with closing(socket.create_server((host, 0))) as listener:
        thread = threading.Thread(target=http.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Listening(f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            http.should_exit = True
            thread.join()


def refused(module: str, *options: str, **settings: str) -> str:
    """What `python -m module` says that does not start. It is run in this process, which has imported the most."""
    told, out, before = io.StringIO(), io.StringIO(), os.umask(0o077)
    try:
        with pytest.MonkeyPatch.context() as patch, redirect_stderr(told), redirect_stdout(out):
            patch.setattr(sys, "argv", [module, *options])
            for name, value in settings.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                runpy.run_module(module, run_name="__main__")
    finally:
        os.umask(before)
    assert (ended.value.code, out.getvalue()) == (2, "")
    return told.getvalue()


def token(server: str, tools: str = "*", secret: str = SECRET, **claims: Any) -> str:
    """A token as the tool gateway makes it, but for an hour: tests are collected long before they run. Claims that are
    None are left out."""
    now = int(time.time())
    usual = {"iss": "tollgate", "sub": "researcher", "aud": server, "scope": tools, "iat": now, "exp": now + 3600}
    given = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    return jwt.encode(given, secret, algorithm="HS256")


def bearer(given: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {given}"}


@asynccontextmanager
async def session(program: Listening, headers: dict[str, str] | None = None) -> AsyncIterator[ClientSession]:
    """A plain client of the SDK, past the handshake."""
    async with (
        httpx.AsyncClient(headers=headers, timeout=SECONDS) as http,
        streamable_http_client(program.endpoint, http_client=http) as (read, write, _),
        ClientSession(read, write) as client,
    ):
        await client.initialize()
        yield client


def request(method: str, **params: Any) -> dict[str, Any]:
    """One message as it goes over the wire."""
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return request("tools/call", name=tool, arguments=arguments)


def until(holds: Callable[[], bool], what: str) -> None:
    """Look again and again until it holds. Fails after a minute."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, f"it did not come about: {what}"
        time.sleep(0.01)


def metric(program: Listening, name: str, **labels: str) -> float:
    """The value of a metric as Prometheus reads it; 0 while it is not there."""
    shown = "{" + ",".join(f'{key}="{value}"' for key, value in sorted(labels.items())) + "}" if labels else ""
    for line in httpx.get(f"{program.url}/metrics", timeout=SECONDS).text.splitlines():
        if line.startswith(f"{name}{shown} "):
            return float(line.split()[-1])
    return 0.0

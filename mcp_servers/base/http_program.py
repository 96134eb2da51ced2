"""Serves MCP over HTTP: middleware, probes and shutdown."""

import asyncio
import ipaddress
import os
import signal
import socket
import sys
import threading
from collections.abc import Collection
from dataclasses import dataclass

import anyio
from mcp.server.transport_security import RequestBodyLimitMiddleware
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_servers.base.access import Access
from mcp_servers.base.admission import Admission, Room
from mcp_servers.base.server import Server
from safe_http.serving import HttpServer

LOOPBACK = "127.0.0.1"
FLUSH_S = 2  # to write the last responses, and for requests that are not calls
ENDINGS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of a server over HTTP; see `serving.parser`. `hosts` None: a default by the address it listens on."""

    room: Room
    request_bytes: int
    grace_s: float
    secret: str | None
    hosts: Collection[str] | None
    origins: Collection[str]


def serve(server: Server, listener: socket.socket, bounds: Bounds, *, exit_with_stdin: bool) -> None:
    """Serve until a signal, or until stdin closes: then the parent is gone, and no call needs to finish."""
    asyncio.run(_serve(server, listener, bounds, exit_with_stdin))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return ipaddress.ip_address(host).is_loopback


def application(server: Server, host: str, bounds: Bounds) -> tuple[ASGIApp, Admission]:
    """The server as an ASGI application that listens on this address, and its admission, which can be closed."""
    server.settings.transport_security = None  # Access does it, before the body is read
    sdk = server.streamable_http_app()
    admission = Admission(sdk, server.settings.streamable_http_path, bounds.room, server.metrics)
    limited = RequestBodyLimitMiddleware(admission, bounds.request_bytes)
    hosts = bounds.hosts or ([] if is_loopback(host) else None)
    app = Access(
        Probes(limited, server, admission), server.name, secret=bounds.secret, hosts=hosts, origins=bounds.origins
    )
    return app, admission


async def _serve(server: Server, listener: socket.socket, bounds: Bounds, exit_with_stdin: bool) -> None:
    host, port = listener.getsockname()[:2]
    app, admission = application(server, host, bounds)
    http = HttpServer(app, ending_s=FLUSH_S)
    _when_told_to_stop(http, admission, bounds.grace_s)
    if exit_with_stdin:
        _when_stdin_closes(http)
    else:
        shown = f"[{host}]" if ":" in host else host
        print(f"{server.name}: http://{shown}:{port}/mcp", file=sys.stderr)  # noqa: T201
    await http.serve(sockets=[listener])


class Probes:
    """Answers /healthz (alive), /readyz (data are loaded, not stopping) and /metrics."""

    def __init__(self, app: ASGIApp, server: Server, admission: Admission) -> None:
        self._app = app
        self._server = server
        self._admission = admission
        self._answers = {"/healthz": self._alive, "/readyz": self._ready, "/metrics": self._metrics}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answers.get(scope["path"]) if scope["type"] == "http" else None
        await (self._app if answer is None else answer())(scope, receive, send)

    def _alive(self) -> Response:
        return JSONResponse({"status": "ok", "server": self._server.name})

    def _ready(self) -> Response:
        version, how_far = self._server.data.ready(), self._server.data.loading
        status = "stopping" if self._admission.closed else "loading" if version is None else "ready"
        told = {"status": status, "data_version": version, "loading": how_far}
        told = {name: value for name, value in told.items() if value}
        return JSONResponse(told, 200 if status == "ready" else 503)

    def _metrics(self) -> Response:
        return Response(self._server.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _when_told_to_stop(http: HttpServer, admission: Admission, grace_s: float) -> None:
    """On the first SIGTERM or SIGINT, refuse new calls and let running ones end; on the second, exit at once."""
    loop = asyncio.get_running_loop()
    stopping: list[asyncio.Task[None]] = []

    async def drain() -> None:
        with anyio.move_on_after(grace_s):
            await admission.close()
        http.should_exit = True

    def stop() -> None:
        for each in ENDINGS:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        stopping.append(loop.create_task(drain()))

    for each in ENDINGS:
        loop.add_signal_handler(each, stop)


def _when_stdin_closes(http: HttpServer) -> None:
    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):  # not sys.stdin: a thread that holds its lock aborts the exit
            pass
        http.should_exit = True

    threading.Thread(target=watch, daemon=True).start()

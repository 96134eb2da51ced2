"""Runs one MCP server as a program: streamable HTTP on a port or an inherited socket, or stdio."""

import argparse
import asyncio
import contextlib
import ipaddress
import os
import socket
import sys
import threading
from collections.abc import Callable

import uvicorn
from mcp.server.fastmcp import FastMCP
from mcp.types import ToolAnnotations
from starlette.requests import Request
from starlette.responses import JSONResponse

BAD_INPUT = 2
LOOPBACK = "127.0.0.1"

# Every tool of these servers only reads, gives the same answer twice and stays inside its own data.
READ_ONLY = ToolAnnotations(readOnlyHint=True, idempotentHint=True, destructiveHint=False, openWorldHint=False)


class StartupError(Exception):
    """The server cannot start with what it was given; the message says what and how to mend it."""


def new_server(name: str, instructions: str, ready: Callable[[], str | None] = lambda: "") -> FastMCP:
    """An empty server: stateless (any replica answers any call), plain JSON answers, no access log.

    `ready` gives the version of the data, or None while they are loaded. It must not block.
    """
    server: FastMCP = FastMCP(
        name, instructions=instructions, stateless_http=True, json_response=True, log_level="WARNING"
    )

    @server.custom_route("/healthz", methods=["GET"])  # type: ignore[untyped-decorator,unused-ignore]
    async def healthz(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "server": name})

    @server.custom_route("/readyz", methods=["GET"])  # type: ignore[untyped-decorator,unused-ignore]
    async def readyz(_: Request) -> JSONResponse:
        version = ready()
        if version is None:
            return JSONResponse({"status": "loading"}, status_code=503)
        return JSONResponse({"status": "ready", "data_version": version})

    return server


def parser(program: str, description: str, default_port: int) -> argparse.ArgumentParser:
    """The options that every server has. A server adds its own (`--data`) before `run`."""
    options = argparse.ArgumentParser(prog=program, description=description)
    options.add_argument("--stdio", action="store_true", help="speak MCP on stdin and stdout (desktop clients)")
    options.add_argument("--host", default=LOOPBACK, help="address to listen on (default: %(default)s)")
    options.add_argument("--port", type=int, default=default_port, help="port to listen on (default: %(default)s)")
    options.add_argument("--fd", type=int, help="serve on this inherited, listening socket instead of a port")
    options.add_argument("--exit-with-stdin", action="store_true", help="stop when stdin closes: no orphan")
    return options


def run(build: Callable[[argparse.Namespace], FastMCP], options: argparse.Namespace) -> None:
    """Serve until told to stop. Exits with code 2 and one line when it cannot start."""
    try:
        listener = None if options.stdio else _listener(options)
        server = build(options)
    except StartupError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(BAD_INPUT) from error
    if listener is None:
        server.run("stdio")
    else:
        _serve_http(server, listener, exit_with_stdin=options.exit_with_stdin)


def _listener(options: argparse.Namespace) -> socket.socket:
    if options.fd is not None:
        return socket.socket(fileno=options.fd)
    try:
        return socket.create_server((options.host, options.port))
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise StartupError(
            f"cannot listen on {options.host}:{options.port} ({reason}); choose another with --port"
        ) from error


def _serve_http(server: FastMCP, listener: socket.socket, *, exit_with_stdin: bool) -> None:
    host, port = listener.getsockname()[:2]
    if not ipaddress.ip_address(host).is_loopback:
        # By default only names of loopback are answered, against web pages that rebind a name to it. Other machines
        # call this one by a name that it cannot know; what listens to them is guarded by its network.
        server.settings.transport_security = None
    http = uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="warning", lifespan="on"))
    if exit_with_stdin:
        threading.Thread(target=_stop_when_stdin_closes, args=(http,), daemon=True).start()
    else:
        print(f"{server.name}: http://{host}:{port}/mcp", file=sys.stderr)  # noqa: T201
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(http.serve(sockets=[listener]))


def _stop_when_stdin_closes(http: uvicorn.Server) -> None:
    # Not sys.stdin: a thread that holds its lock makes the interpreter abort at exit.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    http.should_exit = True

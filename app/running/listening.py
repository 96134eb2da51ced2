"""A small program of ours: serves an application on a port, or on a socket that its parent has bound."""

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

from starlette.types import ASGIApp

from app.running import stdin
from safe_http.serving import HttpServer

BAD_INPUT = 2


def parser(program: str, description: str, port: int) -> argparse.ArgumentParser:
    """A parser with the options of every such program."""
    options = argparse.ArgumentParser(prog=program, description=description)
    options.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    options.add_argument("--port", type=int, default=port, help="port to listen on (default: %(default)s)")
    options.add_argument("--fd", type=int, help="serve on this inherited, listening socket instead of a port")
    options.add_argument("--exit-with-stdin", action="store_true", help="stop when stdin closes: no orphan")
    return options


def serve(app: ASGIApp, options: argparse.Namespace, name: str, ending_s: int, *, lifespan: bool = False) -> None:
    """Serve until told to stop; requests in flight then get `ending_s` to end. Exits with code 2 and one line when it
    cannot listen."""
    listener = _listener(options)
    http = HttpServer(app, ending_s=ending_s, lifespan="on" if lifespan else "off")

    def stop() -> None:
        http.should_exit = True

    if options.exit_with_stdin:
        stdin.when_it_closes(stop)
    else:
        host, port = listener.getsockname()[:2]
        print(f"{name}: http://{host}:{port}/v1", file=sys.stderr)  # noqa: T201
    asyncio.run(_serve(http, listener, stop))


def fail(message: str) -> NoReturn:
    """Say why in one line, and exit with the code of bad input."""
    print(f"error: {message}", file=sys.stderr)  # noqa: T201
    raise SystemExit(BAD_INPUT)


async def _serve(http: HttpServer, listener: socket.socket, stop: Callable[[], None]) -> None:
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop)
    await http.serve([listener])


def _listener(options: argparse.Namespace) -> socket.socket:
    if options.fd is not None:
        return socket.socket(fileno=options.fd)
    try:
        return socket.create_server((options.host, options.port))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        fail(f"cannot listen on {options.host}:{options.port} ({reason}); choose another with --port")

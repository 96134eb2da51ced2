"""Runs one MCP server as a program: streamable HTTP on a port or an inherited socket, or stdio."""

import argparse
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable

import httpx
from mcp.types import ToolAnnotations

from mcp_servers.base import http_program
from mcp_servers.base.access import SECRET_CHARS
from mcp_servers.base.admission import Room
from mcp_servers.base.http_program import LOOPBACK, Bounds, is_loopback
from mcp_servers.base.observing import configure_logs
from mcp_servers.base.server import CallLimits, Data, NoData, Server
from mcp_servers.base.tracing import export_spans, is_on
from safe_http.shown import shown

BAD_INPUT = 2
SECRET = "TOLLGATE_MCP_SECRET"  # noqa: S105  its name
LEVELS = ("info", "warning", "error")

# Every tool of these servers is read-only, idempotent and limited to its own data.
READ_ONLY = ToolAnnotations(readOnlyHint=True, idempotentHint=True, destructiveHint=False, openWorldHint=False)


logger = logging.getLogger(__name__)


class StartupError(Exception):
    """The server cannot start with its options; the message says what is wrong and how to fix it."""


def new_server(name: str, instructions: str, data: Data | None = None) -> Server:
    """A server without tools. `data`: see `Server`."""
    return Server(name, instructions, data or NoData())


def parser(program: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options of every server. A server adds its own (`--data`) before `run`."""
    options = argparse.ArgumentParser(prog=program, description=description)
    options.add_argument("--stdio", action="store_true", help="speak MCP on stdin and stdout (desktop clients)")
    options.add_argument("--host", default=LOOPBACK, help="address to listen on (default: %(default)s)")
    options.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one, which is logged)")
    options.add_argument("--fd", type=int, help="serve on this inherited listening socket instead of a port")
    options.add_argument("--exit-with-stdin", action="store_true", help="stop when stdin closes: no orphan")
    options.add_argument(
        "--log-level", choices=LEVELS, help="info has a line per call (default: info over HTTP, warning over stdio)"
    )
    limits = options.add_argument_group("limits, over HTTP unless stated otherwise")
    for name, default, what in (
        ("--max-calls", 8, "calls served at once"),
        ("--max-waiting", 256, "calls that may wait; more are answered `busy`"),
        ("--max-wait-s", 2.0, "seconds that a call waits for a slot before it is answered `busy`"),
        ("--max-call-s", 30.0, "seconds that a call may take, over stdio too"),
        ("--max-result-bytes", 2**20, "bytes of a result, over stdio too"),
        ("--max-request-bytes", 2**20, "bytes of a request"),
        ("--grace-s", 20.0, "seconds that running calls get to end at shutdown"),
    ):
        limits.add_argument(name, type=positive(type(default)), default=default, help=f"{what} (default: {default})")
    names = options.add_argument_group("names, over HTTP")
    names.add_argument("--allowed-host", action="append", help="a Host name of this server; unset: see README")
    names.add_argument("--allowed-origin", action="append", help="a web origin that may call: https://chat.example.org")
    return options


def takes_url(options: argparse.ArgumentParser, name: str, what: str) -> None:
    """Add the options `--name-url` and `--name-url-variable`, which exclude each other; `url` reads them."""
    group = options.add_mutually_exclusive_group()
    group.add_argument(f"--{name}-url", metavar="URL", help=what)
    group.add_argument(
        f"--{name}-url-variable",
        metavar="NAME",
        help="environment variable that holds it, hidden from other users",
    )


def url(given: argparse.Namespace, name: str) -> str | None:
    """The URL from either option, without a trailing slash. Raises StartupError."""
    option = f"--{name}-url"
    address: str | None = getattr(given, f"{name}_url")
    if variable := getattr(given, f"{name}_url_variable"):
        option, address = variable, os.environ.get(variable)
        if not address:
            raise StartupError(f"--{name}-url-variable names {variable}, which is not set")
    elif address and "@" in address:
        raise StartupError(
            f"all users of this machine can read a password in {option}; put the URL into an environment variable and "
            f"pass its name as {option}-variable"
        )
    return address and checked_url(option, address)


def checked_url(name: str, address: str) -> str:
    """The address without a trailing slash. Raises StartupError unless it is HTTP."""
    try:
        read = httpx.URL(address)
    except httpx.InvalidURL:
        read = httpx.URL()
    if read.scheme not in {"http", "https"} or not read.host:
        raise StartupError(f"{name} {shown(address)} is not an http(s) address")
    return address.rstrip("/")


def run(build: Callable[[argparse.Namespace], Server], options: argparse.Namespace) -> None:
    """Serve until told to stop. Exits with code 2 and a one-line error if it cannot start."""
    os.umask(0o077)  # only the owner may read copies of the data
    try:
        secret = _secret()
        listener = None if options.stdio else _listener(options, secret)
        server = build(options)
    except StartupError as error:
        _tell(error)
        raise SystemExit(BAD_INPUT) from error
    configure_logs(server.name, options.log_level or ("warning" if options.stdio else "info"), os.environ)
    server.limits = CallLimits(options.max_call_s, options.max_result_bytes)
    flush = export_spans(server.name) if is_on(os.environ) else None
    threading.Thread(target=_end_without_data, args=(server.data,), daemon=True).start()
    if listener is None:
        server.run("stdio")
    else:
        http_program.serve(server, listener, bounds(options, secret), exit_with_stdin=options.exit_with_stdin)
    if flush:
        flush()
    # Not by way of the interpreter's end, at which DuckDB would report every object that is still alive as leaked.
    for stream in (sys.stdout, sys.stderr):
        if not stream.closed:  # stdio closes its own
            stream.flush()
    os._exit(0)


def _end_without_data(data: Data) -> None:
    """End the program if its data, which were still being loaded when it began to serve, cannot be read."""
    try:
        data.first_load()
    except StartupError as error:
        _tell(error)
    except Exception:
        logger.exception("the data cannot be loaded")
    else:
        return
    os._exit(BAD_INPUT)


def _tell(error: StartupError) -> None:
    said = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in str(error))
    print(f"error: {said}", file=sys.stderr)  # noqa: T201  file names may contain control sequences


def bounds(options: argparse.Namespace, secret: str | None) -> Bounds:
    """What the options say of limits and names."""
    return Bounds(
        room=Room(options.max_calls, options.max_waiting, options.max_wait_s),
        request_bytes=options.max_request_bytes,
        grace_s=options.grace_s,
        secret=secret,
        hosts=options.allowed_host,
        origins=options.allowed_origin or [],
    )


def _secret() -> str | None:
    """The key that signs tokens. Not an argument: everybody on the machine can read those."""
    secret = os.environ.get(SECRET) or None
    if secret is not None and len(secret) < SECRET_CHARS:
        raise StartupError(f"{SECRET} is shorter than {SECRET_CHARS} characters; make one: openssl rand -hex 32")
    return secret


def _listener(options: argparse.Namespace, secret: str | None) -> socket.socket:
    listener = socket.socket(fileno=options.fd) if options.fd is not None else _bound(options.host, options.port)
    host = listener.getsockname()[0]
    if secret is None and not is_loopback(host):
        listener.close()
        raise StartupError(f"others can reach {host}, and there is no {SECRET}; set one, or listen on {LOOPBACK} only")
    return listener


def _bound(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise StartupError(f"cannot listen on {host}:{port} ({reason}); choose another with --port") from error


def positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    """A parser of options that are numbers above 0."""

    def number(text: str) -> float:
        value = kind(text)
        if not value > 0:
            raise ValueError
        return value

    number.__name__ = f"positive {kind.__name__}"  # argparse names it in its message
    return number

"""`python -m app.stand_in`: serve the rules on a port or on an inherited socket."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable

from app.config import ports
from app.running import stdin
from app.stand_in.dialects import DIALECTS
from app.stand_in.faults import PROFILES
from app.stand_in.server import build
from safe_http.serving import HttpServer

BAD_INPUT = 2
CUT_OFF = "without completing response"  # uvicorn's complaint of an answer that breaks off on purpose
LAST_ANSWERS_S = 1  # a client that waits for an answer must not keep the program from ending


def main() -> None:
    """Serves until told to stop; exits with code 2 and one line when it cannot listen."""
    options = _options()
    listener = _listener(options)
    logging.getLogger("uvicorn.error").addFilter(lambda record: CUT_OFF not in record.getMessage())
    app = build(options.latency_ms, PROFILES[options.profile], DIALECTS[options.dialect])
    http = HttpServer(app, ending_s=LAST_ANSWERS_S, lifespan="off")

    def stop() -> None:
        http.should_exit = True

    if options.exit_with_stdin:
        stdin.when_it_closes(stop)
    else:
        host, port = listener.getsockname()[:2]
        print(f"rule-based stand-in model: http://{host}:{port}/v1", file=sys.stderr)  # noqa: T201
    asyncio.run(_serve(http, listener, stop))


async def _serve(http: HttpServer, listener: socket.socket, stop: Callable[[], None]) -> None:
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop)
    await http.serve([listener])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="app.stand_in", description="OpenAI wire format over rules.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=ports.STAND_IN, help="port to listen on (default: %(default)s)")
    parser.add_argument("--fd", type=int, help="serve on this inherited, listening socket instead of a port")
    parser.add_argument("--exit-with-stdin", action="store_true", help="stop when stdin closes: no orphan")
    parser.add_argument("--latency-ms", type=int, default=0, help="wait before each completion, milliseconds")
    told = "; ".join(f"{name}: {profile.says}" for name, profile in PROFILES.items())
    parser.add_argument("--profile", choices=list(PROFILES), default="honest", help=f"how the model behaves. {told}")
    told = "; ".join(f"{name}: {dialect.says}" for name, dialect in DIALECTS.items())
    parser.add_argument("--dialect", choices=list(DIALECTS), default="plain", help=f"which server it is. {told}")
    return parser.parse_args()


def _listener(options: argparse.Namespace) -> socket.socket:
    if options.fd is not None:
        return socket.socket(fileno=options.fd)
    try:
        return socket.create_server((options.host, options.port))
    except OSError as error:
        where = f"{options.host}:{options.port}"
        reason = os.strerror(error.errno) if error.errno else str(error)
        message = f"error: cannot listen on {where} ({reason}); choose another with --port"
        print(message, file=sys.stderr)  # noqa: T201
        raise SystemExit(BAD_INPUT) from error


if __name__ == "__main__":
    main()

"""`python -m app.healthcheck [PID]`: whether the program that runs as PID can do its work; in a container it is PID 1.

One check serves every role of the image: the command line of the program says what it is. What serves HTTP is asked for
`/healthz`, an MCP server whether its data are there (`/readyz`), which also has them loaded. A worker listens on
nothing, so it is asked whether it runs and reaches its Redis; one that hangs loses its lease, and another goes on with
its job. Exits with 0 or, after one line on stderr, with 1, as Docker wants it.
"""

import argparse
import http.client
import sys
from pathlib import Path

from app.config import ports
from app.observing.terminals import keep_terminals_harmless

SERVING = {"api": ports.API, "serve": ports.API, "app.stand_in": ports.STAND_IN, **ports.MCP}
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  asked on loopback
TIMEOUT_S = 3.0
STOPPED = {"T", "t", "Z"}  # states in /proc: stopped, traced, ended


class Unhealthy(Exception):
    """The program cannot do its work; the message says why."""


def main() -> None:
    """Check PID, 1 unless one is given."""
    keep_terminals_harmless()  # command lines are shown
    try:
        check(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    except Exception as error:
        print(f"unhealthy: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from error


def check(pid: int) -> None:
    """Returns when the program is healthy.

    Raises:
        Unhealthy: it is stopped, answers with an error, or is none of ours.
        Exception: it cannot be found or reached.
    """
    command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    if _state(pid) in STOPPED:
        raise Unhealthy(f"process {pid} does not run")
    if (at := address(command)) is None:
        _reaches_redis()
    else:
        _answers(*at)


def address(command: list[str]) -> tuple[str, int, str] | None:
    """Host, port and path to ask the program with this command line at; None for a worker. Raises Unhealthy for any
    other."""
    roles = [word.removeprefix("mcp_servers.") for word in command]
    role = next((word for word in roles if word in SERVING or word == "worker"), None)
    if role is None:
        raise Unhealthy(f"not a program of ours: {' '.join(command).strip()}")
    if role == "worker":
        return None
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=SERVING[role])
    options, _ = parser.parse_known_args([word for word in command if word not in {"", "--"}])
    path = "/readyz" if role in ports.MCP else "/healthz"
    return WILDCARDS.get(options.host, options.host), options.port, path


def _state(pid: int) -> str:
    """One letter, as proc(5) has it. The name before it may hold anything, parentheses too."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _answers(host: str, port: int, path: str) -> None:
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    finally:
        connection.close()
    if status != http.client.OK:
        raise Unhealthy(f"http://{host}:{port}{path} answers {status}")


def _reaches_redis() -> None:
    from redis import Redis  # noqa: PLC0415  heavy, and only workers need it

    from app.config import settings as configuration  # noqa: PLC0415

    if url := configuration.load().redis_url:
        with Redis.from_url(
            url.get_secret_value(), socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        ) as client:
            client.ping()


if __name__ == "__main__":
    main()

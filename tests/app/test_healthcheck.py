"""The health check of the image, on real processes whose command line says what they are."""

import http.server
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.config import ports
from app.healthcheck import Unhealthy, address
from tests.app.command_line import environment

ROOT = Path(__file__).parents[2]
PYTHON = "/opt/tollgate/bin/python"


@contextmanager
def program(*words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process with these words in its command line, that does nothing until the block ends."""
    waits = "import sys; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", waits, *words], stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def answering(status: int, path: str = "/healthz") -> Iterator[int]:
    """The port of a server where this path has this status, and no other exists."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == path else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def checked(pid: int, **settings: str) -> tuple[int, str]:
    """Exit code and last line of the check."""
    ended = subprocess.run(
        [sys.executable, "-m", "app.healthcheck", str(pid)],
        cwd=ROOT,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stderr.strip()


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (f"{PYTHON} /opt/tollgate/bin/tollgate api", ("127.0.0.1", ports.API, "/healthz")),
        (f"{PYTHON} /opt/tollgate/bin/tollgate api --host 0.0.0.0 --port 9000", ("127.0.0.1", 9000, "/healthz")),
        (f"{PYTHON} /opt/tollgate/bin/tollgate serve --host=:: --port=9000", ("::1", 9000, "/healthz")),
        (f"{PYTHON} /opt/tollgate/bin/tollgate worker", None),
        (
            f"{PYTHON} -m mcp_servers.sales --data-dir /data --host 10.0.0.7",
            ("10.0.0.7", ports.MCP["sales"], "/readyz"),
        ),
        ("/sbin/docker-init -- tollgate mcp analytics --port 9000", ("127.0.0.1", 9000, "/readyz")),
        (f"{PYTHON} -P -m app.stand_in --host 0.0.0.0", ("127.0.0.1", ports.STAND_IN, "/healthz")),
    ],
)
def test_a_command_line_says_where_its_program_answers(command: str, found: tuple[str, int, str] | None) -> None:
    assert address([*command.split(), ""]) == found


def test_a_program_of_others_is_unhealthy() -> None:
    with pytest.raises(Unhealthy, match="not a program of ours: /bin/sh -c true"):
        address(["/bin/sh", "-c", "true"])


@pytest.mark.parametrize(
    ("role", "path"),
    [(["api"], "/healthz"), (["mcp", "sales"], "/readyz"), (["app.stand_in"], "/healthz")],
    ids=str,
)
def test_what_serves_is_healthy_while_it_says_so(role: list[str], path: str) -> None:
    with answering(200, path) as port, program(*role, "--port", str(port)) as process:
        assert checked(process.pid) == (0, "")


def test_what_answers_with_an_error_is_unhealthy() -> None:
    with answering(503) as port, program("api", "--port", str(port)) as process:
        assert checked(process.pid) == (1, f"unhealthy: http://127.0.0.1:{port}/healthz answers 503")


def test_what_does_not_answer_is_unhealthy() -> None:
    with program("api", "--port", "1") as process:
        code, told = checked(process.pid)
    assert code == 1
    assert "Connection refused" in told


def test_a_worker_is_healthy_while_it_reaches_its_redis(redis_url: str) -> None:
    with program("worker") as process:
        assert checked(process.pid, REDIS_URL=redis_url) == (0, "")
        code, told = checked(process.pid, REDIS_URL="redis://127.0.0.1:1")
    assert code == 1
    assert told.startswith("unhealthy: ")


def test_a_stopped_worker_is_unhealthy(redis_url: str) -> None:
    with program("worker") as process:
        process.send_signal(signal.SIGSTOP)
        code, told = checked(process.pid, REDIS_URL=redis_url)
    assert (code, told) == (1, f"unhealthy: process {process.pid} does not run")


def test_a_process_that_is_gone_is_unhealthy() -> None:
    with program("worker") as process:
        pass
    assert checked(process.pid)[0] == 1

"""The health check of the image, as a process beside real servers."""

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.app.command_line import environment

ROOT = Path(__file__).parents[2]


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


def checked(*url: str, **settings: str) -> tuple[int, str]:
    """Exit code and last line of the check."""
    ended = subprocess.run(
        [sys.executable, "-m", "app.healthcheck", *url],
        cwd=ROOT,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stderr.strip()


def test_what_serves_is_healthy_while_it_says_so() -> None:
    with answering(200, "/readyz") as port:
        assert checked(f"http://127.0.0.1:{port}/readyz", http_proxy="http://127.0.0.1:1") == (0, "")
        assert checked(f"http://127.0.0.1:{port}/healthz")[0] == 1


def test_what_answers_with_an_error_is_unhealthy() -> None:
    with answering(503) as port:
        url = f"http://127.0.0.1:{port}/healthz"
        assert checked(url) == (1, f"unhealthy: {url} answers 503")


def test_what_does_not_answer_is_unhealthy() -> None:
    code, told = checked("http://127.0.0.1:1/healthz")
    assert code == 1
    assert "Connection refused" in told


def test_a_worker_is_healthy_while_it_reaches_its_redis(redis_url: str) -> None:
    assert checked(REDIS_URL=redis_url) == (0, "")
    code, told = checked(REDIS_URL="redis://127.0.0.1:1")
    assert code == 1
    assert told.startswith("unhealthy: ")

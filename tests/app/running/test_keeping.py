"""Programs that are kept running: real ones, which die, hang and cannot start."""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import httpx
import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from app.config.settings import Settings, child_environment
from app.running.keeping import LONGEST_PAUSE_S, pause
from app.running.processes import end, redis_running
from app.running.servers import Server
from tests.app.command_line import tollgate
from tests.app.store.test_redis_embedded import ask, server_of

# Answers every request with its process id; at /die it ends without an answer.
ANSWERS = """
import http.server, os, socket, sys, threading

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/die":
            os._exit(3)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())

server = http.server.HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1]))
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
"""


@contextmanager
def kept(folder: Path, hangs_s: float = 30) -> Iterator[Server]:
    """A server that answers, kept running until the block ends."""
    server = Server("answers", ["-c", ANSWERS], child_environment({}), folder, hangs_s)
    server.keep()
    try:
        server.wait_until_up(30)
        yield server
    finally:
        end([server])


def pid_of(server: Server) -> int:
    """What it answers with; a call that is made while it does not run waits."""
    return int(httpx.get(server.address, timeout=30).text)


def said(caplog: pytest.LogCaptureFixture, line: str) -> str:
    """A line of the log that matches, waited for."""
    until = time.monotonic() + 30
    while not (found := [each for each in caplog.messages if re.fullmatch(line, each)]):
        assert time.monotonic() < until, caplog.messages
        time.sleep(0.01)
    return found[0]


def test_a_server_that_is_killed_answers_the_call_that_came_meanwhile(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with kept(tmp_path) as server:
        before = pid_of(server)
        os.kill(before, signal.SIGKILL)
        assert pid_of(server) != before
    assert caplog.messages == ["answers: ended by signal 9 (Killed); restarting"]


@pytest.mark.slow
def test_one_that_dies_again_and_again_is_started_after_growing_pauses_in_which_callers_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with kept(tmp_path) as server:
        for seconds in ("", " in 0.5 s", " in 1 s", " in 2 s"):
            with pytest.raises(httpx.RemoteProtocolError):
                httpx.get(f"{server.address}/die", timeout=30)
            said(caplog, f"answers: ended with exit code 3; restarting{seconds}")
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.address)
        with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as patient:
            assert patient.get(server.address).is_success


def test_pauses_grow_up_to_the_longest_and_no_more() -> None:
    pauses = [pause(failures) for failures in range(1000)]
    assert pauses[:4] == [0, 0.5, 1, 2]
    assert sorted(pauses) == pauses
    assert pauses[-1] == LONGEST_PAUSE_S
    assert len(list(takewhile(lambda each: each < LONGEST_PAUSE_S, pauses))) < 10


@pytest.mark.slow
def test_one_that_hangs_is_killed_and_started_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with kept(tmp_path, hangs_s=0.5) as server:
        before = pid_of(server)
        os.kill(before, signal.SIGSTOP)
        assert pid_of(server) != before
    assert caplog.messages == [
        "answers: did not answer for 0.5 s; killed",
        "answers: ended by signal 9 (Killed); restarting",
    ]


@pytest.mark.slow
def test_one_that_cannot_start_ends_serve_with_its_last_line(tmp_path: Path, beside: dict[str, str]) -> None:
    del beside["MCP__SALES__URL"]
    began = time.monotonic()
    ended = tollgate(tmp_path, "serve", "--port", "0", **beside, TOLLGATE_SALES_DATA="nowhere.csv")
    assert time.monotonic() - began < 40, "a worker that looks for the source ends when it is told to"
    assert ended.stderr.count("All connection attempts failed") < 10
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("error: sales did not start: "), ended.stderr


@pytest.mark.slow
def test_the_embedded_store_is_started_again_with_what_it_held(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_running(Settings(_env_file=None, data_dir=tmp_path)) as url:
        ask(url, "SET", "state", "kept")
        before = server_of(url)
        os.kill(before, signal.SIGKILL)
        said(caplog, "redis: has died; restarting")
        patient = Retry(ConstantBackoff(0.01), retries=1000)
        with redis.Redis.from_url(url, retry=patient) as client:
            assert client.get("state") == b"kept"
        assert server_of(url) != before

"""The embedded server, with real servers and real second processes."""

import contextlib
import os
import platform
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import redis

from app.store import embedded_redis as module
from app.store.embedded_redis import EmbeddedRedisError, embedded_redis

ROOT = Path(__file__).parents[3]

# Prints the URL and stays until stdin closes. After Ctrl-C it writes a key first, as a job writes its state.
USER = """
import sys
from pathlib import Path
from app.store.embedded_redis import embedded_redis

with embedded_redis(Path(sys.argv[1])) as url:
    try:
        print(url, flush=True)
        sys.stdin.read()
    except KeyboardInterrupt:
        import redis
        redis.Redis.from_url(url).set("state", "written after Ctrl-C")
"""


class User:
    """Another process that uses the embedded server, in a process group of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.url = process.stdout.readline().strip()

    def leave(self) -> None:
        out, errors = self.process.communicate(timeout=30)
        assert (self.process.returncode, out, errors) == (0, "", "")

    def send(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)


@contextlib.contextmanager
def another_user(data_dir: Path) -> Iterator[User]:
    with subprocess.Popen(
        [sys.executable, "-c", USER, str(data_dir)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield User(process)
        finally:
            if process.poll() is None:
                process.communicate(timeout=30)


def ask(url: str, *command: str) -> Any:
    with redis.Redis.from_url(url) as client:
        return client.execute_command(*command)


def server_of(url: str) -> int:
    return int(ask(url, "INFO", "server")["process_id"])


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def runs(pid: int) -> bool:
    """False also for a zombie: an orphan that ended waits for init, which is slow in some containers."""
    status = Path(f"/proc/{pid}/stat")
    try:
        return exists(pid) and not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_it_starts_with_the_first_user_and_nothing_is_left_after_the_last(tmp_path: Path) -> None:
    with embedded_redis(tmp_path) as url:
        pid = server_of(url)
        assert os.getsid(pid) != os.getsid(0)
        assert stat.S_IMODE((tmp_path / "redis").stat().st_mode) == 0o700
    assert not exists(pid)
    assert not (tmp_path / "redis" / "valkey.sock").exists()


def test_it_keeps_everything_and_evicts_nothing(tmp_path: Path) -> None:
    with embedded_redis(tmp_path) as url:
        info = ask(url, "INFO")
        assert info["server_name"] == "valkey"
        assert (info["aof_enabled"], info["maxmemory_policy"], info["tcp_port"]) == (1, "noeviction", 0)
        ask(url, "SET", "state", "kept")
    with embedded_redis(tmp_path) as url:
        assert ask(url, "GET", "state") == b"kept"


def test_the_first_comer_may_leave_first(tmp_path: Path) -> None:
    with another_user(tmp_path) as first, embedded_redis(tmp_path) as url:
        pid = server_of(first.url)
        assert server_of(url) == pid
        first.leave()
        assert server_of(url) == pid
    assert not runs(pid)


def test_the_second_comer_may_leave_first(tmp_path: Path) -> None:
    with embedded_redis(tmp_path) as url:
        pid = server_of(url)
        with another_user(tmp_path) as second:
            assert server_of(second.url) == pid
            second.leave()
        assert server_of(url) == pid
    assert not exists(pid)


@pytest.mark.slow
def test_a_starter_that_lives_on_leaves_no_zombie(tmp_path: Path) -> None:
    starter, last = contextlib.ExitStack(), contextlib.ExitStack()
    with last, starter:
        pid = server_of(starter.enter_context(embedded_redis(tmp_path)))
        last.enter_context(embedded_redis(tmp_path))
        starter.close()
        assert runs(pid)
    reapers = [each for each in threading.enumerate() if each.name == "embedded-redis-reaper"]
    for each in reapers:
        each.join(10)
    assert not exists(pid)


def test_two_data_folders_have_two_servers(tmp_path: Path) -> None:
    with embedded_redis(tmp_path / "a") as one, embedded_redis(tmp_path / "b") as other:
        assert server_of(one) != server_of(other)


def test_users_who_come_and_go_at_once_share_one_history(tmp_path: Path) -> None:
    def visit(_: int) -> None:
        with embedded_redis(tmp_path) as url:
            ask(url, "INCR", "visits")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(visit, range(60)))
    with embedded_redis(tmp_path) as url:
        assert ask(url, "GET", "visits") == b"60"


def test_after_kill_9_of_the_only_user_the_next_one_takes_over(tmp_path: Path) -> None:
    with another_user(tmp_path) as user:
        pid = server_of(user.url)
        ask(user.url, "SET", "state", "of the killed one")
        user.send(signal.SIGKILL)
        user.process.wait()
    assert runs(pid)
    with embedded_redis(tmp_path) as url:
        assert server_of(url) == pid
        assert ask(url, "GET", "state") == b"of the killed one"
    assert not runs(pid)


def test_after_kill_9_of_the_server_the_next_user_brings_the_data_back(tmp_path: Path) -> None:
    with embedded_redis(tmp_path) as url:
        ask(url, "SET", "state", "logged")
        pid = server_of(url)
        os.kill(pid, signal.SIGKILL)
        assert (tmp_path / "redis" / "valkey.sock").exists()
        with another_user(tmp_path) as second:
            assert ask(second.url, "GET", "state") == b"logged"
            assert ask(url, "GET", "state") == b"logged"
            second.leave()
        successor = server_of(url)
        assert successor != pid
    assert not runs(successor)


def test_it_is_handed_over_only_when_all_data_is_loaded(tmp_path: Path) -> None:
    fill = "for i = 1, 30000 do redis.call('SET', 'key:' .. ARGV[1] .. i, i) end"
    with embedded_redis(tmp_path) as url:
        for part in range(10):
            ask(url, "EVAL", fill, "0", f"{part}:")
    with embedded_redis(tmp_path) as url:
        assert ask(url, "DBSIZE") == 300_000


def test_ctrl_c_reaches_the_user_and_not_the_server(tmp_path: Path) -> None:
    with another_user(tmp_path) as user:
        pid = server_of(user.url)
        user.send(signal.SIGINT)
        user.leave()
    assert not exists(pid)
    with embedded_redis(tmp_path) as url:
        assert ask(url, "GET", "state") == b"written after Ctrl-C"


def test_an_error_of_the_user_passes_through_and_the_server_ends(tmp_path: Path) -> None:
    seen = []

    def work(url: str) -> None:
        seen.append(server_of(url))
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="disk on fire"), embedded_redis(tmp_path) as url:
        work(url)
    assert not exists(*seen)


@pytest.mark.parametrize("name", ["with space", "quo'te\"", "per%25cent", "what?#é"])
def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    with embedded_redis(tmp_path / name) as url:
        assert ask(url, "PING")
    assert (tmp_path / name / "redis" / "valkey.log").exists()


def test_a_relative_folder_is_taken_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with embedded_redis(Path(".data")) as url:
        monkeypatch.chdir("/")
        assert ask(url, "PING")
    assert (tmp_path / ".data" / "redis" / "valkey.log").exists()


def test_a_path_too_long_for_a_socket_gets_a_private_alias(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        far = tmp_path / ("far-" * 30)
        with embedded_redis(far) as url, another_user(far) as second:
            alias = Path(unquote(urlsplit(url).path)).parent
            assert alias.parent.parent == Path(short)
            assert stat.S_IMODE(alias.parent.stat().st_mode) == 0o700
            assert server_of(second.url) == server_of(url)
            second.leave()
        assert list(Path(short).iterdir()) == []


def test_a_broken_file_is_refused_with_the_words_of_the_server(tmp_path: Path) -> None:
    with embedded_redis(tmp_path) as url:
        ask(url, "SET", "state", "kept")
    for log in (tmp_path / "redis" / "appendonlydir").glob("*.incr.aof"):
        log.write_bytes(b"*1\r\nnot an append-only file\r\n")
    with pytest.raises(EmbeddedRedisError) as caught, embedded_redis(tmp_path):
        pytest.fail("it started")
    text = str(caught.value)
    assert "did not start" in text
    assert "Bad file format" in text
    assert str(tmp_path / "redis" / "valkey.log") in text
    assert "\n" not in text


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    with (
        pytest.raises(EmbeddedRedisError, match=r"cannot use .*data/redis"),
        embedded_redis(tmp_path / "data"),
    ):
        pytest.fail("it started")


def test_a_machine_without_the_server_is_told_to_set_redis_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "pdp11")
    with pytest.raises(EmbeddedRedisError, match=r"pdp11; set REDIS_URL"), embedded_redis(tmp_path):
        pytest.fail("it started")


def test_a_server_that_hangs_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded_redis(tmp_path) as url:
        pid = server_of(url)
        os.kill(pid, signal.SIGSTOP)
        try:
            monkeypatch.setattr(module, "START_S", 0.05)
            with pytest.raises(EmbeddedRedisError, match="did not answer"), embedded_redis(tmp_path):
                pytest.fail("it attached")
        finally:
            os.kill(pid, signal.SIGCONT)
        assert server_of(url) == pid
    assert not exists(pid)


def test_a_server_that_does_not_end_is_reported_and_then_replaced(tmp_path: Path) -> None:
    user = contextlib.ExitStack()
    pid = server_of(user.enter_context(embedded_redis(tmp_path)))
    os.kill(pid, signal.SIGSTOP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "STOP_S", 0.05)
        with pytest.raises(EmbeddedRedisError, match="did not end"):
            user.close()
    os.kill(pid, signal.SIGCONT)
    with embedded_redis(tmp_path) as url:
        assert server_of(url) != pid
    assert not runs(pid)


def test_who_cannot_get_a_turn_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with another_user(tmp_path) as busy:
        with module._turn(tmp_path / "redis"):
            monkeypatch.setattr(module, "START_S", 0.0)
            monkeypatch.setattr(module, "STOP_S", 0.05)
            with pytest.raises(EmbeddedRedisError, match="another process"), embedded_redis(tmp_path):
                pytest.fail("it attached")
        busy.leave()

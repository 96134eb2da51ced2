"""Keeps servers running on this machine, at a fixed address.

Each inherits a bound listening socket: its address is known before it runs, and early connections wait in the backlog.
The socket stays open here, so calls made during a restart are answered after it. Before a longer pause it is closed, so
that callers are refused at once and can go on without it. The next start binds the same port, which others know.

A server that hangs is killed and restarted too.
"""

import contextlib
import http.client
import json
import logging
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.config.folders import private
from app.errors import BadInput, OperatorMustAct
from app.running.keeping import FIRST_LOOK_S, LOOK_S, Program

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
PATIENCE_S = 1.0  # before a longer pause, callers are refused
HANGS_S = 30.0
QUESTIONS = 6  # health checks within `hangs_s`
QUESTION = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


class Server(Program):
    """A program that listens on a fixed port of this machine, and has its own log file.

    Args:
        name, arguments, environment: see `Program`.
        data_dir: parent of the log folder.
        hangs_s: seconds without an answer after which it is killed.

    Raises BadInput if the log cannot be written.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        data_dir: Path,
        hangs_s: float = HANGS_S,
    ) -> None:
        super().__init__(name, arguments, environment)
        self._hangs_s = hangs_s
        self.log = data_dir / "logs" / f"{name}.log"
        try:
            private(self.log.parent)
            self.log.write_bytes(b"")
        except OSError as error:
            raise BadInput(
                f"cannot write to the data folder {data_dir} ({error.strerror}); set TOLLGATE_DATA_DIR"
            ) from error
        self._listener: socket.socket | None = socket.create_server((LOOPBACK, 0))
        self._port: int = self._listener.getsockname()[1]
        self._question: socket.socket | None = None
        self._ask_at = self._silent_since = 0.0

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self._port}"

    def check(self) -> None:
        """Raises BadInput with its last log line if its first start failed."""
        if self._gives_up():
            lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
            why = lines[-1].removeprefix("error: ") if lines else f"exit code {self._process.returncode}"
            raise BadInput(f"{self.name} did not start: {why}")

    def wait_until_up(self, seconds: float) -> None:
        """Wait until it answers.

        Raises:
            BadInput: its first start failed; the message has its last log line.
            OperatorMustAct: it did not answer in time.
        """
        until = time.monotonic() + seconds
        while not self._was_up:
            self.check()
            if time.monotonic() > until:
                raise OperatorMustAct(f"{self.name} at {self.address} does not answer; its log is {self.log}")
            time.sleep(FIRST_LOOK_S)

    def loading(self) -> str | None:
        """How far its data are loaded; None once they are, and for a program that says nothing of it."""
        with (
            contextlib.suppress(OSError, http.client.HTTPException, ValueError),
            contextlib.closing(http.client.HTTPConnection(LOOPBACK, self._port, timeout=LOOK_S)) as asked,
        ):
            asked.request("GET", "/readyz")
            told = json.loads(asked.getresponse().read())
            return told.get("loading") if isinstance(told, dict) else None
        return None

    def told_to_end(self) -> None:
        super().told_to_end()
        self._ask_no_more()
        self._refuse_callers()

    def _begin(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server((LOOPBACK, self._port))
        self._ask_no_more()
        self._ask_at = self._silent_since = 0.0
        fd = self._listener.fileno()
        with self.log.open("ab") as output:
            self._run([*self._arguments, "--fd", str(fd)], output.fileno(), [fd])

    def _paused(self, seconds: float) -> bool:
        if seconds > PATIENCE_S:
            self._refuse_callers()
        return super()._paused(seconds)

    def _refuse_callers(self) -> None:
        if self._listener:
            self._listener.close()
            self._listener = None

    def _trouble(self) -> str | None:
        if self._up_since and self._process.poll() is None and not self._is_up():
            logger.warning("%s: did not answer for %g s; killed", self.name, self._hangs_s)
            self._process.kill()
            self._process.wait()
        trouble = super()._trouble()
        if trouble and self._gives_up():
            self._refuse_callers()
        return trouble

    def _is_up(self) -> bool:
        """Whether it answers: at its start at all, later within `hangs_s`. Never blocks."""
        now = time.monotonic()
        if self._question is None:
            if now >= self._ask_at:
                self._ask(now)
        elif (answer := self._answer()) is not None:
            self._ask_no_more()
            self._ask_at = now + self._hangs_s / QUESTIONS
            if answer:
                return True
        silent = self._silent_since and now - self._silent_since > self._hangs_s
        return self._up_since is not None and not silent

    def _ask(self, now: float) -> None:
        self._silent_since = self._silent_since or now
        with contextlib.suppress(OSError):  # its backlog is full
            self._question = socket.create_connection((LOOPBACK, self._port), LOOK_S)
            self._question.sendall(QUESTION)
            self._question.setblocking(False)

    def _answer(self) -> bool | None:
        """Whether it reports to be healthy; None without an answer yet."""
        try:
            well = self._question is not None and b" 200 " in self._question.recv(15)
        except BlockingIOError:
            return None
        except OSError:
            return False
        if well:
            self._silent_since = 0.0
        return well

    def _ask_no_more(self) -> None:
        if self._question:
            self._question.close()
            self._question = None

"""Restarts what has ended, until it is let go.

The first restart in a while is immediate; further ones wait with exponential backoff.
"""

import logging
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.errors import AppError, OperatorMustAct
from app.store.embedded_redis import is_gone, start_again

logger = logging.getLogger(__name__)

BAD_INPUT = 2
LOOK_S, FIRST_LOOK_S = 0.2, 0.02  # between checks; shorter until it is up, because somebody may be waiting
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
HEALTHY_S = 10.0  # after so long up, the next restart is immediate
STOP_S = 5.0


class Kept(ABC):
    """Something that a thread keeps running."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._up_since: float | None = None
        self._let_go = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keeps {name} running", daemon=True)

    def keep(self) -> None:
        """Start watching it."""
        self._thread.start()

    def let_go(self) -> None:
        """Stop restarting it."""
        self._let_go.set()
        if self._thread.is_alive():
            self._thread.join()

    @abstractmethod
    def _begin(self) -> None:
        """Start it. Raises OSError or AppError."""

    @abstractmethod
    def _trouble(self) -> str | None:
        """Why it must be restarted; None while it runs. Records when it is up."""

    def _gives_up(self) -> bool:
        """Whether restarting it is pointless."""
        return False

    def _paused(self, seconds: float) -> bool:
        """Wait before a restart. False: it was let go meanwhile."""
        return not self._let_go.wait(seconds)

    def _keep(self) -> None:
        failures, not_begun = 0, ""
        while not self._let_go.wait(LOOK_S if self._up_since else FIRST_LOOK_S):
            if not (trouble := not_begun or self._trouble()):
                continue
            if self._gives_up():
                return
            if self._up_since and time.monotonic() - self._up_since > HEALTHY_S:
                failures = 0
            seconds = pause(failures)
            failures += 1
            logger.warning("%s: %s; restarting%s", self.name, trouble, f" in {seconds:g} s" if seconds else "")
            if not self._paused(seconds):
                return
            self._up_since = None
            try:
                self._begin()
                not_begun = ""
            except (OSError, AppError) as error:
                not_begun = f"cannot be started ({error})"


def pause(failures: int) -> float:
    """Seconds to wait before a restart after so many failures in a row."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (failures - 1)) if failures else 0.0


class Store(Kept):
    """The embedded Redis of a data folder, which is already running; its last user ends it."""

    def __init__(self, data_dir: Path, url: str) -> None:
        super().__init__("redis")
        self._data_dir = data_dir
        self._url = url
        self._up_since = time.monotonic()

    def _begin(self) -> None:
        start_again(self._data_dir)
        self._up_since = time.monotonic()

    def _trouble(self) -> str | None:
        try:
            return "has died" if is_gone(self._url) else None
        except OSError:  # it cannot be checked, perhaps for lack of descriptors
            return None


class Program(Kept):
    """A child process. It ends when its stdin closes, so also when this process is killed.

    Args:
        name: for messages.
        arguments: after `python`.
        environment: the complete environment.
        stop_s: seconds that it gets to end.
        fds: descriptors that it inherits.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        stop_s: float = STOP_S,
        fds: Sequence[int] = (),
    ) -> None:
        super().__init__(name)
        self._arguments = arguments
        self._environment = environment
        self._stop_s = stop_s
        self._fds = fds
        self._began = 0.0
        self._was_up = False
        self._process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self._process.pid

    def keep(self) -> None:
        """Start it, and watch it from now on. Raises OSError."""
        self._begin()
        super().keep()

    def check(self) -> None:
        """Raises SystemExit or OperatorMustAct if its first start failed; its own output says why."""
        if not self._gives_up():
            return
        code = self._process.returncode
        if code == BAD_INPUT:
            raise SystemExit(code)
        raise OperatorMustAct(f"the {self.name} ended with exit code {code} at start; its last lines say why")

    def told_to_end(self) -> None:
        self.let_go()
        self._close_stdin()

    def ended(self) -> None:
        """Wait until it has ended; kill it after `stop_s`."""
        try:
            self._process.wait(self._stop_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _begin(self) -> None:
        self._run(self._arguments, fds=self._fds)

    def _run(self, arguments: Sequence[str], output: int | None = None, fds: Sequence[int] = ()) -> None:
        self._began = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, *arguments, "--exit-with-stdin"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=fds,
            env=self._environment,
            start_new_session=True,  # Ctrl-C is ours to handle
        )

    def _trouble(self) -> str | None:
        code = self._process.poll()
        if code is None:
            if self._up_since is None and self._is_up():
                self._up_since, self._was_up = time.monotonic(), True
            return None
        self._close_stdin()
        return f"ended by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with exit code {code}"

    def _close_stdin(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()

    def _is_up(self) -> bool:
        return time.monotonic() - self._began > HEALTHY_S

    def _gives_up(self) -> bool:
        """Whether it cannot start as configured. Ending by a signal does not mean that."""
        return not self._was_up and (self._process.returncode or 0) > 0

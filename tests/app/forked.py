"""`tollgate` as a process of its own without three seconds of imports: forked from one that has imported the app.

Otherwise it is the program that a person starts: environment, folder, process group and output are its own, and it runs
`main`. What a new Python makes of it is tested with `command_line.background`.
"""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

_IMPORTED = multiprocessing.get_context("forkserver")
_IMPORTED.set_forkserver_preload(["app.running.serving", "app.api", "app.client.http_client"])  # the heavy ones


class Forked:
    """`tollgate` with these arguments, name included: as much of `subprocess.Popen` as tests need."""

    def __init__(self, folder: Path, words: Sequence[str], variables: dict[str, str]) -> None:
        (out, into_out), (err, into_err) = _IMPORTED.Pipe(duplex=False), _IMPORTED.Pipe(duplex=False)
        self._words = words
        self._process = _IMPORTED.Process(target=_main, args=(folder, words, variables, into_out, into_err))
        self._process.start()
        for each in (into_out, into_err):
            each.close()
        self.stdout, self.stderr = os.fdopen(os.dup(out.fileno())), os.fdopen(os.dup(err.fileno()))
        for each in (out, err):
            each.close()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code. Raises TimeoutExpired."""
        self._process.join(timeout)
        if (code := self.returncode) is None:
            raise subprocess.TimeoutExpired(self._words, timeout or 0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it says until it ends. Raises TimeoutExpired, once it is killed."""
        with ThreadPoolExecutor(2) as readers:
            out, err = readers.submit(self.stdout.read), readers.submit(self.stderr.read)
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.end(signal.SIGKILL)
                raise
            return out.result(), err.result()

    def end(self, number: signal.Signals) -> None:
        """Send the signal to its process group, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def close(self) -> None:
        """Wait for its end."""
        for each in (self.stdout, self.stderr):
            each.close()
        self.wait()


def _main(
    folder: Path, words: Sequence[str], variables: dict[str, str], into_out: Connection, into_err: Connection
) -> None:
    os.setsid()
    for number, pipe in ((1, into_out), (2, into_err)):
        os.dup2(pipe.fileno(), number)
        pipe.close()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = [*words]
    from app.cli import main  # makes its terminals when it is imported

    main()

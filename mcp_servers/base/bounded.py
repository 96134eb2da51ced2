"""Runs work that may never end, or use up memory, in a process that is killed beyond its limits.

Only the operating system can stop a call into a library that limits neither its time nor its memory. Requests are JSON
lines on stdin, answers JSON lines on stdout.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]


class Died(Exception):
    """The process ended in the middle of a request."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.out_of_time = code == -signal.SIGALRM
        super().__init__(f"the process ended with code {code}")


class Bounded:
    """Keeps one process of a module, and replaces it after a request kills it. Thread-safe: one request at a time."""

    def __init__(self, module: str, *arguments: str, files: Sequence[int] = ()) -> None:
        """`files`: descriptors that the process inherits. It inherits nothing else, not even the environment."""
        self._command = [sys.executable, "-m", module, *arguments]
        self._files = files
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request, and return the answer. Raises Died if the process ended instead."""
        with self._lock:
            process = self._started()
            line = _exchanged(process, json.dumps(request))
            if not line:
                raise Died(self._ended(process))
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _started(self) -> "subprocess.Popen[str]":
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603
                self._command,
                cwd=REPOSITORY,
                env={},
                text=True,
                encoding="utf-8",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=self._files,
            )
            self._stop = weakref.finalize(self, _stop, self._process)
        return self._process

    def _ended(self, process: "subprocess.Popen[str]") -> int:
        code = process.wait()
        self._process = None
        self._stop()
        return code


def serve(answer: Callable[[dict[str, Any]], dict[str, Any]], seconds: float, memory: int) -> None:
    """Answer requests until stdin closes; the process's side.

    A request that exceeds `seconds` ends the process; one that exceeds `memory` (bytes) raises an error or ends it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server closes stdin
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        reply = json.dumps(answer(json.loads(line)))
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            sys.stdout.write(f"{reply}\n")
            sys.stdout.flush()
        except BrokenPipeError:  # the server has ended; nor can what is left be flushed at the interpreter's end
            os._exit(0)


def _exchanged(process: "subprocess.Popen[str]", request: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(f"{request}\n")
        process.stdin.flush()
    except BrokenPipeError:
        return ""
    return process.stdout.readline()


def _stop(process: "subprocess.Popen[str]") -> None:
    process.kill()
    with contextlib.suppress(BrokenPipeError), process:  # closes the pipes and waits
        pass

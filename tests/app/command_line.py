"""Runs the `tollgate` program as a person does, and looks at what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tests.app.forked import Forked

TOLLGATE = str(Path(sys.executable).parent / "tollgate")
SECONDS = 90
LONGEST_S = 300  # that a program lives in the background, whatever becomes of its test
HELLO = (
    '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},'
    '"clientInfo":{"name":"test","version":"1"}}}\n'
)  # what an MCP client says first


def tollgate(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run to the end in this folder, with these settings on top of a clean environment."""
    with started(folder, *arguments, **settings) as process:
        out, err = process.communicate(SECONDS)
        return subprocess.CompletedProcess(arguments, process.wait(), out, err)


def answered(folder: Path, *arguments: str, **settings: str) -> tuple[int, dict[str, Any]]:
    """Run with `--json`; the exit code and the document."""
    ended = tollgate(folder, *arguments, "--json", **settings)
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout)


@contextmanager
def background(
    command: Sequence[str],
    folder: Path,
    ending: signal.Signals = signal.SIGINT,
    **settings: str,
) -> Iterator[subprocess.Popen[str]]:
    """A program in a process group of its own, which gets the ending signal if it is still there."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(LONGEST_S, process.kill)
    watchdog.start()
    try:
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, ending)
    finally:
        watchdog.cancel()


@contextmanager
def forked(
    arguments: Sequence[str], folder: Path, ending: signal.Signals = signal.SIGINT, **settings: str
) -> Iterator[Forked]:
    """`tollgate` in the background, like `background`."""
    process = Forked(folder, [TOLLGATE, *arguments], environment(settings))
    watchdog = threading.Timer(LONGEST_S, process.kill)
    watchdog.start()
    try:
        yield process
    finally:
        if process.poll() is None:
            process.end(ending)
        process.close()
        watchdog.cancel()


def started(folder: Path, *arguments: str, **settings: str) -> AbstractContextManager[Forked]:
    """`tollgate` in the background, killed at the end."""
    return forked(arguments, folder, signal.SIGKILL, **settings)


def seen(process: subprocess.Popen[str] | Forked, wanted: Callable[[str], bool]) -> list[str]:
    """Read its progress up to the first line that is wanted."""
    lines: list[str] = []
    assert process.stderr
    for line in process.stderr:
        lines.append(line)
        if wanted(line):
            return lines
    raise AssertionError(f"it ended without the line: {''.join(lines)}")


def processes(folder: Path) -> dict[int, str]:
    """The command lines of living processes that work in this folder, by their ids."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(folder):
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return found


def left_behind(folder: Path) -> list[str]:
    """Command lines of living processes that work in this folder."""
    return list(processes(folder).values())


def all_gone(folder: Path, seconds: float = 10) -> bool:
    """Whether every process there ends by itself: one that was just being started ends when its stdin does."""
    until = time.monotonic() + seconds
    while left_behind(folder) and time.monotonic() < until:
        time.sleep(0.02)
    return left_behind(folder) == []


def environment(settings: dict[str, str]) -> dict[str, str]:
    """Nothing but what a program needs to start, and the settings."""
    return {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "COLUMNS": "200", "LANG": "C.UTF-8", **settings}

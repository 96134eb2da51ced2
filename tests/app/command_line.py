"""Runs the `tollgate` program as a person does, and looks at what it leaves behind."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

TOLLGATE = str(Path(sys.executable).parent / "tollgate")
SECONDS = 90
LONGEST_S = 300  # that a program lives in the background, whatever becomes of its test
HELLO = (
    '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},'
    '"clientInfo":{"name":"test","version":"1"}}}\n'
)  # what an MCP client says first
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["app.running.serving", "app.api", "app.client.http_client"])  # the heavy ones


def tollgate(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run to the end in this folder, with these settings on top of a clean environment.

    It is forked from a process that has imported the app: the imports take more time than most commands. `started`
    starts the program that a person does.
    """
    with tempfile.TemporaryDirectory() as output:
        out, err = Path(output, "stdout"), Path(output, "stderr")
        process = FORKS.Process(target=_main, args=(folder, arguments, environment(settings), out, err))
        process.start()
        process.join(SECONDS)
        if (code := process.exitcode) is None:
            process.kill()
            raise subprocess.TimeoutExpired(arguments, SECONDS, out.read_bytes(), err.read_bytes())
        return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())


def _main(folder: Path, arguments: Sequence[str], variables: dict[str, str], out: Path, err: Path) -> None:
    """What a new process does that is to be `tollgate`."""
    for number, name, how in ((0, os.devnull, os.O_RDONLY), (1, out, os.O_WRONLY), (2, err, os.O_WRONLY)):
        os.dup2(os.open(name, how | os.O_CREAT), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = [TOLLGATE, *arguments]
    from app.cli import main  # makes its terminals when it is imported

    main()


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


def started(folder: Path, *arguments: str, **settings: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """`tollgate` in the background, killed at the end."""
    return background([TOLLGATE, *arguments], folder, signal.SIGKILL, **settings)


def seen(process: subprocess.Popen[str], wanted: Callable[[str], bool]) -> list[str]:
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

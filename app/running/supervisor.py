"""Keeps the API and a worker running on one machine, each as a program of its own, until told to stop."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping

from app.config.settings import Settings
from app.errors import OperatorMustAct
from app.running.processes import Addresses, beside

BAD_INPUT = 2
LOOK_S = 0.2
HEALTHY_S = 10.0  # who lives that long may be started again at once, and as often as it takes
ENDING_S = 15.0  # beyond what a worker takes to hand over


def supervise(
    settings: Settings, redis_url: str, addresses: Addresses, host: str, port: int, say: Callable[[str], None]
) -> None:
    """Run `tollgate api` and `tollgate worker` until SIGTERM or SIGINT; start again what dies.

    Raises:
        OperatorMustAct: one of them dies as soon as it is started.
        SystemExit: one of them cannot start with what it was given, and has said why.
    """
    stop = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stop.set())
    _introduce(redis_url, addresses, say)
    environment = beside(settings, redis_url, addresses)
    programs = {
        "api": _Program(["api", "--host", host, "--port", str(port)], environment),
        "worker": _Program(["worker"], environment),
    }
    try:
        while not stop.wait(LOOK_S):
            for name, program in programs.items():
                program.keep_running(name, say)
    finally:
        for program in programs.values():
            program.told_to_end()
        for program in programs.values():
            program.ended(settings.drain_s + ENDING_S)


class _Program:
    """A program that is to run. It ends when its stdin closes, so also when this process is killed."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str]) -> None:
        self._command = [sys.executable, "-m", "app.cli", *arguments, "--exit-with-stdin"]
        self._environment = environment
        self._start()

    def keep_running(self, name: str, say: Callable[[str], None]) -> None:
        code = self._process.poll()
        if code is None:
            return
        if code == BAD_INPUT:
            raise SystemExit(code)
        lived = time.monotonic() - self._since
        if lived < HEALTHY_S:
            raise OperatorMustAct(f"the {name} ended with exit code {code} after {lived:.0f} s; its last lines say why")
        say(f"{name}: ended with exit code {code}; started again")
        self._start()

    def told_to_end(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()

    def ended(self, seconds: float) -> None:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        self._since = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603
            self._command,
            stdin=subprocess.PIPE,
            env=self._environment,
            start_new_session=True,  # Ctrl-C is ours to handle
        )


def _introduce(redis_url: str, addresses: Addresses, say: Callable[[str], None]) -> None:
    say(f"redis: {redis_url.rpartition('@')[2] if '@' in redis_url else redis_url}")
    say(f"model: {addresses.model}")
    for name, url in addresses.servers.items():
        say(f"{name}: {url}")

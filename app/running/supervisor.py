"""`tollgate serve`: an API, a worker and the programs that jobs need, until told to stop."""

import signal
import threading
from collections.abc import Callable

from app.config.settings import Settings
from app.observing.logs import configure
from app.observing.redaction import Redaction
from app.running.keeping import LOOK_S, Program
from app.running.processes import Addresses, beside, end
from safe_http.shown import shown

ENDING_S = 15.0  # on top of a worker's time to hand over


def supervise(
    settings: Settings,
    redis_url: str,
    addresses: Addresses,
    host: str,
    port: int,
    metrics_port: int,
    say: Callable[[str], None],
) -> None:
    """Run `tollgate api` and `tollgate worker` until SIGTERM or SIGINT, restarting what dies.

    Raises:
        BadInput: a server cannot start as configured.
        OperatorMustAct: API or worker ended at once.
        SystemExit: one of them cannot start as configured, and has said why.
    """
    stop = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stop.set())
    configure(Redaction(settings.secrets))
    _introduce(redis_url, addresses, say)
    environment = beside(settings, redis_url, addresses)
    programs: list[Program] = []
    try:
        api, worker = ["api", "--host", host, "--port", str(port)], ["worker", "--metrics-port", str(metrics_port)]
        for name, *options in (api, worker):
            command = ["-m", "app.cli", name, *options]
            program = Program(name, command, environment, settings.drain_s + ENDING_S)
            program.keep()
            programs.append(program)
        while not stop.wait(LOOK_S):
            for started in (*addresses.children, *programs):
                started.check()
    finally:
        end(programs)


def _introduce(redis_url: str, addresses: Addresses, say: Callable[[str], None]) -> None:
    for name, address in {"redis": redis_url, "model": addresses.model, **addresses.servers}.items():
        say(f"{name}: {shown(address)}")

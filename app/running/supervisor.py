"""`tollgate serve`: an API, a worker and the programs that jobs need, until told to stop."""

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable

from app.config.settings import Settings
from app.observing.logs import configure
from app.observing.redaction import Redaction
from app.running.binding import url_here
from app.running.keeping import LOOK_S, Program
from app.running.processes import Addresses, beside, end
from safe_http.shown import shown

ENDING_S = 15.0  # on top of a worker's time to hand over
READY_S = 30.0  # after which what was found is told although something is missing
ASK_EVERY_S, ANSWER_S = 1.0, 10.0

Introduce = Callable[[str, str], None]

logger = logging.getLogger(__name__)


def supervise(
    settings: Settings,
    redis_url: str,
    addresses: Addresses,
    listener: socket.socket,
    metrics_port: int,
    say: Callable[[str], None],
    introduce: Introduce,
) -> None:
    """Run `tollgate api`, on this socket, and `tollgate worker` until SIGTERM or SIGINT, restarting what dies.

    When jobs can be run, or cannot for a while, `introduce` is called in a thread, with the API's address and with what
    is missing, if anything.

    Raises:
        BadInput: a server cannot start as configured.
        OperatorMustAct: API or worker ended at once.
        SystemExit: one of them cannot start as configured, and has said why.
    """
    stop = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stop.set())
    configure(Redaction(settings.secrets))
    for name, address in {"redis": redis_url, "model": addresses.model, **addresses.servers}.items():
        say(f"{name}: {shown(address)}")
    environment = beside(settings, redis_url, addresses)
    programs: list[Program] = []
    fd = listener.fileno()
    told = (url_here(listener), stop, introduce)
    threading.Thread(target=_when_ready, args=told, name="tells what was found", daemon=True).start()
    try:
        api, worker = ["--fd", str(fd)], ["--metrics-port", str(metrics_port)]
        for name, options, fds in (("api", api, [fd]), ("worker", worker, [])):
            command = ["-m", "app.cli", name, *options]
            program = Program(name, command, environment, settings.drain_s + ENDING_S, fds)
            program.keep()
            programs.append(program)
        while not stop.wait(LOOK_S):
            for started in (*addresses.children, *programs):
                started.check()
    finally:
        end(programs)


def _when_ready(url: str, stop: threading.Event, introduce: Introduce) -> None:
    until, missing = time.monotonic() + READY_S, "the API does not answer"
    while missing and time.monotonic() < until:
        if stop.wait(ASK_EVERY_S):
            return
        missing = _missing(url)
    try:
        introduce(url, missing)
    except Exception:
        logger.exception("what was found cannot be told; all goes on without it, and `tollgate doctor` looks again")


def _missing(url: str) -> str:
    """What jobs lack, as the API says; empty if nothing."""
    import httpx  # noqa: PLC0415  heavy, and the API is to start first

    try:
        answer = httpx.get(f"{url}/readyz", timeout=ANSWER_S, trust_env=False)
        if answer.is_success:
            return "" if "worker" in answer.json()["parts"] else "there is no worker yet"
        return str(answer.json()["detail"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return "the API does not answer"

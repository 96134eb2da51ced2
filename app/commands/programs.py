"""The server programs: API and worker."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    make_asgi_app,
)

from app.api import create_app
from app.api.auth import is_loopback
from app.api.backend import opened_backend
from app.config.settings import Settings
from app.console.web import beside
from app.errors import BadInput
from app.observing.logs import configure
from app.observing.redaction import Redaction
from app.running import stdin
from app.running.binding import bound, url_of
from app.running.processes import Addresses
from app.running.serving import opened_worker
from app.work.worker import work_until
from safe_http.serving import HttpServer

ENDING_S = 10  # for requests in flight when the API is told to stop
METRICS_ENDING_S = 1


Say = Callable[[str], None]


def worker(
    settings: Settings,
    redis_url: str,
    addresses: Addresses,
    say: Say,
    *,
    exit_with_stdin: bool,
    metrics: tuple[str, int] | None = None,
) -> None:
    """Run jobs until SIGTERM or SIGINT, or until stdin closes, then hand over running ones.

    Raises:
        BadInput: the metrics address is unusable; and as `opened_worker`.
    """
    configure(Redaction(settings.secrets))
    asyncio.run(_worker(settings, redis_url, addresses, say, exit_with_stdin, metrics))


async def _worker(
    settings: Settings,
    redis_url: str,
    addresses: Addresses,
    say: Say,
    exit_with_stdin: bool,
    metrics: tuple[str, int] | None,
) -> None:
    stop, registry = asyncio.Event(), _registry()
    _when_told_to_stop(stop.set, exit_with_stdin)
    async with (
        _told(registry, metrics, say),
        opened_worker(settings, redis_url, addresses, say, registry) as work,
    ):
        _keep_what_is_there()
        say(f"worker: up to {settings.worker_jobs} jobs at once")
        await work_until(stop, work, settings)
    say("worker: handed over, stopped")


def api(settings: Settings, redis_url: str, listener: socket.socket, say: Say, *, exit_with_stdin: bool) -> None:
    """Serve the HTTP API until SIGTERM or SIGINT, or until stdin closes, then let requests in flight finish.

    Raises:
        BadInput: the address is unusable, or others could reach it while there is no API key.
        RedisError: no usable Redis.
    """
    configure(Redaction(settings.secrets))
    asyncio.run(_api(settings, redis_url, listener, say, exit_with_stdin))


async def _api(settings: Settings, redis_url: str, listener: socket.socket, say: Say, exit_with_stdin: bool) -> None:
    host, port = listener.getsockname()[:2]
    async with opened_backend(settings, redis_url, say) as backend:
        if not is_loopback(host) and not await backend.keys.required():
            raise BadInput(
                f"others can reach {host}, and there is no API key; create one (tollgate keys create), "
                "or listen on 127.0.0.1 only"
            )
        state = contextlib.nullcontext(backend)
        api = create_app(settings, state, loopback=is_loopback(host), registry=_registry())
        async with beside(api, backend, loopback=is_loopback(host)) as app:
            server = HttpServer(
                app, ending_s=ENDING_S, websockets=True, started=lambda: say(f"api: {url_of(host, port)}")
            )
            _keep_what_is_there()

            def stop() -> None:
                server.should_exit = True

            _when_told_to_stop(stop, exit_with_stdin)
            await server.serve([listener])
    say("api: stopped")


def _registry() -> CollectorRegistry:
    """A registry with the metrics of the process."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # half of the series, of which Prometheus needs none
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


@contextlib.asynccontextmanager
async def _told(registry: CollectorRegistry, address: tuple[str, int] | None, say: Say) -> AsyncIterator[None]:
    """Serve metrics at this address until the block ends. Raises BadInput."""
    if address is None:
        yield
        return
    with bound(*address, "--metrics-host, --metrics-port") as listener:
        shown = f"http://{address[0]}:{listener.getsockname()[1]}/metrics"
        server = HttpServer(
            make_asgi_app(registry),
            ending_s=METRICS_ENDING_S,
            lifespan="off",
            started=lambda: say(f"worker: metrics at {shown}"),
        )
        serving = asyncio.create_task(server.serve([listener]), name="tells Prometheus")
        try:
            yield
        finally:
            server.should_exit = True
            await serving


def _keep_what_is_there() -> None:
    """Exclude modules and clients from garbage collection: their 240,000 objects take 150 ms, in which no request is
    served."""
    gc.collect()
    gc.freeze()


def _when_told_to_stop(stop: Callable[[], None], exit_with_stdin: bool) -> None:
    """Call `stop` on the event loop at the first signal, or when the parent process is gone."""
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop)

    def gone() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has already ended
            loop.call_soon_threadsafe(stop)

    if exit_with_stdin:
        stdin.when_it_closes(gone)

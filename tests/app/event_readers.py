"""An HTTP server of event streams on this event loop and a real socket, and readers of it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from app.api.sse import event_stream
from app.errors import BadInput
from app.jobs.events import EventLog
from safe_http.connections import Bounds
from safe_http.serving import HttpServer


@dataclass
class Served:
    """A replica that serves event streams."""

    server: HttpServer
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> list[Any]:
        """Those that are open."""
        return list(self.server.server_state.connections)

    @property
    def waiting(self) -> list[Any]:
        """Connections whose application waits for the client to read."""
        return [connection for connection in self.connections if connection.flow.write_paused]


@dataclass(frozen=True)
class Frame:
    """What stands between two empty lines, by field; a comment is the field ''."""

    lines: tuple[tuple[str, str], ...]

    def __getitem__(self, field: str) -> str:
        (value,) = [value for name, value in self.lines if name == field]
        return value


def application(log: EventLog, heartbeat_s: float) -> Starlette:
    """Serves `/{job}` and nothing else."""

    async def events(request: Request) -> Response:
        return event_stream(log, request.path_params["job"], request.headers.get("last-event-id"), heartbeat_s)

    async def refused(request: Request, error: Exception) -> Response:
        return PlainTextResponse(str(error), 400)

    return Starlette(routes=[Route("/{job}", events)], exception_handlers={BadInput: refused})


@contextlib.asynccontextmanager
async def serving(
    app: EventLog | ASGIApp, *, heartbeat_s: float = 15, bounds: Bounds | None = None
) -> AsyncIterator[Served]:
    """A replica that serves this log, or this application, until the block ends."""
    whole = application(app, heartbeat_s) if isinstance(app, EventLog) else app
    server = HttpServer(whole, ending_s=10, bounds=bounds, lifespan="off")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield Served(server, listener.getsockname()[1])
        finally:
            server.should_exit = True
            await running


class Replicas:
    """Two replicas over one Redis, on an event loop that lasts for all examples of a property."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.logs: list[EventLog] = []
        self.served: list[Served] = []
        self._url = url
        self._stack = contextlib.AsyncExitStack()

    def __enter__(self) -> "Replicas":
        self.runner.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.run(self._stack.aclose())
        self.runner.close()

    async def _start(self) -> None:
        for _ in range(2):
            client = await self._stack.enter_async_context(contextlib.aclosing(Redis.from_url(self._url)))
            self.logs.append(EventLog(client, ttl_seconds=600))
            self.served.append(await self._stack.enter_async_context(serving(self.logs[-1], heartbeat_s=0.001)))


def frames(body: bytes) -> list[Frame]:
    """The frames that are complete."""
    whole = body.decode(errors="surrogateescape").split("\n\n")[:-1]
    return [Frame(tuple(_field(line) for line in frame.split("\n"))) for frame in whole]


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name.removesuffix(":"), value


def events(got: list[Frame]) -> list[Frame]:
    """Without comments and what only configures the reader."""
    return [frame for frame in got if any(name == "id" for name, _ in frame.lines)]


async def read(url: str, after: str | None = None, *, most_bytes: int = 100_000_000) -> list[Frame]:
    """Read until the stream ends, or hang up after so many bytes; what is cut in two is lost, as in a browser."""
    body = bytearray()
    headers = {} if after is None else {"Last-Event-ID": after}
    async with (
        httpx.AsyncClient(timeout=20, verify=False) as client,  # without TLS, and without loading certificates
        client.stream("GET", url, headers=headers) as response,
    ):
        response.raise_for_status()
        async for data in response.aiter_raw():
            body += data
            if len(body) >= most_bytes:
                break
    return frames(bytes(body[:most_bytes]))


@contextlib.contextmanager
def connected(served: Served, path: str) -> Iterator[socket.socket]:
    """A client that asked for a stream, with little room for the answer, and does not read unless it is told to."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", served.port))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        client.setblocking(False)
        yield client


async def until(happened: Callable[[], object], what: str) -> None:
    """Look again and again, for 20 s at most."""
    try:
        async with asyncio.timeout(20):
            while not happened():  # noqa: ASYNC110  what is looked at tells nobody
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not within 20 s: {what}") from None

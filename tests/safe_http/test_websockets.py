"""WebSockets beside bounded connections: they work, count, are bounded, and end with the server."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from safe_http.connections import Bounds
from safe_http.serving import MESSAGE_BYTES, HttpServer
from safe_http.websockets import STALLED_S, BoundedWebSocket


async def _echo(opened: WebSocket) -> None:
    await opened.accept()
    async for text in opened.iter_text():
        await opened.send_text(text * int(text.partition(" ")[0]))


@pytest.fixture
async def server() -> AsyncIterator[tuple[HttpServer, str]]:
    """A server that repeats what it is sent, and its address."""
    app = Starlette(routes=[WebSocketRoute("/", _echo)])
    server = HttpServer(app, ending_s=1, bounds=Bounds(connections=16), websockets=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve([listener]))
        yield server, f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        server.should_exit = True
        await serving


def only(server: HttpServer) -> BoundedWebSocket:
    """Its only connection."""
    [one] = server.server_state.connections
    assert isinstance(one, BoundedWebSocket)
    return one


async def test_it_answers_and_refuses_what_is_too_long(server: tuple[HttpServer, str]) -> None:
    async with connect(server[1]) as client:
        await client.send("2 times")
        assert await client.recv() == "2 times2 times"
        one = only(server[0])
        assert one.address == "127.0.0.1"
        await client.send("1" * (MESSAGE_BYTES + 1))
        with pytest.raises(ConnectionClosed, match="1009"):
            await client.recv()


async def test_a_client_that_reads_nothing_is_disconnected(server: tuple[HttpServer, str]) -> None:
    async with connect(server[1], max_queue=1, compression=None) as client:
        for _ in range(40):
            await client.send("40 " + "x" * 100_000)
        one = only(server[0])
        until = time.monotonic() + 20
        while one.writable.is_set():
            assert time.monotonic() < until, "all was sent"
            await asyncio.sleep(0.01)
        now = time.monotonic()
        one.look(now)
        assert not one.closed
        one.look(now + STALLED_S + 1)
        assert one.closed

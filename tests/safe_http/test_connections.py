"""Clients that keep a server waiting, on real sockets: each wait has an end, and they take no place from others."""

import asyncio
import contextlib
import json
import logging
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from safe_http.connections import Bounds
from safe_http.serving import HttpServer
from tests.app.event_readers import until

HEAD = b"HTTP/1.1\r\nHost: x\r\n"
GET = b"GET / " + HEAD + b"\r\n"
POST = b"POST / " + HEAD
SHORT = Bounds(request_s=0.1, idle_s=0.1, connections=100)


class Served(HttpServer):
    """Answers with what it was sent, or with an endless stream."""

    def __init__(self, bounds: Bounds) -> None:
        self.asked: list[bytes] = []
        routes = [Route("/", self._answer, methods=["GET", "POST", "HEAD", "CONNECT"]), Route("/stream", self._stream)]
        super().__init__(Starlette(routes=routes), ending_s=1, bounds=bounds)

    async def _answer(self, request: Request) -> Response:
        self.asked.append(await request.body())
        return PlainTextResponse(self.asked[-1] or b"ok")

    async def _stream(self, request: Request) -> Response:
        async def forever() -> AsyncIterator[bytes]:
            yield b": here\n\n"
            await asyncio.Event().wait()

        return StreamingResponse(forever(), media_type="text/event-stream")

    @property
    def open(self) -> list[Any]:
        return list(self.server_state.connections)


@contextlib.asynccontextmanager
async def serving(bounds: Bounds) -> AsyncIterator[tuple[Served, int]]:
    """The server and its port."""
    server = Served(bounds)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(server.serve([listener]))
        try:
            yield server, listener.getsockname()[1]
        finally:
            server.should_exit = True
            await running


class Client:
    """A connection from this address, on which nothing is sent but what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self, request: bytes, upto: bytes = b"ok") -> bytes:
        self.writer.write(request)
        return await self.reader.readuntil(upto)

    async def rest(self) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.read()


@contextlib.asynccontextmanager
async def connected(port: int, address: str = "127.0.0.1") -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


@pytest.fixture
async def clients() -> AsyncIterator[contextlib.AsyncExitStack]:
    async with contextlib.AsyncExitStack() as stack:
        yield stack


UNFINISHED = {
    "nothing": b"",
    "a byte": b"G",
    "half a head": GET[:-2],
    "half a body": POST + b"Content-Length: 9\r\n\r\nhalf",
    "half a body of a HEAD": b"HEAD / " + HEAD + b"Content-Length: 9\r\n\r\nhalf",
    "chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
}


async def test_what_does_not_come_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """Neither on a new connection, nor on one on which a request was answered."""

    async def told(sent: bytes, before: bytes) -> bool:
        async with connected(port) as client:
            if before:
                await client.answer(before)
            client.writer.write(sent)
            return b"HTTP/1.1 408 Request Timeout" in await client.rest()

    async with serving(SHORT) as (server, port):
        for before in (b"", GET):
            answers = await asyncio.gather(*(told(sent, before) for sent in UNFINISHED.values()))
            assert dict(zip(UNFINISHED, answers, strict=True)) == {
                name: bool(sent) for name, sent in UNFINISHED.items()
            }
        assert not server.open
    assert not caplog.records


async def test_nor_what_comes_byte_by_byte() -> None:
    async with serving(SHORT) as (server, port), connected(port) as client:
        await client.answer(GET)

        async def dribble() -> None:
            for byte in POST + b"X: " + b"x" * 10_000:
                client.writer.write(bytes([byte]))
                await asyncio.sleep(0.02)

        dribbling = asyncio.create_task(dribble())
        with contextlib.suppress(ConnectionError):  # a byte that comes too late resets it
            await client.rest()
        dribbling.cancel()
        assert not server.open


async def test_nor_the_rest_of_a_request_that_was_answered() -> None:
    async with serving(SHORT) as (_, port), connected(port) as client:
        await client.answer(b"POST /none " + HEAD + b"Content-Length: 9\r\n\r\n", b"\r\n\r\nNot Found")
        client.writer.write(b"half")
        assert await client.rest() == b""


async def test_a_request_of_two_lengths_is_refused_and_ends_the_connection() -> None:
    smuggled = b"0\r\n\r\n" + GET
    async with serving(Bounds()) as (server, port):
        for headers in (
            b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
        ):
            async with connected(port) as client:
                client.writer.write(POST + headers + smuggled)
                head, _, body = (await client.rest()).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 ")
            assert b"connection: close" in head.lower()
            assert b"content-type: application/problem+json" in head
            assert json.loads(body)["status"] == 400
        assert server.asked == []


async def test_a_tunnel_is_refused_whatever_the_application_says(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Bounds()) as (server, port), connected(port) as client:
        client.writer.write(b"CONNECT / " + HEAD + b"\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 405 ")
    assert (server.asked, caplog.messages) == ([], [])


async def test_broken_http_gets_a_problem_document() -> None:
    async with serving(Bounds()) as (_, port), connected(port) as client:
        client.writer.write(b"nonsense\r\n\r\n")
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400")
        assert json.loads(body)["status"] == 400


async def test_a_client_that_offers_an_upgrade_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    """As Java's does with every first request: the body counts, too."""
    upgrade = (
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\nContent-Length: 4\r\n\r\nbody"
    )
    async with serving(Bounds()) as (_, port), connected(port) as client:
        for _ in range(2):
            assert (await client.answer(POST + upgrade, b"body")).startswith(b"HTTP/1.1 200")
    assert not caplog.records


async def test_an_answer_does_not_wait_for_acknowledgements() -> None:
    async with serving(Bounds()) as (server, port), connected(port) as client:
        await client.answer(GET)
        (connection,) = server.open
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_whoever_was_waited_for_the_longest_makes_room(
    clients: contextlib.AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Bounds(connections=10)) as (server, port), clients:
        stream = await clients.enter_async_context(connected(port))
        await stream.answer(b"GET /stream " + HEAD + b"\r\n", b": here")
        silent = []
        for number in range(30):
            silent.append(await clients.enter_async_context(connected(port, f"127.0.0.{2 + number % 3}")))
            await silent[-1].answer(GET)
        assert len(server.open) <= 10
        for each in silent[:20]:
            assert await each.rest() == b""
        for each in (silent[-1], silent[-5]):
            assert b"ok" in await each.answer(GET)
        assert not stream.reader.at_eof()
        await until(lambda: "connections were closed to make room" in caplog.text, "it is told")
        assert len(caplog.records) == 1


async def test_room_is_made_by_whoever_has_the_most(clients: contextlib.AsyncExitStack) -> None:
    async with serving(Bounds(connections=10)) as (server, port), clients:
        few = [await clients.enter_async_context(connected(port)) for _ in range(4)]
        many = [await clients.enter_async_context(connected(port, "127.0.0.2")) for _ in range(10)]
        for each in many[:4]:
            assert await each.rest() == b""
        assert len(server.open) <= 10
        for each in few:  # though they are older
            assert b"ok" in await each.answer(GET)


async def test_one_address_keeps_half_of_the_places_waiting(clients: contextlib.AsyncExitStack) -> None:
    async with serving(Bounds(connections=10)) as (server, port), clients:
        silent = [await clients.enter_async_context(connected(port)) for _ in range(8)]
        for each in silent[:3]:
            assert await each.rest() == b""
        assert len(server.open) == 5


async def test_when_every_request_is_being_answered_a_new_one_is_told(clients: contextlib.AsyncExitStack) -> None:
    async with serving(Bounds(connections=3)) as (server, port), clients:
        for _ in range(3):
            stream = await clients.enter_async_context(connected(port))
            await stream.answer(b"GET /stream " + HEAD + b"\r\n", b": here")
        late = await clients.enter_async_context(connected(port))
        told = await late.rest()
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in told.lower()
        assert len(server.open) == 3


async def test_without_descriptors_little_is_logged_and_it_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Bounds(connections=1000)) as (_, port):
        with contextlib.ExitStack() as stack:
            crowd = [stack.enter_context(socket.socket()) for _ in range(60)]
            with _descriptors(crowd[-1].fileno() + 10):
                for each in crowd:
                    each.connect(("127.0.0.1", port))
                await until(lambda: "no connection can be accepted" in caplog.text, "it has no descriptor left")
                await asyncio.sleep(1.1)  # asyncio has tried again
        async with connected(port) as client:
            assert b"ok" in await client.answer(GET)
    ours = [record.levelno for record in caplog.records if record.name.startswith(("safe_http", "asyncio", "uvicorn"))]
    assert ours == [logging.ERROR]  # others in this process have no descriptors either
    assert "ulimit -n" in caplog.text


@contextlib.contextmanager
def _descriptors(most: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

"""What a stranger's connection may cost an HTTP server: a place, bytes and time.

uvicorn waits for a client as long as the client likes: for the rest of a request, for the next one once a byte of it
has come, for the reading of an answer. Here each of these waits has an end, the places are fewer than the process has
descriptors for, and when they are all taken, whoever has been waited for the longest makes room.

A place is never taken from a request that is being answered. Otherwise it goes by addresses: first of the one that is
waited for on the most connections, so that whoever opens many pays for it. No address is waited for on more than half
of them. It may have any number that are being answered: many callers can share an address, behind a proxy or on one
machine, and how much an API key may ask for is bounded elsewhere. Of IPv6 a whole /64 counts as one.
"""

import asyncio
import contextlib
import enum
import http
import logging
import resource
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, cast

import h11
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

logger = logging.getLogger(__name__)

MOST_CONNECTIONS = 10_000
FEWEST_CONNECTIONS = 16
RESERVED = 100  # descriptors for all else: 50 to Redis, files, programs, what is accepted and not counted yet
UNSENT_BYTES = 16 * 1024  # above this the application waits; uvicorn has 64 KB
KERNEL_BYTES = 32 * 1024  # Linux takes twice that, for its own needs; up to 4 MB when it is not told
TOLD_EVERY_S = 60.0
PROBLEM = "application/problem+json"


def most_connections() -> int:
    """As many as this process has descriptors for, and some left."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return min(MOST_CONNECTIONS, max(FEWEST_CONNECTIONS, soft - RESERVED))


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections there may be, and how many seconds each may keep us waiting.

    `request_s` is for a whole request, from its first byte to its last, and for the first one from connecting on.
    `idle_s` is between two requests: more than the 5 s after which Python's clients give a connection up, for when
    both sides do at once, a request gets lost. `stalled_s` is for taking any of what was written.
    """

    request_s: float = 20.0
    idle_s: float = 30.0
    stalled_s: float = 60.0
    connections: int = field(default_factory=most_connections)


class Turn(enum.Enum):
    """Whom a connection waits for: us, or the client, who has to send a request, may send one, or has to read."""

    OURS = enum.auto()
    REQUEST = enum.auto()
    IDLE = enum.auto()
    READING = enum.auto()


class Connections(ServerState):
    """All connections of a server."""

    def __init__(self, bounds: Bounds) -> None:
        super().__init__()
        self.bounds = bounds
        self.patience = {
            Turn.OURS: float("inf"),
            Turn.REQUEST: bounds.request_s,
            Turn.IDLE: bounds.idle_s,
            Turn.READING: bounds.stalled_s,
        }
        self._made_room = 0
        self._told_at = float("-inf")

    def make_room_for(self, new: "BoundedConnection") -> None:
        """Close one when there are too many. If nobody else is waited for, it is the new one."""
        if len(self.connections) <= self.bounds.connections // 2:
            return
        there = [each for each in cast("set[BoundedConnection]", self.connections) if not each.closed]
        waiting = [each for each in there if each.turn is not Turn.OURS]
        per_address = Counter(each.address for each in waiting)
        if per_address[new.address] > self.bounds.connections // 2:
            waiting = [each for each in waiting if each.address == new.address]
        elif len(there) <= self.bounds.connections:
            return
        self._made_room += 1
        oldest = min(waiting, key=lambda each: (-per_address[each.address], each.since), default=new)
        if oldest is new:
            oldest.refuse(503, "all connections are in use; try again in a second", {"Retry-After": "1"})
        else:
            oldest.give_up()

    def look(self) -> None:
        """Close those that have kept us waiting for too long."""
        now = time.monotonic()
        for each in cast("list[BoundedConnection]", list(self.connections)):
            each.look(now)
        if self._made_room and now - self._told_at > TOLD_EVERY_S:
            most = self.bounds.connections
            logger.warning("%d connections were closed to make room; there may be %d", self._made_room, most)
            self._made_room, self._told_at = 0, now


class BoundedConnection(H11Protocol):
    """An HTTP connection that keeps nobody waiting for ever. `since` when it has waited for whose `turn` it is.

    When the server shuts down, it also ends event streams, which would never end by themselves.
    """

    server_state: Connections

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.turn, self.since = Turn.REQUEST, time.monotonic()
        self.address = ""
        self._unsent = 0
        self._endless = False
        self._app, self.app = self.app, self._bounded

    @property
    def closed(self) -> bool:
        """Whether it goes without a word more."""
        return self.transport.is_closing() and not self.transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Set the bounds."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=UNSENT_BYTES)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
        if sock.family != socket.AF_UNIX:
            # asyncio sets it only on sockets that were made by naming TCP, which `socket.create_server` does not do.
            # Without it the body of an answer waits for the client's delayed acknowledgement of the head: 40 ms.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # a host that is gone would be tried for a quarter of an hour
                stalled_ms = int(self.server_state.bounds.stalled_s * 1000)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stalled_ms)
            self.address = _counted_as(self.client[0]) if self.client else ""
        self.server_state.make_room_for(self)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._take_turns()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._take_turns()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._take_turns()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._take_turns()

    def look(self, now: float) -> None:
        """Close it when it has kept us waiting for too long."""
        unsent = self.transport.get_write_buffer_size()
        reads = unsent < self._unsent  # nothing is added while the application waits, so that less is progress
        self._unsent = unsent
        if (self.turn is Turn.READING and reads) or (self.turn is Turn.REQUEST and self.flow.read_paused):
            self.since = now  # it is us who do not read on, as long as the application does not
        patience = self.server_state.patience[self.turn]
        if now - self.since <= patience:
            return
        if self.turn is Turn.READING:
            logger.info("%s took nothing for %g s and is disconnected", self.client, patience)
        if self.turn is Turn.REQUEST and self._has_begun():
            self.refuse(408, f"the request did not come within {patience:g} s")
        else:
            self.give_up()

    def give_up(self) -> None:
        """Close it; what the client has not read is lost."""
        self.transport.abort() if self.transport.get_write_buffer_size() else self.transport.close()

    def shutdown(self) -> None:
        """Close what is idle, and event streams: their readers come back, to another replica."""
        super().shutdown()
        if self._endless and not self.cycle.response_complete:
            self.give_up()

    def send_400_response(self, msg: str) -> None:
        """Broken HTTP gets a problem document, too."""
        self.refuse(400, msg)

    def refuse(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        """Answer in the place of the application, if nothing was answered yet, and close."""
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            answer = _problem(status, detail, headers)
            with contextlib.suppress(h11.LocalProtocolError):  # to a HEAD the head is all
                for event in (
                    h11.Response(status_code=status, headers=answer.raw_headers, reason=_phrase(status).encode()),
                    h11.Data(data=bytes(answer.body)),
                    h11.EndOfMessage(),
                ):
                    self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _take_turns(self) -> None:
        if self.flow.write_paused or self.transport.is_closing():
            turn = Turn.READING
        elif self.conn.their_state is h11.SEND_BODY or self.cycle is None:
            turn = Turn.REQUEST
        elif self.conn.their_state is h11.IDLE:
            turn = Turn.REQUEST if self._has_begun() else Turn.IDLE
        else:
            turn = Turn.OURS
        if turn is not self.turn:
            self.turn, self.since = turn, time.monotonic()

    def _has_begun(self) -> bool:
        """Whether a part of a request is here."""
        return self.conn.their_state is h11.SEND_BODY or bool(self.conn.trailing_data[0])

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application; notes whether it answers with an event stream."""

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._endless = any(value.startswith(b"text/event-stream") for _, value in message.get("headers", ()))
            elif self.transport.is_closing():
                await asyncio.sleep(0)  # now uvicorn learns of it, and does not write on
            await send(message)

        if scope["method"] == "CONNECT":  # to which any success would end HTTP on this connection
            await _problem(405, "this is no proxy")(scope, receive, send)
        # Whoever stands before us may have gone by the other one, and take the rest for the next request.
        elif {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
            refusal = _problem(400, "a request has Content-Length or Transfer-Encoding, not both")
            await refusal(scope, receive, send)
        else:
            with contextlib.suppress(ClientDisconnect):  # in the middle of a request: no fault of the application
                await self._app(scope, receive, noting)


def _problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """RFC 9457; after it the connection is closed."""
    told = {"type": "about:blank", "title": _phrase(status), "status": status, "detail": detail}
    return JSONResponse(told, status, {**(headers or {}), "Connection": "close"}, PROBLEM)


def _phrase(status: int) -> str:
    return http.HTTPStatus(status).phrase


def _counted_as(host: str) -> str:
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network((address, 64), strict=False))
    return host

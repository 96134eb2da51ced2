"""Limits what a connection may cost an HTTP server in slots, bytes and time.

uvicorn waits for a client without limit: for the rest of a request, for the next one after its first byte, for the
client to read a response. Here each wait has a timeout, and there are fewer slots than the process has descriptors.
When all slots are taken, the connection that has kept the server waiting longest is closed.

A request that is being answered never loses its slot. Otherwise the address with the most waiting connections loses
one first, and no address may have more than half of the slots waiting. Connections that are being answered are not
limited per address: many callers can share one behind a proxy, and rates per API key are limited elsewhere. An IPv6
/64 counts as one address.
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
RESERVED = 100  # descriptors for the rest: 50 to Redis, files, programs, connections that are not counted yet
UNSENT_BYTES = 16 * 1024  # above this the application waits; 64 KB in uvicorn
KERNEL_BYTES = 32 * 1024  # Linux doubles it for its own overhead; its default is up to 4 MB
TOLD_EVERY_S = 60.0
PROBLEM = "application/problem+json"


def most_connections() -> int:
    """The descriptor limit of this process, less `RESERVED`."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return min(MOST_CONNECTIONS, max(FEWEST_CONNECTIONS, soft - RESERVED))


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections there may be, and the timeouts of each in seconds.

    `request_s` is for a whole request, from its first byte (for the first request: from connecting) to its last.
    `idle_s` is between two requests: longer than the 5 s of Python's clients, because a request is lost if both sides
    close at the same time. `stalled_s` is for the client to read any of what was written.
    """

    request_s: float = 20.0
    idle_s: float = 30.0
    stalled_s: float = 60.0
    connections: int = field(default_factory=most_connections)


class Turn(enum.Enum):
    """Whom a connection waits for: us, or the client, which must send a request, may send one, or must read."""

    OURS = enum.auto()
    REQUEST = enum.auto()
    IDLE = enum.auto()
    READING = enum.auto()


class Connections(ServerState):
    """All connections of a server. Some may be WebSockets, which have what is asked of a connection here."""

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
        """Close a connection if there are too many: the new one, if no other is waiting for its client."""
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
            new.refuse(503, "all connections are in use; try again in a second", {"Retry-After": "1"})
        else:
            oldest.give_up()

    def look(self) -> None:
        """Close connections that have timed out."""
        now = time.monotonic()
        for each in cast("list[BoundedConnection]", list(self.connections)):
            each.look(now)
        if self._made_room and now - self._told_at > TOLD_EVERY_S:
            most = self.bounds.connections
            logger.warning("%d connections were closed to make room; there may be %d", self._made_room, most)
            self._made_room, self._told_at = 0, now


class BoundedConnection(H11Protocol):
    """An HTTP connection with timeouts. It has waited for the party in `turn` since `since`.

    When the server shuts down, it also ends event streams, which never end by themselves.
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
        """Whether nothing more will be sent."""
        return self.transport.is_closing() and not self.transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=UNSENT_BYTES)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
        if sock.family != socket.AF_UNIX:
            # asyncio sets it only on sockets created with an explicit protocol, unlike `socket.create_server`'s.
            # Without it a response body waits 40 ms for the client's delayed ACK of the head.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # by default, a dead host is retried for 15 minutes
                stalled_ms = int(self.server_state.bounds.stalled_s * 1000)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stalled_ms)
            self.address = counted_as(self.client[0]) if self.client else ""
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
        """Close it if it has timed out."""
        unsent = self.transport.get_write_buffer_size()
        reads = unsent < self._unsent  # nothing is added while the application waits, so less means progress
        self._unsent = unsent
        if (self.turn is Turn.READING and reads) or (self.turn is Turn.REQUEST and self.flow.read_paused):
            self.since = now  # the application is not reading, so the client is not late
        patience = self.server_state.patience[self.turn]
        if now - self.since <= patience:
            return
        if self.turn is Turn.READING:
            logger.info("%s read nothing for %g s and is disconnected", self.client, patience)
        if self.turn is Turn.REQUEST and self._has_begun():
            self.refuse(408, f"the request did not arrive within {patience:g} s")
        else:
            self.give_up()

    def give_up(self) -> None:
        """Close it, dropping what the client has not read."""
        self.transport.abort() if self.transport.get_write_buffer_size() else self.transport.close()

    def shutdown(self) -> None:
        """Close it if it is idle, or an event stream: its reader reconnects to another replica."""
        super().shutdown()
        if self._endless and not self.cycle.response_complete:
            self.give_up()

    def send_400_response(self, msg: str) -> None:
        """Answer malformed HTTP with a problem document too."""
        self.refuse(400, msg)

    def refuse(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        """Answer instead of the application, unless a response has begun, and close."""
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            answer = _problem(status, detail, headers)
            with contextlib.suppress(h11.LocalProtocolError):  # a response to HEAD has no body
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
        """Whether part of a request has arrived."""
        return self.conn.their_state is h11.SEND_BODY or bool(self.conn.trailing_data[0])

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, noting whether it answers with an event stream."""

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._endless = any(value.startswith(b"text/event-stream") for _, value in message.get("headers", ()))
            elif self.transport.is_closing():
                await asyncio.sleep(0)  # lets uvicorn notice, and stop writing
            await send(message)

        if scope["method"] == "CONNECT":  # a 2xx response would end HTTP on this connection
            await _problem(405, "this server is not a proxy")(scope, receive, send)
        # A proxy may have used the other one, and take the rest for the next request (request smuggling).
        elif {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
            refusal = _problem(400, "a request has Content-Length or Transfer-Encoding, not both")
            await refusal(scope, receive, send)
        else:
            with contextlib.suppress(ClientDisconnect):  # disconnected mid-request: not the application's fault
                await self._app(scope, receive, noting)


def _problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """A problem document (RFC 9457) after which the connection is closed."""
    told = {"type": "about:blank", "title": _phrase(status), "status": status, "detail": detail}
    return JSONResponse(told, status, {**(headers or {}), "Connection": "close"}, PROBLEM)


def _phrase(status: int) -> str:
    return http.HTTPStatus(status).phrase


def counted_as(host: str) -> str:
    """The address or network as which this address is counted."""
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network((address, 64), strict=False))
    return host

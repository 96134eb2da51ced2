"""Bounds what a client that does not read costs an HTTP server: bytes, and time.

uvicorn waits for a client once 64 KB are unsent, for as long as the client likes, and the kernel takes up to 4 MB
before that. Here a connection holds 16 KB and one write more, the kernel 64 KB, and whoever takes nothing for a minute
is disconnected. On Linux that goes for a host that is gone, too, which would be tried for a quarter of an hour. Nor can
anybody hold connections by sending no request.
"""

import asyncio
import json
import logging
import socket
from typing import Any

import h11
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

logger = logging.getLogger(__name__)

STALLED_S = 60.0
UNSENT_BYTES = 16 * 1024  # above this the application waits
SILENT_S = 20.0  # that a client may take for its first request, before anybody has asked for its key
KERNEL_BYTES = 32 * 1024  # Linux takes twice that, for its own needs


def protocol(stalled_s: float = STALLED_S, silent_s: float = SILENT_S) -> type[asyncio.Protocol]:
    """For `uvicorn.Config(http=…)`: connections that are closed after so many seconds without progress, or without a
    request."""
    return type("Patient", (BoundedProtocol,), {"stalled_s": stalled_s, "silent_s": silent_s})


class BoundedProtocol(H11Protocol):
    """An HTTP connection that is closed when what was written to it makes no progress for `stalled_s` seconds.

    When the server shuts down, it also ends event streams, which would never end by themselves.
    """

    stalled_s = STALLED_S
    silent_s = SILENT_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stalling: asyncio.TimerHandle | None = None
        self._silent: asyncio.TimerHandle | None = None
        self._endless = False
        self._app, self.app = self.app, self._noted

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Set the bounds."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=UNSENT_BYTES)
        self._silent = self.loop.call_later(self.silent_s, self._close_without_request)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
        if sock.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self.stalled_s * 1000))

    def pause_writing(self) -> None:
        """The application waits from here on, but not for ever."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """The client has read."""
        self._unwatch()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """There is nothing to wait for."""
        self._unwatch()
        if self._silent:
            self._silent.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close what is idle, and event streams: their readers come back, to another replica."""
        super().shutdown()
        if self._endless and not self.cycle.response_complete:
            self.transport.abort() if self.flow.write_paused else self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Broken HTTP gets a problem document, too (RFC 9457)."""
        problem = {"type": "/problems/bad-request", "title": "Bad request", "status": 400, "detail": msg}
        body = json.dumps(problem).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event))
        self.transport.close()

    def _close_without_request(self) -> None:
        if self.cycle is None:  # uvicorn's own hints leave out what stands here before the first request
            self.transport.close()  # type: ignore[unreachable]

    def _watch(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        self._stalling = self.loop.call_later(self.stalled_s, self._look, unsent)

    def _unwatch(self) -> None:
        if self._stalling:
            self._stalling.cancel()
            self._stalling = None

    def _look(self, unsent_before: int) -> None:
        """Nothing is added while the application waits, so that less than before is progress."""
        if self.transport.get_write_buffer_size() < unsent_before:
            self._watch()
            return
        logger.info("%s took nothing for %g s and is disconnected", self.client, self.stalled_s)
        self.transport.abort()

    async def _noted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application; notes whether it answers with an event stream."""

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._endless = any(value.startswith(b"text/event-stream") for _, value in message.get("headers", ()))
            elif self.transport.is_closing():
                await asyncio.sleep(0)  # now uvicorn learns of it, and does not write on
            await send(message)

        await self._app(scope, receive, noting)

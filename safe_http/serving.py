"""An HTTP server for untrusted clients: uvicorn, with bounded connections (`safe_http.connections`)."""

import asyncio
import contextlib
import errno
import logging
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import uvicorn
from starlette.types import ASGIApp

from safe_http.connections import TOLD_EVERY_S, BoundedConnection, Bounds, Connections

logger = logging.getLogger(__name__)

WAITING_AT_THE_DOOR = 2048  # the listen backlog in the kernel
# asyncio accepts this many before it handles the first, and without a free descriptor it logs a traceback for each:
# hundreds of megabytes at uvicorn's 2048.
ACCEPTED_AT_ONCE = 8
WEBSOCKETS = "safe_http.websockets:BoundedWebSocket"  # imported by programs that have any
MESSAGE_BYTES = 256 * 1024  # of one message from a client of a WebSocket
LOOKED_EVERY = 5  # ticks of uvicorn, of 0.1 s
NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class HttpServer(uvicorn.Server):
    """Serves an application until `should_exit` is set. Signals are left to the caller.

    Args:
        app: the ASGI application.
        ending_s: seconds that running requests get at shutdown.
        bounds: number of connections, and their timeouts.
        lifespan: whether the application gets ASGI lifespan events.
        websockets: whether it accepts WebSockets; it must then check who opens one.
        started: called once it listens.
    """

    server_state: Connections

    def __init__(
        self,
        app: ASGIApp,
        *,
        ending_s: int,
        bounds: Bounds | None = None,
        lifespan: Literal["on", "off"] = "on",
        websockets: bool = False,
        started: Callable[[], None] = lambda: None,
    ) -> None:
        bounds = bounds or Bounds()
        # No proxy headers: limits per address use the connecting address, which cannot be forged.
        config = uvicorn.Config(
            app,
            http=BoundedConnection,
            ws=WEBSOCKETS if websockets else "none",
            ws_max_size=MESSAGE_BYTES,
            lifespan=lifespan,
            log_config=None,
            log_level=logging.ERROR,  # no line per malformed request
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=ACCEPTED_AT_ONCE,
            timeout_keep_alive=int(bounds.idle_s) + 1,  # our timeout comes first, and does not end with the next byte
            timeout_graceful_shutdown=ending_s,
        )
        super().__init__(config)
        self.server_state = Connections(bounds)
        self._started = started
        self._told_at = float("-inf")

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the caller."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(self._went_wrong)
        await super().startup(sockets)
        for each in sockets or []:
            each.listen(WAITING_AT_THE_DOOR)
        self._started()

    async def on_tick(self, counter: int) -> bool:
        if counter % LOOKED_EVERY == 0:
            self.server_state.look()
        return await super().on_tick(counter)

    def _went_wrong(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log a lack of descriptors once in a while: asyncio retries, and would log, every second."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in NO_DESCRIPTORS):
            return loop.default_exception_handler(context)
        if time.monotonic() - self._told_at > TOLD_EVERY_S:
            self._told_at = time.monotonic()
            logger.error("no connection can be accepted: %s; raise the limit of open files (ulimit -n)", error)
        return None

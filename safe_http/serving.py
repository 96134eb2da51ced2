"""An HTTP server for strangers: uvicorn, with bounded connections (`safe_http.connections`)."""

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

WAITING_AT_THE_DOOR = 2048  # in the kernel, until they are accepted
# asyncio accepts as many as it is told before it looks at the first of them, and when it has no descriptor left, it
# logs a traceback for each: at uvicorn's 2048, hundreds of megabytes.
ACCEPTED_AT_ONCE = 8
LOOKED_EVERY = 5  # ticks of uvicorn, of 0.1 s
NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class HttpServer(uvicorn.Server):
    """Serves an application. Signals are left to whoever runs it: `should_exit` ends it.

    Args:
        app: what is served.
        ending_s: seconds that requests under way have when it is told to end.
        bounds: how many connections there may be, and how long they may take.
        lifespan: whether the application is told of beginning and end.
        started: called when it listens.
    """

    server_state: Connections

    def __init__(
        self,
        app: ASGIApp,
        *,
        ending_s: int,
        bounds: Bounds | None = None,
        lifespan: Literal["on", "off"] = "on",
        started: Callable[[], None] = lambda: None,
    ) -> None:
        bounds = bounds or Bounds()
        # No proxy headers: what is counted by address is counted by the one that connects, which nobody can invent.
        config = uvicorn.Config(
            app,
            http=BoundedConnection,
            ws="none",
            lifespan=lifespan,
            log_config=None,
            log_level=logging.ERROR,  # no line per broken request
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=ACCEPTED_AT_ONCE,
            timeout_keep_alive=int(bounds.idle_s) + 1,  # ours comes first, and does not end with the next byte
            timeout_graceful_shutdown=ending_s,
        )
        super().__init__(config)
        self.server_state = Connections(bounds)
        self._started = started
        self._told_at = float("-inf")

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are left to whoever runs it."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        asyncio.get_running_loop().set_exception_handler(self._went_wrong)
        await super().startup(sockets)
        for each in sockets or []:
            each.listen(WAITING_AT_THE_DOOR)
        self._started()

    async def on_tick(self, counter: int) -> bool:
        """Also looks at the connections."""
        if counter % LOOKED_EVERY == 0:
            self.server_state.look()
        return await super().on_tick(counter)

    def _went_wrong(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """asyncio tries again each second, and tells of it as often."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in NO_DESCRIPTORS):
            return loop.default_exception_handler(context)
        if time.monotonic() - self._told_at > TOLD_EVERY_S:
            self._told_at = time.monotonic()
            logger.error("no connection can be accepted: %s; raise the limit of open files (ulimit -n)", error)
        return None

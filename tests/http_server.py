"""Serves an ASGI application on a real socket, for tests whose other side is another program."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette


@contextlib.contextmanager
def served(app: Starlette) -> Iterator[str]:
    """The application in a thread of its own; its address, without a slash at the end."""
    # Longer than clients keep connections: a request is lost if both sides close at the same time.
    config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none", timeout_keep_alive=60)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()

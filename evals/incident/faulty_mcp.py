"""A real MCP server behind a proxy that makes it misbehave: slow under load, or down for a while."""

import asyncio
import contextlib
import json
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ONE_AT_A_TIME_S = 0.4
BURST_CALLS = 12
HOP_BY_HOP = {"host", "content-length", "connection", "transfer-encoding", "content-encoding"}

Forward = Callable[[Request], Awaitable[Response]]
Fault = Callable[[Request, Forward], Awaitable[Response]]


def crowded() -> Fault:
    """One request at a time, each of 400 ms: fast for one client, slow for many at once."""
    turn = asyncio.Lock()

    async def fault(request: Request, forward: Forward) -> Response:
        async with turn:
            await asyncio.sleep(ONE_AT_A_TIME_S)
        return await forward(request)

    return fault


def burst() -> Fault:
    """The first tool calls get 503, as from a restarting server."""
    left = BURST_CALLS

    async def fault(request: Request, forward: Forward) -> Response:
        nonlocal left
        if left and await _method(request) == "tools/call":
            left -= 1
            return Response("the server is overloaded", 503)
        return await forward(request)

    return fault


FAULTS: dict[str, Callable[[], Fault]] = {"crowded": crowded, "burst": burst}


def build(target: str, fault: str, asked: Counter[str]) -> Starlette:
    """The proxy in front of `target`, a streamable HTTP endpoint.

    `asked` counts requests by method; `fault` is a name in FAULTS.
    """
    misbehave = FAULTS[fault]()
    client = httpx.AsyncClient(timeout=None)

    async def forward(request: Request) -> Response:
        headers = {name: value for name, value in request.headers.items() if name not in HOP_BY_HOP}
        given = await client.request(request.method, target, headers=headers, content=await request.body())
        kept = {name: value for name, value in given.headers.items() if name not in HOP_BY_HOP}
        return Response(given.content, given.status_code, kept)

    async def handle(request: Request) -> Response:
        asked[await _method(request)] += 1
        return await misbehave(request, forward)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        async with client:
            yield

    return Starlette(routes=[Route("/mcp", handle, methods=["GET", "POST", "DELETE"])], lifespan=lifespan)


@contextlib.contextmanager
def served(target: str, fault: str) -> Iterator[tuple[str, Counter[str]]]:
    """The proxy in a thread until the block ends: its MCP endpoint, and its requests by method so far."""
    asked: Counter[str] = Counter()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = _server(build(target, fault, asked))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", asked
        finally:
            server.should_exit = True
            thread.join()


def _server(app: Starlette) -> uvicorn.Server:
    # Clients that wait in vain must not keep it from ending.
    config = uvicorn.Config(app, log_level="critical", ws="none", timeout_graceful_shutdown=1)
    return uvicorn.Server(config)


async def _method(request: Request) -> str:
    """The JSON-RPC method; "" for a request without one."""
    with contextlib.suppress(ValueError, AttributeError):
        return str(json.loads(await request.body()).get("method", ""))
    return ""

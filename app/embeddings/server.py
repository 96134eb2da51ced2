"""The HTTP side of the embeddings gate: OpenAI's route, for the knowledge base alone."""

import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypedDict

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.embeddings.gate import Gate, Refused

TICKET = "x-tollgate-ticket"
MOST_BYTES = 8 * 1024 * 1024


class State(TypedDict):
    """What requests get to see of the process."""

    gate: Gate


def build(opened: Callable[[], AbstractAsyncContextManager[Gate]], key: str) -> Starlette:
    """The application. Whoever has the key may ask; `opened` is the gate while the application runs."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[State]:
        async with opened() as gate:
            yield {"gate": gate}

    async def embeddings(request: Request) -> Response:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), key.encode()):
            return _error(401, "this gate is for the knowledge base alone; both need the same TOLLGATE_EMBEDDINGS_KEY")
        asked = bytearray()
        async for part in request.stream():
            asked += part
            if len(asked) > MOST_BYTES:
                return _error(413, f"a request has {MOST_BYTES} bytes at most")
        gate: Gate = request.state.gate
        try:
            answer = await gate.answer(bytes(asked), request.headers.get(TICKET))
        except Refused as refused:
            return _error(refused.status, str(refused))
        return Response(answer, media_type="application/json")

    routes = [Route("/v1/embeddings", embeddings, methods=["POST"]), Route("/healthz", _healthz)]
    return Starlette(routes=routes, lifespan=lifespan)


async def _healthz(_: Request) -> Response:
    return JSONResponse({"status": "ok", "server": "embeddings"})


def _error(status: int, message: str) -> Response:
    """In OpenAI's form."""
    return JSONResponse({"error": {"message": message, "type": "refused", "code": None}}, status)

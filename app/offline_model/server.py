"""The HTTP side: OpenAI's routes over the rules."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app.offline_model.embeddings import embeddings
from app.offline_model.roles import reply_to
from app.offline_model.wire import BadRequestError, chunks, completion, error_body, parse_request

MODELS = ("tollgate-rules", "tollgate-rules-embedding")

logger = logging.getLogger(__name__)


def build(latency_ms: int = 0) -> Starlette:
    """The application. Every completion waits `latency_ms` milliseconds first, as a slow provider would."""

    async def chat(request: Request) -> Response:
        wanted = parse_request(await request.body())
        reply = reply_to(wanted)
        await asyncio.sleep(latency_ms / 1000)
        if not wanted.stream:
            return JSONResponse(completion(wanted, reply))
        return StreamingResponse(_events(chunks(wanted, reply)), media_type="text/event-stream")

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/embeddings", _embeddings, methods=["POST"]),
            Route("/v1/models", _models),
            Route("/healthz", _healthz),
        ],
        exception_handlers={
            BadRequestError: _bad_request,
            HTTPException: _http_error,
            Exception: _server_error,
        },
    )


async def _events(documents: Iterable[dict[str, Any]]) -> AsyncIterator[str]:
    for document in documents:
        yield f"data: {json.dumps(document, ensure_ascii=False)}\n\n"
    yield "data: [DONE]\n\n"


async def _embeddings(request: Request) -> Response:
    return JSONResponse(embeddings(await request.body()))


async def _models(_: Request) -> Response:
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "tollgate"} for name in MODELS]
    return JSONResponse({"object": "list", "data": data})


async def _healthz(_: Request) -> Response:
    return JSONResponse({"status": "ok", "server": "offline_model"})


async def _bad_request(_: Request, error: Exception) -> Response:
    return JSONResponse(error_body(str(error), "invalid_request_error", None), 400)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{error.detail}: {request.method} {request.url.path}"
    return JSONResponse(error_body(message, "invalid_request_error", None), error.status_code)


async def _server_error(_: Request, error: Exception) -> Response:
    logger.error("the rules failed", exc_info=error)
    return JSONResponse(error_body(f"the rules failed: {error}", "server_error", None), 500)

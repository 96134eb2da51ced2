"""The HTTP side: OpenAI's routes over the rules, and the invoice for what was answered."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.stand_in.billing import Invoice, PromptCache
from app.stand_in.completion import Usage, chunks, completion
from app.stand_in.dialects import PLAIN, Dialect
from app.stand_in.dialects.refusals import Refused
from app.stand_in.dialects.understood import is_written, understood, written_out
from app.stand_in.embeddings import embeddings
from app.stand_in.faults import HONEST, Profile
from app.stand_in.tape import Tape
from app.stand_in.wire import BadRequestError, error_body, parse_request, prompt_of

MODELS = ("tollgate-rules", "tollgate-rules-embedding")
CLIENT_CLOSED_REQUEST = 499  # nginx's name for an answer that nobody waits for any more

logger = logging.getLogger(__name__)


def build(
    latency_ms: int = 0, profile: Profile = HONEST, dialect: Dialect = PLAIN, tape: Tape | None = None
) -> Starlette:
    """The application.

    Args:
        latency_ms: every completion waits that many milliseconds first, as a slow provider would.
        profile: how the model misbehaves.
        dialect: which server it is.
        tape: answers completions instead, as they were recorded.
    """
    chat = Chat(latency_ms / 1000, profile, dialect)
    return Starlette(
        routes=[
            Route("/v1/chat/completions", tape.answer if tape else chat.answer, methods=["POST"]),
            Route("/v1/embeddings", chat.embed, methods=["POST"]),
            Route("/v1/models", _models),
            Route("/invoice", chat.bills),
            Route("/healthz", _healthz),
        ],
        exception_handlers={BadRequestError: _bad_request, HTTPException: _http_error, Exception: _server_error},
    )


class Chat:
    """Answers chat completions and writes the invoice. Each request counts as billed or as failed, never as both."""

    def __init__(self, latency_s: float, profile: Profile, dialect: Dialect) -> None:
        self._profile = profile
        self._dialect = dialect
        self._wait_s = None if profile.wait_s is None else profile.wait_s + latency_s
        self._invoice = Invoice()
        self._cache = PromptCache()

    async def bills(self, _: Request) -> Response:
        """What was billed so far."""
        return JSONResponse(self._invoice.body())

    async def answer(self, request: Request) -> Response:
        """A completion, or the failure that the profile has for this request."""
        try:
            return await self._answered(request, await request.body())
        except ClientDisconnect:
            return Response(status_code=CLIENT_CLOSED_REQUEST)

    async def embed(self, request: Request) -> Response:
        """Embeddings, which the invoice has apart."""
        answer = embeddings(await request.body())
        told = {"model": answer["model"], "input_tokens": answer["usage"]["prompt_tokens"]}
        self._invoice.embedded.append(told)
        return JSONResponse(answer)

    async def _answered(self, request: Request, body: bytes) -> Response:
        self._invoice.calls += 1
        failure = self._profile.failure(self._invoice.calls)
        if failure and failure.status:
            self._invoice.failed += 1
            return JSONResponse(failure.body, failure.status, failure.headers)
        if refusal := self._refusal(body):
            self._invoice.failed += 1
            return JSONResponse(refusal[1], refusal[0])
        try:
            wanted = parse_request(self._understood(body))
            spoken = self._profile.speak(wanted).within(wanted.answer_tokens)
        except Exception:
            self._invoice.failed += 1
            raise
        used = self._cache.usage(wanted.model, prompt_of(body), spoken.tokens)
        worst = Usage(prompt=used.prompt, cached=0, completion=wanted.answer_tokens)
        may_be_lost = failure is not None or self._profile.bills_the_lost_in_full
        bill = self._invoice.bill(wanted.model, worst if may_be_lost else used)
        if await _client_left(request, self._wait_s):
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        told = used if self._profile.tells_usage else None
        events = _events(chunks(wanted, spoken, told)) if wanted.stream else None
        if failure:
            return CutOff("".join(events) if events else json.dumps(completion(wanted, spoken, told)))
        bill.usage = used
        if events:
            return StreamingResponse(_each(events), media_type="text/event-stream")
        return JSONResponse(self._shaped(body, completion(wanted, spoken, told)))

    def _refusal(self, body: bytes) -> Refused | None:
        """What the server has against the request."""
        if not self._dialect.refuses:
            return None
        asked = json.loads(body)
        return next((refusal for refuse in self._dialect.refuses if (refusal := refuse(asked))), None)

    def _understood(self, body: bytes) -> bytes:
        """The request as the model gets to know it."""
        if self._dialect is PLAIN:
            return body
        asked = json.loads(body)
        ignored = [*self._dialect.ignores]
        ignored += [] if self._dialect.reads_tools else ["tools", "tool_choice"]
        ignored += [] if self._dialect.reads_schemas else ["response_format"]
        return json.dumps(understood({key: value for key, value in asked.items() if key not in ignored})).encode()

    def _shaped(self, body: bytes, document: dict[str, Any]) -> dict[str, Any]:
        """The completion as the server gives it."""
        if self._dialect is PLAIN:
            return document
        return self._dialect.shape(written_out(document) if is_written(json.loads(body)) else document)


class CutOff(Response):
    """Headers and half of the body, then the connection closes: uvicorn does that for an answer left unfinished."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})


async def _client_left(request: Request, seconds: float | None) -> bool:
    """Waits that long, None for as long as it takes, and says whether the client went away meanwhile."""
    if seconds == 0:
        return False
    try:
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


def _events(documents: Iterable[dict[str, Any]]) -> list[str]:
    lines = [f"data: {json.dumps(document, ensure_ascii=False)}\n\n" for document in documents]
    return [*lines, "data: [DONE]\n\n"]


async def _each(events: Iterable[str]) -> AsyncIterator[str]:
    for event in events:
        yield event


async def _models(_: Request) -> Response:
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "tollgate"} for name in MODELS]
    return JSONResponse({"object": "list", "data": data})


async def _healthz(_: Request) -> Response:
    return JSONResponse({"status": "ok", "server": "stand_in"})


async def _bad_request(_: Request, error: Exception) -> Response:
    return JSONResponse(error_body(str(error), "invalid_request_error", None), 400)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{error.detail}: {request.method} {request.url.path}"
    return JSONResponse(error_body(message, "invalid_request_error", None), error.status_code)


async def _server_error(_: Request, error: Exception) -> Response:
    logger.error("the rules failed", exc_info=error)
    return JSONResponse(error_body(f"the rules failed: {error}", "server_error", None), 500)

"""An OpenAI-compatible provider that keeps its own invoice, and misbehaves as it is told.

The invoice is computed here by other arithmetic than the product's: list prices of gpt-5-mini in nano-dollars a token,
each line rounded up to a micro-dollar; any other model has the dearest price on the list. For a call whose client went
away, or that it gives no usage for, the provider charges the most it may: a token for each byte it was sent, with a
margin, and all the tokens it was allowed to write.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.http_server import served

Json = dict[str, Any]
MODEL = "gpt-5-mini"
PRICES = {MODEL: (250, 25, 2000)}  # nano-dollars a token: uncached input, cached input, output
PRIORITY = (450, 45, 3600)
DEAREST = (150_000, 150_000, 600_000)
UNCAPPED = 128_000  # tokens that an answer may have when the request names no limit
MARGIN = 256  # bytes that a client is granted beyond those it sent
Behaviour = Literal[
    "answer",
    "no_usage",
    "broken_json",
    "cut_short",
    "hang",
    "reset",
    "worst",
    "refusal",
    408,
    409,
    429,
    500,
    503,
    400,
    401,
]


@dataclass
class Provider:
    """What it does with each request, by its number from 0; what it saw; what it charges.

    `decide` makes the message of an answer from the request; without it, the answer is `content`. `is_priority`: its
    project's default is that service tier.
    """

    behave: Callable[[int], Behaviour] = lambda _: "answer"
    content: str = "fine"
    decide: Callable[[Json], Json] | None = None
    output_tokens: int = 40
    input_tokens: int = 300
    cached_tokens: int = 0
    is_priority: bool = False
    requests: list[Json] = field(default_factory=list)
    invoice: list[int] = field(default_factory=list)
    retry_after: str = "0"
    url: str = ""
    asked: threading.Event = field(default_factory=threading.Event)

    @property
    def billed_micro_usd(self) -> int:
        return sum(self.invoice)

    def bill(self, request: Json, behaviour: Behaviour, size: int) -> None:
        worst = behaviour in {"no_usage", "hang", "reset", "worst"}
        read, cached = (size + MARGIN, 0) if worst else (self.input_tokens, self.cached_tokens)
        wrote = self._allowed(request) if worst or behaviour == "cut_short" else self.output_tokens
        uncached_price, cached_price, output_price = (
            PRIORITY if self.is_priority else PRICES.get(request["model"], DEAREST)
        )
        nano = (read - cached) * uncached_price + cached * cached_price + wrote * output_price
        self.invoice.append(-(-nano // 1000))

    def usage(self, request: Json, behaviour: Behaviour, size: int) -> Json:
        wrote = self._allowed(request) if behaviour in {"worst", "cut_short"} else self.output_tokens
        read = size + MARGIN if behaviour == "worst" else self.input_tokens
        cached = 0 if behaviour == "worst" else self.cached_tokens
        return {
            "prompt_tokens": read,
            "completion_tokens": wrote,
            "total_tokens": read + wrote,
            "prompt_tokens_details": {"cached_tokens": cached},
        }

    def _allowed(self, request: Json) -> int:
        each = int(request.get("max_completion_tokens") or request.get("max_tokens") or UNCAPPED)
        return (each if each > 0 else UNCAPPED) * int(request.get("n") or 1)


@contextlib.contextmanager
def billing(provider: Provider) -> Iterator[Provider]:
    """Serves it until the block ends; `provider.url` is its base address."""

    async def completions(request: Request) -> Response:
        body = await request.body()
        given = json.loads(body)
        number = len(provider.requests)
        provider.requests.append(given)
        provider.asked.set()
        behaviour = provider.behave(number)
        if isinstance(behaviour, int):
            error = {"message": f"scripted {behaviour}", "type": "scripted", "code": None}
            return JSONResponse({"error": error}, behaviour, headers={"retry-after": provider.retry_after})
        provider.bill(given, behaviour, len(body))
        if behaviour == "hang":
            while (await request.receive())["type"] != "http.disconnect":
                pass
            return Response(status_code=499)
        if behaviour == "reset":
            return StreamingResponse(_broken(), media_type="application/json", headers={"content-length": "1000"})
        if given.get("stream"):
            return StreamingResponse(_chunks(provider, given, behaviour, len(body)), media_type="text/event-stream")
        return JSONResponse(_completion(provider, given, behaviour, len(body)))

    async def anything_else(request: Request) -> Response:
        provider.requests.append({"path": request.url.path})
        provider.invoice.append(UNCAPPED)
        return JSONResponse({"error": {"message": "not here", "type": "scripted", "code": None}}, 404)

    known = Route("/v1/chat/completions", completions, methods=["POST"])
    app = Starlette(routes=[known, Route("/{path:path}", anything_else, methods=["GET", "POST"])])
    with served(app) as address:
        provider.url = f"{address}/v1"
        yield provider


async def _broken() -> Any:
    yield b'{"id": "x", "choi'
    raise ConnectionResetError


def _completion(provider: Provider, given: Json, behaviour: Behaviour, size: int) -> Json:
    content = '{"a": [1,' if behaviour in {"broken_json", "cut_short"} else provider.content
    message: Json = {"role": "assistant", "content": content}
    if behaviour == "refusal":
        message = {"role": "assistant", "content": None, "refusal": "I would rather not."}
    elif provider.decide is not None:
        message = {"role": "assistant", **provider.decide(given)}
    finish = "tool_calls" if "tool_calls" in message else "length" if behaviour == "cut_short" else "stop"
    document = {
        "id": "chatcmpl-billed",
        "object": "chat.completion",
        "created": 0,
        "model": given["model"],
        "service_tier": "priority" if provider.is_priority else "default",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }
    return document if behaviour == "no_usage" else {**document, "usage": provider.usage(given, behaviour, size)}


async def _chunks(provider: Provider, given: Json, behaviour: Behaviour, size: int) -> Any:
    envelope = {"id": "chatcmpl-billed", "object": "chat.completion.chunk", "created": 0, "model": given["model"]}
    for piece in ("fi", "ne"):
        delta = {"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": None}
        yield f"data: {json.dumps({**envelope, 'choices': [delta]})}\n\n"
    last = {"index": 0, "delta": {}, "finish_reason": "length" if behaviour == "cut_short" else "stop"}
    yield f"data: {json.dumps({**envelope, 'choices': [last]})}\n\n"
    if behaviour != "no_usage":
        usage = provider.usage(given, behaviour, size)
        yield f"data: {json.dumps({**envelope, 'choices': [], 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"

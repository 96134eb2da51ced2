"""What is tried again, and how often: over a real client, and a server that answers as it is told."""

import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from graphs.errors import ModelUnavailable
from graphs.spending.retrying import ATTEMPTS
from tests.billing_provider import Provider
from tests.graphs.gates import JOB, Gate, gate
from tests.http_server import served

Json = dict[str, Any]
MICRO = 450  # of 1000 tokens in and 100 out
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


@contextlib.asynccontextmanager
async def asking(client: Redis, answer: Callable[[Json], Response]) -> AsyncIterator[Gate]:
    """A governed model whose server answers each request so."""

    async def completions(request: Request) -> Response:
        return answer(json.loads(await request.body()))

    route = Route("/v1/chat/completions", completions, methods=["POST"])
    with served(Starlette(routes=[route])) as address:
        async with gate(Provider(url=f"{address}/v1"), client) as toll:
            yield toll


@pytest.mark.parametrize("error", [{"error": {"code": 502, "message": "upstream"}}, {"choices": []}])
async def test_an_outage_that_is_billed_each_time_is_tried_a_few_times_only(redis_client: Redis, error: Json) -> None:
    asked: list[Json] = []

    def answer(request: Json) -> Response:
        asked.append(request)
        return JSONResponse({**error, "usage": USAGE}, headers={"retry-after": "0"})

    async with asking(redis_client, answer) as toll:
        with pytest.raises(ModelUnavailable):
            await toll.charged(outage_s=60).ainvoke("hello")
        spend = await toll.ledger.spend(JOB)
    assert len(asked) == ATTEMPTS
    assert (spend.micro_usd, spend.reserved_micro_usd) == (ATTEMPTS * MICRO, 0)


async def test_a_long_prompt_shortens_its_own_answer_and_no_other(redis_client: Redis) -> None:
    asked: list[int] = []

    def answer(request: Json) -> Response:
        asked.append(request["max_tokens"])
        prompt = 900 if "long" in json.dumps(request["messages"]) else 10
        if prompt + asked[-1] <= 1500:
            return JSONResponse({"choices": [{"message": {"content": "fine"}}], "usage": USAGE})
        told = f"This model's maximum context length is 1500 tokens. However, you requested {asked[-1]} output tokens"
        error = {"message": f"{told} and your prompt contains {prompt} input tokens.", "param": "max_tokens"}
        return JSONResponse({"error": error}, 400)

    async with asking(redis_client, answer) as toll:
        model = toll.charged(answer_floor_tokens=2000)
        assert [(await model.ainvoke(each)).content for each in ("a long one", "short")] == ["fine", "fine"]
    assert asked == [1000, 600, 1000]


async def test_an_answer_that_unpacks_to_too_much_is_not_read_on(redis_client: Redis) -> None:
    bomb = gzip.compress(b'{"choices": "' + b" " * (32 * 1024 * 1024), 9)
    answer = Response(bomb, media_type="application/json", headers={"content-encoding": "gzip"})
    async with asking(redis_client, lambda _: answer) as toll:
        with pytest.raises(ModelUnavailable, match="it has more than 16777216 bytes"):
            await toll.charged().ainvoke("hello")

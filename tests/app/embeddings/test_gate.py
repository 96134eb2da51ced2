"""The embeddings gate against a provider that keeps an invoice: every request is paid for, by a job or by the day."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from app.embeddings.gate import Gate, Refused
from app.embeddings.server import build
from graphs.clock import utc_now
from graphs.spending.ledger import Ledger
from graphs.spending.parts import EMBEDDING
from tests.graphs.ledgers import AMPLE, account, reserved
from tests.http_server import served

MODEL, PRICE, KEY = "embedder", 3, "k" * 32
BEHAVIOURS = ("answer", "answer", "silent", "cut off", "busy once", "400", "500")


@dataclass
class Provider:
    """Behaves as the first word of the text says, and keeps an invoice by the last one, in tokens."""

    url: str = ""
    requests: list[Any] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    invoice: dict[str, int] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    async def answer(self, request: Request) -> Response:
        given = await request.json()
        self.requests.append(given)
        self.keys.add(request.headers["authorization"])
        text = given["input"] if isinstance(given["input"], str) else given["input"][0]
        behaviour, _, who = text.partition("|")
        first, self.seen = text not in self.seen, self.seen | {text}
        if behaviour.isdecimal() or (behaviour == "busy once" and first):
            return JSONResponse({"error": {"message": "sk-secret"}}, int(behaviour) if behaviour.isdecimal() else 429)
        # What nobody hears of, it bills at the most that it may: a token a byte, as the gate reckons it.
        lost = behaviour in {"silent", "cut off"}
        tokens = len(json.dumps([given["input"]], separators=(",", ":"))) if lost else 7
        owner = who.partition("|")[0]
        self.invoice[owner] = self.invoice.get(owner, 0) + tokens
        if behaviour == "cut off":
            return StreamingResponse(_broken(), headers={"content-length": "1000"}, media_type="application/json")
        usage = {} if behaviour == "silent" else {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
        return JSONResponse({"object": "list", "model": given["model"], "data": [], **usage})


async def _broken() -> Any:
    yield b'{"object"'
    raise ConnectionResetError


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    with served(Starlette(routes=[Route("/v1/embeddings", made.answer, methods=["POST"])])) as address:
        made.url = f"{address}/v1/embeddings"
        yield made


@asynccontextmanager
async def gate(url: str, ledger: Ledger, day: int = AMPLE) -> AsyncIterator[Gate]:
    async with httpx.AsyncClient(headers={"Authorization": "Bearer provider-key"}) as http:
        yield Gate(ledger, http, url, MODEL, lambda tokens: PRICE * tokens, day)


def ledger_of(client: Redis) -> Ledger:
    return Ledger(client, ttl_seconds=600)


def asked(text: str | list[str], **other: Any) -> bytes:
    return json.dumps({"model": MODEL, "input": text, "encoding_format": "float", **other}).encode()


async def status_of(gate: Gate, body: bytes, ticket: str | None = None) -> int:
    try:
        await gate.answer(body, ticket)
    except Refused as refused:
        return refused.status
    return 200


@pytest.mark.parametrize("seed", range(3))
async def test_the_ledger_is_the_invoice_whatever_becomes_of_the_requests(
    provider: Provider, redis_client: Redis, seed: int
) -> None:
    chance, ledger = random.Random(seed), ledger_of(redis_client)

    async def one(number: int, gate: Gate) -> None:
        behaviour, job = chance.choice(BEHAVIOURS), chance.choice(["", "one", "other"])
        body = asked(f"{behaviour}|{job}|{number}")
        if not job:
            await status_of(gate, body)
            return
        ticket = await reserved(ledger, account(job), 1_000)
        await status_of(gate, body, ticket)
        await ledger.release(ticket)  # as the tool gateway does

    async with gate(provider.url, ledger) as here:
        await asyncio.gather(*(one(number, here) for number in range(40)))
    for job in ("one", "other"):
        spent = await ledger.spend(job)
        assert (spent.micro_usd, spent.reserved_micro_usd) == (PRICE * provider.invoice[job], 0)
    today = (await ledger.spent_today("acme")).deployment
    assert (today.micro_usd, today.reserved_micro_usd) == (PRICE * sum(provider.invoice.values()), 0)
    parts = await ledger.parts(utc_now().date())
    assert parts.of(EMBEDDING)[MODEL].micro_usd == today.micro_usd
    assert parts.dearest[""] == parts.agents[""] == PRICE * provider.invoice[""], "of no tenant: for no job"


async def test_a_ticket_pays_for_no_more_than_it_has_and_for_nothing_once_its_call_has_ended(
    provider: Provider, redis_client: Redis
) -> None:
    ledger, body = ledger_of(redis_client), asked("answer|job")
    bound = PRICE * len('["answer|job"]')
    ticket = await reserved(ledger, account(), 2 * bound - 1)
    async with gate(provider.url, ledger) as here:
        outcomes = await asyncio.gather(*(status_of(here, body, ticket) for _ in range(4)))
        assert sorted(outcomes) == [200, 402, 402, 402]
        await ledger.release(ticket)
        for unpaid in (ticket, "", "made-up"):
            assert await status_of(here, body, unpaid) == 402
    assert len(provider.requests) == 1
    assert (await ledger.spend("job")).micro_usd == PRICE * 7


async def test_what_is_drawn_is_settled_after_the_call_has_ended(provider: Provider, redis_client: Redis) -> None:
    """A tool call that is given up releases its ticket while the provider still works."""
    ledger = ledger_of(redis_client)
    ticket = await reserved(ledger, account(), 1_000)
    assert await ledger.draw(ticket, "drawn", 400, expires_in_s=60)
    await ledger.release(ticket)
    spent = await ledger.spend("job")
    assert (spent.micro_usd, spent.reserved_micro_usd) == (0, 400)
    await ledger.settle("drawn", 123)
    spent = await ledger.spend("job")
    assert (spent.micro_usd, spent.reserved_micro_usd) == (123, 0)
    assert not await ledger.draw(ticket, "late", 1, expires_in_s=60)


async def test_a_day_that_is_used_up_or_a_ledger_that_is_away_pays_for_nothing(
    provider: Provider, redis_client: Redis
) -> None:
    async with gate(provider.url, ledger_of(redis_client), day=10) as here:
        assert await status_of(here, asked("answer|")) == 402
    async with gate(provider.url, ledger_of(Redis(port=1))) as here:
        assert await status_of(here, asked("answer|")) == 503
        assert await status_of(here, asked("answer|"), "ticket") == 503
    assert provider.requests == []


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        asked([]),
        asked(""),
        asked("text", user="me"),
        json.dumps({"model": "dearer", "input": "text"}).encode(),
        json.dumps({"model": MODEL, "input": [[1, 2, 3]]}).encode(),  # numbers of tokens: bytes say nothing of them
    ],
)
async def test_what_has_no_bound_is_not_passed_on(provider: Provider, redis_client: Redis, body: bytes) -> None:
    async with gate(provider.url, ledger_of(redis_client)) as here:
        assert await status_of(here, body) == 400
    assert provider.requests == []


async def test_a_provider_that_is_gone_is_tried_again_and_costs_nothing(redis_client: Redis) -> None:
    ledger = ledger_of(redis_client)
    async with gate("http://127.0.0.1:9/v1/embeddings", ledger) as here:
        assert await status_of(here, asked("answer|")) == 502
    assert (await ledger.spent_today("acme")).deployment.micro_usd == 0


async def test_a_request_that_is_given_up_is_charged(redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = ledger_of(redis_client)
    called = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        await reader.read()
        writer.close()

    provider = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{provider.sockets[0].getsockname()[1]}/v1/embeddings"
    async with provider, gate(url, ledger) as here:
        asking = asyncio.create_task(here.answer(asked("answer|"), None))
        await called.wait()
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
    today = (await ledger.spent_today("acme")).deployment
    assert (today.micro_usd, today.reserved_micro_usd) == (PRICE * len('["answer|"]'), 0)


async def test_only_who_has_the_key_may_ask_and_the_provider_gets_its_own(
    provider: Provider, redis_client: Redis
) -> None:
    app = build(lambda: gate(provider.url, ledger_of(redis_client)), KEY)
    async with app.router.lifespan_context(app) as state:
        transport = httpx.ASGITransport(_with(app, dict(state or {})))
        async with httpx.AsyncClient(transport=transport, base_url="http://gate/v1") as client:
            for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": KEY[:-1]}):
                assert (await client.post("/embeddings", content=asked("answer|"), headers=wrong)).status_code == 401
            right = {"Authorization": f"Bearer {KEY}"}
            assert (await client.post("/embeddings", content=asked("answer|"), headers=right)).json()["data"] == []
            unpaid = await client.post("/embeddings", content=asked("a|"), headers=right | {"x-tollgate-ticket": ""})
            assert (unpaid.status_code, "no open reservation" in unpaid.text) == (402, True)
            large = b" " * (8 * 1024 * 1024 + 1)
            assert (await client.post("/embeddings", content=large, headers=right)).status_code == 413
    assert provider.keys == {"Bearer provider-key"}
    assert len(provider.requests) == 1


def _with(app: Any, state: dict[str, Any]) -> Any:
    async def run(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "state": state}, receive, send)

    return run

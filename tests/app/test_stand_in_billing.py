"""What the stand-in charges: answers no longer than allowed, cached tokens as OpenAI counts them, and the invoice."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.stand_in.billing import MOST_BILLS, Invoice, PromptCache
from app.stand_in.completion import Spoken, Usage
from app.stand_in.wire import Function
from tests.app.offline_team import serving

Json = dict[str, Any]

BLOCK = 512  # characters of 128 tokens
INPUT = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
SEARCH = {"type": "function", "function": {"name": "notes__search", "description": "a tool", "parameters": INPUT}}
QUESTION = json.dumps({"question": "How many pieces of the Bolt M8, the Nut N5 and the Washer W2 are in stock?"})


@pytest.fixture
def url() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url) as client:
        yield client


@pytest.fixture
async def client(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        yield client


def asked(text: str, **fields: Any) -> Json:
    return {"model": "rules", "messages": [{"role": "user", "content": text}], **fields}


async def answered(http: httpx.AsyncClient, request: Json) -> Json:
    response = await http.post("/chat/completions", json=request)
    assert response.status_code == 200
    body: Json = response.json()
    return body


async def invoice(http: httpx.AsyncClient) -> Json:
    body: Json = (await http.get("../invoice")).json()
    return body


@pytest.mark.parametrize("limit", ["max_completion_tokens", "max_tokens"])
async def test_an_answer_ends_at_its_limit(http: httpx.AsyncClient, limit: str) -> None:
    whole = await answered(http, asked("hello"))
    cut = await answered(http, asked("hello", **{limit: 10}))
    [said], [begun] = whole["choices"], cut["choices"]
    assert begun["message"]["content"] == said["message"]["content"][:40]
    assert (said["finish_reason"], begun["finish_reason"]) == ("stop", "length")
    assert cut["usage"]["completion_tokens"] == 10
    exact = await answered(http, asked("hello", **{limit: whole["usage"]["completion_tokens"]}))
    assert exact["choices"] == whole["choices"]


async def test_the_arguments_of_a_call_are_cut_in_the_middle(client: openai.AsyncOpenAI) -> None:
    request: Json = asked(QUESTION, tools=[SEARCH], max_completion_tokens=12)
    plain = await client.chat.completions.create(**request)
    [call] = plain.choices[0].message.tool_calls or []
    assert isinstance(call, openai.types.chat.ChatCompletionMessageFunctionToolCall)
    assert plain.choices[0].finish_reason == "length"
    assert len(call.function.name + call.function.arguments) == 48
    with pytest.raises(json.JSONDecodeError):
        json.loads(call.function.arguments)
    stream = await client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    pieces = [call for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or []]
    assert "".join(each.function.arguments or "" for each in pieces if each.function) == call.function.arguments
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert chunks[-1].usage == plain.usage


@pytest.mark.parametrize("limit", [0, -1, "many"])
async def test_a_limit_below_one_token_is_refused(http: httpx.AsyncClient, limit: Any) -> None:
    response = await http.post("/chat/completions", json=asked("hello", max_completion_tokens=limit))
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith("max_completion_tokens")


@given(
    text=st.text(max_size=60),
    calls=st.lists(st.builds(Function, name=st.text(max_size=20), arguments=st.text(max_size=60)), max_size=3),
    tokens=st.integers(1, 60),
)
def test_no_answer_is_longer_than_its_limit(text: str, calls: list[Function], tokens: int) -> None:
    whole = Spoken(text="" if calls else text, calls=tuple(calls))
    cut = whole.within(tokens)
    assert cut.tokens <= tokens
    assert cut.is_cut == (whole.tokens > tokens)
    assert whole.text.startswith(cut.text)
    for one, begun in zip(whole.calls, cut.calls, strict=False):
        assert one.name == begun.name
        assert one.arguments.startswith(begun.arguments)
    if cut.is_cut and not calls:
        assert cut.tokens == tokens


PROMPTS = st.builds(
    lambda blocks, rest: "".join(letter * BLOCK for letter in blocks) + rest,
    st.lists(st.sampled_from("ab"), min_size=6, max_size=12),
    st.sampled_from(["", "a", "a" * 511, "b" * 100]),
)


@given(requests=st.lists(st.tuples(st.sampled_from(["m1", "m2"]), PROMPTS), max_size=8))
def test_cached_is_the_longest_beginning_of_an_earlier_prompt(requests: list[tuple[str, str]]) -> None:
    cache = PromptCache()
    for number, (model, prompt) in enumerate(requests):
        earlier = [text for name, text in requests[:number] if name == model]
        blocks = max((_common(prompt, text) // BLOCK for text in earlier), default=0)
        assert cache.read(model, prompt) == (blocks * 128 if blocks >= 8 else 0)


def _common(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def test_the_cache_forgets_the_oldest_when_there_are_too_many() -> None:
    cache = PromptCache(most_blocks=16)
    first, *others = (letter * BLOCK * 10 for letter in "abcdefg")
    cache.read("m", first)
    for other in others:
        cache.read("m", other)
        assert len(cache._known) <= 16
    assert cache.read("m", others[-1]) == 1280
    assert cache.read("m", first) == 0


def test_the_cache_keeps_what_is_read_again_and_of_a_long_prompt_its_beginning() -> None:
    cache = PromptCache(most_blocks=8)
    often, others = "a" * BLOCK * 10, [letter * BLOCK * 10 for letter in "bcdef"]
    for other in others:
        cache.read("m", other)
        cache.read("m", often)
    cache.read("m", others[0])
    assert cache.read("m", often) == 1280
    cache.read("m", others[1])
    cache.read("m", others[2])
    assert cache.read("m", often) == 1152  # its longest beginning made room


async def test_a_conversation_that_grows_is_cached_as_far_as_it_was_sent(http: httpx.AsyncClient) -> None:
    system = {"role": "system", "content": "a" * 9000}
    request: Json = {"model": "rules", "messages": [system, {"role": "user", "content": "hello"}], "tools": [SEARCH]}
    first = (await answered(http, request))["usage"]
    request["messages"].append({"role": "assistant", "content": "b" * 3000})
    second = (await answered(http, request))["usage"]
    other_model = (await answered(http, {**request, "model": "other"}))["usage"]
    without_tools = (await answered(http, {**request, "tools": []}))["usage"]
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    cached = second["prompt_tokens_details"]["cached_tokens"]
    assert cached % 128 == 0
    assert first["prompt_tokens"] - 128 <= cached <= first["prompt_tokens"]
    assert other_model["prompt_tokens_details"]["cached_tokens"] == 0
    assert without_tools["prompt_tokens_details"]["cached_tokens"] == 0  # tools are read first


async def test_short_prompts_are_never_cached(http: httpx.AsyncClient) -> None:
    for _ in range(3):
        usage = (await answered(http, asked("a" * 3900)))["usage"]
        assert usage["prompt_tokens"] < 1024
        assert usage["prompt_tokens_details"]["cached_tokens"] == 0


async def test_the_invoice_is_what_the_answers_said(http: httpx.AsyncClient, client: openai.AsyncOpenAI) -> None:
    long = asked("a" * 6000)
    told = [await answered(http, long), await answered(http, {**long, "max_tokens": 3})]
    stream = await client.chat.completions.create(**long, stream=True, stream_options={"include_usage": True})
    streamed = [chunk.usage async for chunk in stream][-1]
    silent = await client.chat.completions.create(**long, stream=True)
    assert [chunk.usage async for chunk in silent if chunk.usage] == []
    assert streamed is not None
    usages = [each["usage"] for each in told] + [streamed.model_dump()] * 2
    body = await invoice(http)
    assert body["billed"] == [
        {
            "model": "rules",
            "input_tokens": usage["prompt_tokens"],
            "cached_tokens": usage["prompt_tokens_details"]["cached_tokens"],
            "output_tokens": usage["completion_tokens"],
        }
        for usage in usages
    ]
    assert body["billed"][-1]["cached_tokens"] == 1408
    assert (body["calls"], body["failed"]) == (4, 0)


async def test_a_refused_request_is_free(http: httpx.AsyncClient) -> None:
    await http.post("/chat/completions", content=b"{")
    await http.post("/embeddings", json={"model": "e", "input": []})
    assert await invoice(http) == {"calls": 1, "failed": 1, "billed": [], "embedded": []}


async def test_embeddings_are_on_the_invoice_apart(http: httpx.AsyncClient) -> None:
    answer = await http.post("/embeddings", json={"model": "e", "input": ["12345", "1"]})
    assert answer.json()["usage"]["prompt_tokens"] == 3
    told = await invoice(http)
    assert (told["calls"], told["embedded"]) == (0, [{"model": "e", "input_tokens": 3}])


async def test_what_is_read_costs_no_more_tokens_than_it_has_bytes(http: httpx.AsyncClient) -> None:
    """So a client may take the size of its request as the most that the input can cost."""
    request = asked("Grüße, 世界 🔌" * 20, tools=[SEARCH, SEARCH])
    body = json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()
    usage = (await http.post("/chat/completions", content=body)).json()["usage"]
    assert usage["prompt_tokens"] <= len(body)


def test_the_invoice_keeps_the_last_hundred_thousand_bills() -> None:
    invoice = Invoice()
    for number in range(MOST_BILLS + 1):
        invoice.bill("m", Usage(number, 0, 0))
    billed = invoice.body()["billed"]
    assert (len(billed), billed[0]["input_tokens"]) == (100_000, 1)

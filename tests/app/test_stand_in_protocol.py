"""The stand-in model speaks OpenAI's wire format: proved with the clients the application uses, over a socket."""

import base64
import json
import struct
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import openai
import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from agents.base import AgentResult, ReportDraft, SupervisorDecision
from tests.app.offline_team import serving

QUESTION = "How many pieces of the Bolt M8 are in stock?"
AGENTS = [
    {"name": "shopkeeper", "does": "Knows the stock of each article."},
    {"name": "lawyer", "does": "Reads contracts."},
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture
async def client(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
async def model(url: str) -> AsyncIterator[ChatOpenAI]:
    """With an HTTP client of its own: the one that LangChain shares would outlive the test's event loop."""
    async with openai.DefaultAsyncHttpxClient() as http:
        yield ChatOpenAI(
            model="rules",
            base_url=url,
            api_key=SecretStr("none"),
            max_retries=0,
            stream_usage=True,
            http_async_client=http,
        )


def packet(**fields: Any) -> str:
    return json.dumps({"question": QUESTION, "task": {"id": "T1", "objective": QUESTION}, **fields})


def function(name: str, **properties: str) -> dict[str, Any]:
    typed = {each: {"type": "string", "description": described} for each, described in properties.items()}
    parameters = {"type": "object", "properties": typed, "required": list(typed), "additionalProperties": False}
    described = {"name": name, "description": "a tool for articles in stock", "strict": True, "parameters": parameters}
    return {"type": "function", "function": described}


STOCK = function("warehouse__stock_of", article="the article, as the catalog names it")
NOTES = function("notes__search", query="the words")


async def test_structured_output_of_langchain_gives_a_plan_and_its_usage(model: ChatOpenAI) -> None:
    structured = model.with_structured_output(SupervisorDecision, method="json_schema", include_raw=True)
    answer: Any = await structured.ainvoke([HumanMessage(packet(agents=AGENTS, tasks=[], may_assign=True))])
    assert answer["parsing_error"] is None
    assert [task.agent for task in answer["parsed"].tasks] == ["shopkeeper"]
    assert answer["raw"].usage_metadata["input_tokens"] > 20


async def test_tools_and_response_format_in_one_request_first_call_and_then_answer(model: ChatOpenAI) -> None:
    bound = model.bind_tools([STOCK], response_format=AgentResult)
    messages: list[Any] = [HumanMessage(packet())]
    first = await bound.ainvoke(messages)
    assert [(call["name"], call["args"]) for call in first.tool_calls] == [
        ("warehouse__stock_of", {"article": "Bolt M8"})
    ]
    table = "E1\n# Stock\narticle,pieces\nBolt M8,42"
    messages += [first, ToolMessage(table, tool_call_id=first.tool_calls[0]["id"])]
    last = await bound.ainvoke(messages)
    result = AgentResult.model_validate_json(str(last.content))
    assert result.findings[0].claim == "Pieces for article Bolt M8: 42"
    assert result.findings[0].evidence == ["E1"]


async def test_a_schema_that_comes_as_a_tool_is_answered_by_calling_it(model: ChatOpenAI) -> None:
    """So LangChain's agents ask for their answer when tools are at hand."""
    bound = model.bind_tools([STOCK, function("AgentResult")], tool_choice="required")
    messages: list[Any] = [HumanMessage(packet())]
    first = await bound.ainvoke(messages)
    messages += [first, ToolMessage("error: no such file", tool_call_id=first.tool_calls[0]["id"])]
    last = await bound.ainvoke(messages)
    assert [call["name"] for call in last.tool_calls] == ["AgentResult"]
    assert last.tool_calls[0]["args"]["gaps"][-1] == "stock_of gave no answer: no such file."


async def test_one_call_at_a_time_when_parallel_calls_are_not_wanted(client: openai.AsyncOpenAI) -> None:
    request: dict[str, Any] = {
        "model": "rules",
        "messages": [{"role": "user", "content": packet()}],
        "tools": [STOCK, NOTES],
    }
    both = await client.chat.completions.create(**request)
    one = await client.chat.completions.create(**request, parallel_tool_calls=False)
    assert [len(each.choices[0].message.tool_calls or []) for each in (both, one)] == [2, 1]
    assert both.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("tools", [[], [STOCK]])
async def test_a_stream_says_the_same_as_a_plain_answer(
    client: openai.AsyncOpenAI, tools: list[dict[str, Any]]
) -> None:
    request: dict[str, Any] = {"model": "rules", "messages": [{"role": "user", "content": packet()}]}
    request |= {"tools": tools} if tools else {}
    plain = await client.chat.completions.create(**request)
    stream = await client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    calls = [call for delta in deltas for call in delta.tool_calls or []]
    message = plain.choices[0].message
    assert "".join(delta.content or "" for delta in deltas) == (message.content or "")
    names = "".join(call.function.name or "" for call in calls if call.function)
    assert names == "".join(call.function.name for call in message.tool_calls or [])
    assert chunks[-1].usage == plain.usage
    assert plain.usage is not None
    assert plain.usage.prompt_tokens_details is not None
    assert plain.usage.prompt_tokens_details.cached_tokens == 0
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_a_stream_without_the_option_carries_no_usage(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="rules", messages=[{"role": "user", "content": "hello"}], stream=True
    )
    assert [chunk.usage async for chunk in stream if chunk.usage] == []


async def test_langchain_streams_tool_calls_with_usage(model: ChatOpenAI) -> None:
    whole: AIMessageChunk | None = None
    async for chunk in model.bind_tools([STOCK]).astream([HumanMessage(packet())]):
        assert isinstance(chunk, AIMessageChunk)
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    assert [call["name"] for call in whole.tool_calls] == ["warehouse__stock_of"]
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] > 0


async def test_without_a_role_it_says_what_it_is(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="rules", messages=[{"role": "user", "content": "hello"}])
    text = answer.choices[0].message.content or ""
    assert "rules, not a language model" in text
    assert answer.choices[0].finish_reason == "stop"


class Item(BaseModel):
    name: str
    amount: int


class Order(BaseModel):
    items: list[Item]
    first: Item
    kind: str | None
    paid: bool


async def test_an_unknown_schema_gets_a_valid_minimal_instance(model: ChatOpenAI) -> None:
    order: Any = await model.with_structured_output(Order, method="json_schema").ainvoke("an order, please")
    assert order == Order(items=[], first=Item(name="none", amount=0), kind="none", paid=False)


async def test_an_unknown_function_that_is_forced_is_called(model: ChatOpenAI) -> None:
    answer = await model.bind_tools([Item], tool_choice="Item").ainvoke("an item, please")
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("Item", {"name": "none", "amount": 0})]


async def test_embeddings_are_the_same_as_floats_and_as_base64(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        request = {"model": "e", "input": ["public charging points"]}
        floats = (await http.post("/embeddings", json=request)).json()["data"][0]["embedding"]
        packed = (await http.post("/embeddings", json={**request, "encoding_format": "base64"})).json()
    numbers = struct.unpack(f"<{len(floats)}f", base64.b64decode(packed["data"][0]["embedding"]))
    assert len(floats) == 256
    assert floats == pytest.approx(numbers, abs=1e-6)
    assert sum(each * each for each in floats) == pytest.approx(1)


async def test_embeddings_put_similar_wording_near(client: openai.AsyncOpenAI) -> None:
    texts = ["charging points in Germany", "German charge point network", "household electricity price"]
    answer = await client.embeddings.create(model="e", input=texts)
    one, near, far = (each.embedding for each in answer.data)
    assert sum(map(float.__mul__, one, near)) > 0.25 + sum(map(float.__mul__, one, far))
    assert answer.usage.total_tokens > 0


async def test_models_and_health(client: openai.AsyncOpenAI, url: str) -> None:
    assert [each.id async for each in client.models.list()] == ["tollgate-rules", "tollgate-rules-embedding"]
    async with httpx.AsyncClient() as http:
        assert (await http.get(url.replace("/v1", "/healthz"))).json()["status"] == "ok"


@pytest.mark.parametrize(
    ("path", "body", "part"),
    [
        ("/chat/completions", b"{", "body"),
        ("/chat/completions", b'{"model": "m"}', "messages"),
        ("/chat/completions", b'{"model": "m", "messages": []}', "messages"),
        ("/chat/completions", b'{"model": "m", "messages": [{"content": 1}]}', "messages.0"),
        ("/embeddings", b'{"model": "m"}', "input"),
        ("/embeddings", b'{"model": "m", "input": []}', "input"),
        ("/embeddings", b'{"model": "m", "input": "a", "dimensions": 1}', "dimensions"),
    ],
)
async def test_a_malformed_request_is_told_which_part_is_wrong(url: str, path: str, body: bytes, part: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        response = await http.post(path, content=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"].startswith(part)


async def test_unknown_routes_and_methods_are_openai_errors(client: openai.AsyncOpenAI, url: str) -> None:
    with pytest.raises(openai.NotFoundError, match="/v1/files"):
        await client.files.list()
    async with httpx.AsyncClient(base_url=url) as http:
        assert (await http.get("/chat/completions")).status_code == 405


@pytest.mark.parametrize(
    ("schema", "content"),
    [
        (each, content)
        for each in (SupervisorDecision, AgentResult, ReportDraft)
        for content in ("", "[1]", '{"tasks": 3}')
    ],
)
async def test_a_packet_that_cannot_be_read_still_gives_a_valid_answer(
    model: ChatOpenAI, schema: type[BaseModel], content: str
) -> None:
    structured = model.with_structured_output(schema, method="json_schema", include_raw=True)
    answer: Any = await structured.ainvoke([HumanMessage(content)])
    assert isinstance(answer["parsed"], schema)

import math
from collections import OrderedDict, UserDict, deque, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, RemoveMessage, SystemMessage, ToolMessage
from langgraph.types import Interrupt, Overwrite, Send
from pydantic import BaseModel

from graphs.checkpoint.saver import RedisSaver, UnsupportedValueError
from tests.graphs.checkpoints import keys, new_thread, put, read, values_of
from tests.graphs.redis_servers import Client
from tests.graphs.strategies import json_values, same, texts

reuse_server = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Word(StrEnum):
    YES = "yes"


class Text(str):
    __slots__ = ()


class Model(BaseModel):
    x: int = 1


@dataclass
class Data:
    x: int = 1


Pair = namedtuple("Pair", "a b")

REFUSED: list[tuple[Any, str]] = [
    (Decimal("12.34"), "decimal.Decimal"),
    (Fraction(1, 3), "fractions.Fraction"),
    (timedelta(days=1), "datetime.timedelta"),
    (datetime(2026, 1, 1, tzinfo=UTC), "datetime.datetime"),
    (date(2026, 1, 1), "datetime.date"),
    (UUID(int=1), "uuid.UUID"),
    (Path("x"), "pathlib.PosixPath"),
    (frozenset({1}), "is a frozenset"),
    ({1}, "is a set"),
    ((1, 2), "is a tuple"),
    ((), "is a tuple"),
    (Pair(1, 2), "Pair"),
    (deque([1]), "collections.deque"),
    (OrderedDict(a=1), "collections.OrderedDict"),
    (UserDict(a=1), "collections.UserDict"),
    (b"bytes", "is a bytes"),
    (bytearray(b"bytes"), "is a bytearray"),
    (memoryview(b"bytes"), "is a memoryview"),
    (math.nan, "is nan"),
    (math.inf, "is inf"),
    (-math.inf, "is -inf"),
    (1j, "is a complex"),
    (Colour.RED, "Colour"),
    (Level.LOW, "Level"),
    (Word.YES, "Word"),
    (Text("x"), "Text"),
    (Model(), "Model"),
    (Data(), "Data"),
    (ValueError("x"), "ValueError"),
    (object(), "is a object"),
    (AIMessageChunk(content="x"), "AIMessageChunk"),
    ("\ud800", "lone surrogate"),
    ({1: 2}, "key 1 that is a int"),
    ({"\ud800": 1}, "lone surrogate"),
]
ids = [f"{type(value).__name__}-{at}" for at, (value, _) in enumerate(REFUSED)]


@pytest.mark.parametrize(("value", "name"), REFUSED, ids=ids)
async def test_a_put_refuses_by_channel_name(valkey_client: Client, value: Any, name: str) -> None:
    with pytest.raises(UnsupportedValueError, match=r"channel 'prices': value.*" + name):
        await put(RedisSaver(valkey_client), new_thread(), {"fine": 1, "prices": value})
    assert await keys(valkey_client) == []


@pytest.mark.parametrize(("value", "name"), REFUSED, ids=ids)
async def test_writes_refuse_by_channel_name_and_place(valkey_client: Client, value: Any, name: str) -> None:
    config = new_thread()
    config["configurable"]["checkpoint_id"] = "1"
    with pytest.raises(UnsupportedValueError, match=r"channel 'prices': value\[1\]\['net'\].*" + name):
        await RedisSaver(valkey_client).aput_writes(config, [("x", 1), ("prices", [0, {"net": value}])], "task")
    assert await keys(valkey_client) == []


@pytest.mark.parametrize(("value", "name"), REFUSED, ids=ids)
async def test_what_a_grown_list_adds_is_looked_at(valkey_client: Client, value: Any, name: str) -> None:
    saver, log = RedisSaver(valkey_client), ["x" * 600]
    config = await put(saver, new_thread(), {"log": log})
    with pytest.raises(UnsupportedValueError, match=r"channel 'log': value\[1\].*" + name):
        await put(saver, config, {"log": [*log, value]})


@pytest.mark.parametrize(
    "wrap",
    [
        lambda value: Send("node", value),
        Overwrite,
        Interrupt,
        lambda value: HumanMessage("x", additional_kwargs={"v": value}),
    ],
)
async def test_a_wrapped_value_is_refused_too(valkey_client: Client, wrap: Any) -> None:
    with pytest.raises(UnsupportedValueError, match=r"channel 'x'.*decimal\.Decimal"):
        await put(RedisSaver(valkey_client), new_thread(), {"x": wrap(Decimal(1))})
    with pytest.raises(UnsupportedValueError, match=r"channel 'x'.*nan"):
        await put(RedisSaver(valkey_client), new_thread(), {"x": wrap(math.nan)})


async def test_metadata_is_checked_as_well(valkey_client: Client) -> None:
    config = {**new_thread(), "metadata": {"price": math.nan}}
    with pytest.raises(UnsupportedValueError, match="metadata: value\\['price'\\] is nan"):
        await put(RedisSaver(valkey_client), config, {})  # type: ignore[arg-type]


async def test_a_channel_name_must_not_hold_separators(valkey_client: Client) -> None:
    with pytest.raises(UnsupportedValueError, match="control character"):
        await put(RedisSaver(valkey_client), new_thread(), {"a\x1fb": 1})


async def test_too_deep_a_value_is_refused(valkey_client: Client) -> None:
    deep: Any = []
    for _ in range(2000):
        deep = [deep]
    with pytest.raises(UnsupportedValueError, match=r"channel 'deep'.*nested"):
        await put(RedisSaver(valkey_client), new_thread(), {"deep": deep})


@reuse_server
@given(value=json_values)
async def test_a_channel_comes_back_equal_in_value_and_type(valkey_client: Client, value: Any) -> None:
    saver = RedisSaver(valkey_client)
    stored = await put(saver, new_thread(), {"x": value})
    await saver.aput_writes(stored, [("x", value)], "task")

    found = await read(saver, stored)

    assert same(found.checkpoint["channel_values"]["x"], value)
    assert found.pending_writes
    assert same(found.pending_writes[0][2], value)


@reuse_server
@given(
    versions=st.lists(
        st.lists(json_values, max_size=6) | st.dictionaries(texts, json_values, max_size=6), min_size=1, max_size=6
    ),
    pad=st.booleans(),
)
async def test_every_version_of_a_changing_channel_can_be_read(valkey_client: Client, versions: Any, pad: bool) -> None:
    saver, config, stored = RedisSaver(valkey_client), new_thread(), []
    value: Any = []
    for version in versions:  # a version of the same kind grows the value, another kind replaces it
        if isinstance(version, list):
            value = [*value, *version] if isinstance(value, list) else ["x" * 600 * pad, *version]
        else:
            value = {**value, **version} if isinstance(value, dict) else {"": "x" * 600 * pad, **version}
        config = await put(saver, config, {"x": value})
        stored.append((config, value))

    for config, value in stored:
        assert same((await values_of(saver, config))["x"], value)


@pytest.mark.parametrize("items", [15, 16, 17, 65534, 65535, 65536, 65537])
@pytest.mark.parametrize("added", [0, 1, 15, 16, 65536])
async def test_lists_and_dicts_of_any_size_can_grow(valkey_client: Client, items: int, added: int) -> None:
    saver = RedisSaver(valkey_client)
    numbers = list(range(1000, 1000 + items + added))
    table = {f"key-{each}": each for each in numbers}
    shorter = dict(list(table.items())[:items])
    first = await put(saver, new_thread(), {"list": numbers[:items], "dict": shorter, "pad": ["x" * 600]})

    second = await put(saver, first, {"list": numbers, "dict": table})

    assert await values_of(saver, second) == {"list": numbers, "dict": table}


async def test_a_dict_is_not_taken_for_the_list_with_the_same_bytes(valkey_client: Client) -> None:
    saver, long = RedisSaver(valkey_client), "x" * 600
    first = await put(saver, new_thread(), {"x": ["key", long]})

    second = await put(saver, first, {"x": {"key": long, "more": 1}})

    assert await values_of(saver, second) == {"x": {"key": long, "more": 1}}


MESSAGES = [
    HumanMessage("hello", id="1"),
    SystemMessage([{"type": "text", "text": "be brief"}]),
    AIMessage(
        "",
        tool_calls=[{"name": "query", "args": {"sql": "select 1"}, "id": "c1", "type": "tool_call"}],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"model": "m"},
    ),
    ToolMessage("1", tool_call_id="c1", status="error", artifact={"rows": [1.5, None]}),
    RemoveMessage("1"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=[type(each).__name__ for each in MESSAGES])
async def test_messages_come_back_as_they_were(valkey_client: Client, message: Any) -> None:
    saver = RedisSaver(valkey_client)
    stored = await put(saver, new_thread(), {"messages": [message]})

    [found] = (await values_of(saver, stored))["messages"]

    assert type(found) is type(message)
    assert found == message


@pytest.mark.parametrize(
    "value",
    [
        Send("node", {"a": [1, 2**70]}),
        Send("node", None, timeout=1.5),
        Overwrite([1]),
        (Interrupt({"question": "?"}, id="i", response_schema={"type": "string"}), Interrupt(None)),
    ],
    ids=["Send", "Send with timeout", "Overwrite", "Interrupts"],
)
async def test_what_the_runtime_leaves_in_a_checkpoint_comes_back(valkey_client: Client, value: Any) -> None:
    saver = RedisSaver(valkey_client)
    stored = await put(saver, new_thread(), {})
    await saver.aput_writes(stored, [("x", value)], "task")

    assert (await read(saver, stored)).pending_writes == [("task", "x", value)]


@pytest.mark.parametrize(
    "value", [set(), {"b", "a"}, ({"a"}, False), ({"a", "ä"}, True), (None, False), ([1, {"x": 2**70}], True)]
)
async def test_what_a_channel_of_an_edge_keeps_comes_back(valkey_client: Client, value: Any) -> None:
    saver = RedisSaver(valkey_client)
    stored = await put(saver, new_thread(), {"join:a+b:c": value})

    found = (await values_of(saver, stored))["join:a+b:c"]
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (({1}, True), "is a set"),
        ((Decimal(1), True), r"decimal\.Decimal"),
        ([{"a"}], "is a set"),
    ],
    ids=str,
)
async def test_nothing_else_is_taken_for_what_an_edge_keeps(valkey_client: Client, value: Any, name: str) -> None:
    saver, config = RedisSaver(valkey_client), new_thread()
    with pytest.raises(UnsupportedValueError, match=r"channel 'x': value.*" + name):
        await put(saver, config, {"x": value})


async def test_a_node_cannot_write_what_only_an_edge_keeps(valkey_client: Client) -> None:
    stored = await put(RedisSaver(valkey_client), new_thread(), {})
    with pytest.raises(UnsupportedValueError, match=r"channel 'x': value is a set"):
        await RedisSaver(valkey_client).aput_writes(stored, [("x", {"a"})], "task")

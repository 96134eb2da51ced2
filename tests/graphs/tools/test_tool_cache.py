"""The cache of tool answers: bounded in time, bytes and entries, and one call for all who ask at once."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.errors import ToolFailure
from graphs.tools.cache import ToolCache, cache_key

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ARGUMENTS = st.dictionaries(st.text(max_size=5), JSON, max_size=4)


def giving(answer: bytes) -> Callable[[], Awaitable[bytes]]:
    async def call() -> bytes:
        return answer

    return call


async def missing() -> bytes:
    raise ToolFailure("not kept")


async def is_kept(cache: ToolCache, key: bytes) -> bool:
    try:
        await cache.answer(key, missing)
    except ToolFailure:
        return False
    return True


class Gate:
    """A call that waits until it is let through, and counts how often it was made."""

    def __init__(self) -> None:
        self.calls = 0
        self.open = asyncio.Event()

    async def __call__(self) -> bytes:
        self.calls += 1
        await self.open.wait()
        return b"answer"


async def settled() -> None:
    """Every task has run as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_answer_is_kept_for_its_time() -> None:
    clock = [0.0]
    cache = ToolCache(300, timer=lambda: clock[0])
    assert await cache.answer(b"a", giving(b"first")) == (b"first", False)
    clock[0] = 299.0
    assert await cache.answer(b"a", giving(b"second")) == (b"first", True)
    clock[0] = 300.0
    assert await cache.answer(b"a", giving(b"second")) == (b"second", False)


async def test_a_failure_is_not_kept() -> None:
    cache = ToolCache(300)
    with pytest.raises(ToolFailure):
        await cache.answer(b"a", missing)
    assert await cache.answer(b"a", giving(b"answer")) == (b"answer", False)


async def test_an_answer_that_is_too_big_is_given_and_not_kept() -> None:
    cache = ToolCache(300, max_bytes=10, max_entries=2)
    assert await cache.answer(b"a", giving(b"x" * 11)) == (b"x" * 11, False)
    assert not await is_kept(cache, b"a")


@given(st.lists(st.integers(0, 9) | st.integers(0, 120), max_size=20))
def test_it_never_holds_more_bytes_or_entries_than_it_may(sizes: list[int]) -> None:
    async def kept_after_all() -> list[int]:
        cache = ToolCache(300, max_bytes=100, max_entries=4)
        for at, size in enumerate(sizes):
            await cache.answer(b"%d" % at, giving(b"x" * size))
        return [size for at, size in enumerate(sizes) if await is_kept(cache, b"%d" % at)]

    kept = asyncio.run(kept_after_all())
    assert sum(kept) <= 100
    assert len(kept) <= 4
    assert not sizes or sizes[-1] > 100 or sizes[-1] in kept


async def test_all_who_ask_at_once_share_one_call() -> None:
    cache, gate = ToolCache(300), Gate()
    asking = [asyncio.create_task(cache.answer(b"a", gate)) for _ in range(9)]
    await settled()
    gate.open.set()
    answers = await asyncio.gather(*asking)
    assert gate.calls == 1
    assert sorted(answers) == [(b"answer", False), *[(b"answer", True)] * 8]


async def test_all_who_ask_at_once_share_a_failure_and_the_next_tries_again() -> None:
    cache = ToolCache(300)
    failed = await asyncio.gather(*(cache.answer(b"a", missing) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(each, ToolFailure) for each in failed)
    assert await cache.answer(b"a", giving(b"answer")) == (b"answer", False)


async def test_who_asks_when_a_call_has_just_failed_makes_another() -> None:
    cache, later = ToolCache(300), list[asyncio.Task[tuple[bytes, bool]]]()

    async def failing() -> bytes:
        # It runs when this call has failed, and before whoever waits for this call has heard of it.
        later.append(asyncio.create_task(cache.answer(b"a", giving(b"answer"))))
        raise ToolFailure("no answer")

    with pytest.raises(ToolFailure):
        await cache.answer(b"a", failing)
    assert await later[0] == (b"answer", False)


async def test_who_asked_first_may_leave_without_harm_to_the_others() -> None:
    cache, gate = ToolCache(300), Gate()
    first, second = (asyncio.create_task(cache.answer(b"a", gate)) for _ in range(2))
    await settled()
    first.cancel()
    await settled()
    gate.open.set()
    assert await second == (b"answer", True)
    assert gate.calls == 1


async def test_a_call_that_nobody_waits_for_is_cancelled() -> None:
    cache, gate = ToolCache(300), Gate()
    before = asyncio.all_tasks()
    asking = [asyncio.create_task(cache.answer(b"a", gate)) for _ in range(2)]
    await settled()
    for each in asking:
        each.cancel()
    await settled()
    assert asyncio.all_tasks() == before
    assert await cache.answer(b"a", giving(b"new")) == (b"new", False)


@given(ARGUMENTS, ARGUMENTS)
def test_calls_share_a_key_when_their_arguments_are_the_same_json(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (cache_key("sales", "query", one) == cache_key("sales", "query", other)) is same
    turned = dict(reversed(one.items()))
    assert cache_key("sales", "query", turned) == cache_key("sales", "query", one)


def test_servers_and_tools_have_keys_of_their_own() -> None:
    assert len({cache_key(server, tool, {}) for server in "ab" for tool in ("query", "growth")}) == 4

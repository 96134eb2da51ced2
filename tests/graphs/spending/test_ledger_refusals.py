"""Whatever the store refuses in the middle of an operation of the ledger, it leaves the books as they were."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

import graphs.spending.ledger as module
from graphs.errors import LedgerUnavailable
from graphs.spending.ledger import Ledger
from graphs.spending.spend import Tokens
from tests.graphs.ledgers import AMPLE, EXPIRES_IN_S, TTL, Clock, account

SCRIPT = Path(module.__file__).with_suffix(".lua").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"(?:call\(|\{ )'([A-Z]+)'", SCRIPT)))
OPERATIONS: dict[str, Callable[[Ledger], Awaitable[object]]] = {
    "reserve": lambda ledger: ledger.reserve("new", account(), 7, expires_in_s=EXPIRES_IN_S),
    "settle": lambda ledger: ledger.settle("open", 3, Tokens(5)),
    "settle late": lambda ledger: ledger.settle("reaped", 3),
    "release": lambda ledger: ledger.release("open"),
    "release early": lambda ledger: ledger.release("unknown"),
    "count": lambda ledger: ledger.count("job", steps=1, handoffs=1),
    "count a tool call": lambda ledger: ledger.count_tool_call(account()),
    "grant": lambda ledger: ledger.grant(account(), "child", 5),
    "give back": lambda ledger: ledger.give_back("given"),
    "reserve for the day": lambda ledger: ledger.reserve_for_the_day("new", 7, AMPLE, expires_in_s=EXPIRES_IN_S),
    "allow today": lambda ledger: ledger.allow_today(5),
    "fence": lambda ledger: ledger.fence("job", 9),
    "reap": lambda ledger: ledger.reap(),
}
TAKEN_BACK = b"tollgate:{ledger}:call:new"
Books = dict[bytes, Any]


async def books(client: Any) -> Books:
    found: Books = {}
    async for key in client.scan_iter("tollgate:{ledger}:*"):
        match await client.type(key):
            case b"hash":
                found[key] = await client.hgetall(key)
            case b"zset":
                found[key] = await client.zrange(key, 0, -1, withscores=True)
            case _:
                found[key] = await client.get(key)
    return found


async def put_back(client: Any, earlier: Books) -> None:
    await client.flushall()
    for key, content in earlier.items():
        await (client.hset(key, mapping=content) if isinstance(content, dict) else client.zadd(key, dict(content)))
        await client.expire(key, TTL)


def harms(earlier: Books) -> Iterator[tuple[str, list[list[Any]], list[list[Any]]]]:
    """What can be refused: how it is brought about, and how it ends."""
    user = ["ACL", "SETUSER", "app"]
    for command in COMMANDS:
        yield f"{command} is forbidden", [[*user, f"-{command}"]], [[*user, f"+{command}"]]
    yield "the memory is full", [["CONFIG", "SET", "maxmemory", "1"]], [["CONFIG", "SET", "maxmemory", "0"]]
    for key, content in earlier.items():
        others = [f"~{each.decode()}" for each in earlier if each != key]
        only_read = [*user, "resetkeys", f"%R~{key.decode()}", *others, "~*:new", "~*:unknown"]
        yield f"{key!r} can only be read", [only_read], [[*user, "resetkeys", "~*"]]
        yield f"{key!r} is of another type", [["DEL", key], ["SET", key, "x", "EX", TTL]], []
        for field in content if isinstance(content, dict) else []:
            yield f"{field!r} of {key!r} is no number", [["HSET", key, field, "x"]], []


@pytest.fixture
async def app(redis_client: Redis, redis_url: str) -> AsyncIterator[Redis]:
    """A user whose rights can be taken away."""
    admin: Any = redis_client
    await admin.execute_command("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all")
    async with Redis.from_url(redis_url.replace("unix://", "unix://app:secret@")) as client:
        yield client
    await admin.execute_command("ACL", "DELUSER", "app")


@pytest.mark.parametrize("name", OPERATIONS)
async def test_what_is_refused_in_the_middle_changes_nothing(
    redis_client: Redis, app: Redis, clock: Clock, name: str
) -> None:
    ledger, admin, refused = Ledger(app, ttl_seconds=TTL, now=clock), redis_client, set[str]()
    for call in ("reaped", "expired", "open"):
        await ledger.reserve(call, account(), 10, expires_in_s=1 if call != "open" else 9 * EXPIRES_IN_S)
        if call == "reaped":
            clock.advance(seconds=2)
            await ledger.reap()
    await ledger.grant(account(), "given", 5)
    clock.advance(seconds=2)
    earlier = await books(admin)
    for what, done, undone in harms(earlier):
        await put_back(admin, earlier)
        for words in done:
            await admin.execute_command(*words)  # type: ignore[no-untyped-call]
        before = await books(admin)
        try:
            await OPERATIONS[name](ledger)
        except LedgerUnavailable:
            refused.add(what)
        after = await books(admin)
        if after.get(TAKEN_BACK) == {b"state": b"closed"}:  # what is asked to reserve late must not
            del after[TAKEN_BACK]
        for words in undone:
            await admin.execute_command(*words)  # type: ignore[no-untyped-call]
        if what in refused:
            assert after == before, f"{name}, when {what}"
    assert {"HSET is forbidden", "EXPIRE is forbidden", "the memory is full"} <= refused
    await put_back(admin, {})

"""The audit trail: whatever is done to it from outside shows, and nothing that is appended gets lost."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from redis.asyncio import Redis

from app.access.audit import DETAIL_BYTES, Audit
from app.errors import BadInput
from tests.examples import at_most

TRAIL = "tollgate:{audit}:log"
SECRET = SecretStr("s" * 32)
DAY = 86_400
START = datetime(2026, 11, 21, 10, tzinfo=UTC)

Stored = list[tuple[bytes, dict[bytes, bytes]]]


@pytest.fixture
async def client(redis_client: Redis) -> AsyncIterator[Redis]:
    """The trail is bounded by age and stays; anything else without a time to live still fails the test."""
    yield redis_client
    await redis_client.delete(TRAIL)


@pytest.fixture
def trail(client: Redis) -> Audit:
    return audit(client)


def audit(client: Redis, day: float = 0, secret: SecretStr | None = SECRET) -> Audit:
    """The trail as it is so many days after the start."""
    return Audit(client, ttl_seconds=90 * DAY, secret=secret, now=lambda: START + timedelta(days=day))


async def filled(trail: Audit, count: int, tenant: str = "acme") -> list[str]:
    return [await trail.append("job.submit", "key-1", tenant, f"job-{n}", {"n": n}) for n in range(count)]


async def stored(client: Redis) -> Stored:
    found: Any = await client.xrange(TRAIL)
    return list(found)


async def rewritten(client: Redis, entries: Stored, last: bytes = b"") -> None:
    """What somebody with access to Redis can make of it, the counter of the stream kept as it was if given."""
    known: Any = client
    await known.delete(TRAIL)
    await known.xadd(TRAIL, {"x": "x"}, "1-1")
    await known.xdel(TRAIL, "1-1")  # a stream that is empty has a counter all the same
    for entry_id, fields in entries:
        await known.xadd(TRAIL, fields, entry_id)
    if last:
        await known.execute_command("XSETID", TRAIL, last)


# -- appending and reading --


async def test_entries_come_back_as_they_were_appended(trail: Audit) -> None:
    first = await trail.append("job.submit", "key-1", "acme", "job-1", {"budget_micro_usd": 5}, "0af7651916cd43dd")
    second = await trail.append("key.revoke", "command line")
    assert [first, second] == ["1795255200000-1", "1795255200000-2"]
    one, two = await trail.read()
    assert (one.id, two.id) == (first, second)
    assert one.data == one.data | {
        "action": "job.submit",
        "actor": "key-1",
        "tenant": "acme",
        "job_id": "job-1",
        "detail": {"budget_micro_usd": 5},
        "trace_id": "0af7651916cd43dd",
        "at": "2026-11-21T10:00:00.000+00:00",
        "previous": ["0-0", ""],
    }
    assert two.data["previous"] == [one.id, one.mac]
    assert await trail.newest() == two
    assert await trail.verify() is None


async def test_an_empty_trail_holds(trail: Audit) -> None:
    assert await trail.verify() is None
    assert await trail.newest() is None
    assert await trail.read() == []


async def test_it_is_read_by_tenant_and_in_parts(trail: Audit) -> None:
    for n in range(300):
        await trail.append("x", "k", ("acme", "zeta", None)[n % 3], f"job-{n}")
    await filled(trail, 400, "acme")
    got: list[str] = []
    after = "0"
    while page := await trail.read("zeta", after, 30):
        assert len(page) <= 30
        got += [entry.data["job_id"] for entry in page]
        after = page[-1].id
    assert got == [f"job-{n}" for n in range(300) if n % 3 == 1]
    assert len(await trail.read(most=650)) == 650
    assert len(await trail.read("acme", most=1000)) == 500


@pytest.mark.parametrize("after", ["", "x", "-", "+", "1-", "(1-1", "1", "1-1\n", "9" * 30 + "-1"])
async def test_a_position_is_an_id(trail: Audit, after: str) -> None:
    with pytest.raises(BadInput, match="not the id of an audit entry"):
        await trail.read(after=after)


async def test_details_are_redacted_and_bounded(client: Redis, trail: Audit) -> None:
    await trail.append("x", "k", detail={"note": "ada@example.org sent sk-0123456789abcdefgh", "nan": float("nan")})
    await trail.append("x", "k" * 1000, "t" * 1000, "j" * 1000, {"text": "ü" * 50_000}, "0" * 1000)
    small, huge = await trail.read()
    assert small.data["detail"] == {"note": "[e-mail address] sent [secret]", "nan": "nan"}
    assert "shown in part" in huge.data["detail"]["cut"]
    assert len(huge.json) < DETAIL_BYTES + 1500
    assert {len(huge.data[name]) for name in ("actor", "tenant", "job_id", "trace_id")} == {200}
    assert await trail.verify() is None
    assert b"ada@" not in repr(await stored(client)).encode()


async def test_what_a_model_makes_up_can_be_stored(trail: Audit) -> None:
    await trail.append("decide", "k", detail=json.loads('{"half": "\\ud800", "inf": Infinity, "b": "\\u0000\\n"}'))
    assert await trail.verify() is None
    assert json.loads((await trail.read())[0].json)["detail"]["b"] == "\x00\n"


async def test_a_clock_that_goes_back_changes_nothing(client: Redis) -> None:
    await audit(client, 1).append("later", "k")
    await audit(client, 0).append("earlier", "k")
    assert [entry.data["action"] for entry in await audit(client).read()] == ["later", "earlier"]
    assert await audit(client, 1).verify() is None


# -- many at once, and once each --


async def test_many_processes_append_to_one_chain(client: Redis, redis_url: str) -> None:
    async def process(name: str) -> None:
        async with Redis.from_url(redis_url) as own:
            trail = audit(own)
            await asyncio.gather(*(trail.append("x", name, job_id=str(n)) for n in range(25)))

    await asyncio.gather(*(process(f"p{n}") for n in range(4)))
    entries = await audit(client).read(most=1000)
    assert [entry.id.partition("-")[2] for entry in entries] == [str(n) for n in range(1, 101)]
    assert {(entry.data["actor"], entry.data["job_id"]) for entry in entries} == {
        (f"p{process}", str(n)) for process in range(4) for n in range(25)
    }
    assert await audit(client).verify() is None


async def test_what_comes_at_once_in_one_process_is_added_in_few_steps(client: Redis, trail: Audit) -> None:
    await client.config_resetstat()
    ids = await asyncio.gather(*(trail.append("tool.call", "sales", "acme", f"job-{n}") for n in range(50)))
    added = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert added <= 3, "one step each would make every one wait for all before it"
    assert [(each.id, each.data["job_id"]) for each in await trail.read()] == [
        (entry_id, f"job-{n}") for n, entry_id in enumerate(ids)
    ]
    assert await trail.verify() is None


@given(gone=st.sets(st.integers(0, 9), max_size=9))
@settings(max_examples=at_most(10))
def test_who_is_cancelled_takes_nobody_along(redis_url: str, gone: set[int]) -> None:
    asyncio.run(_cancelled(redis_url, gone))


async def _cancelled(url: str, gone: set[int]) -> None:
    async with contextlib.aclosing(Redis.from_url(url)) as client:
        await client.delete(TRAIL)
        trail = audit(client)
        tasks = [asyncio.create_task(trail.append("submit", "key-1", "acme", f"job-{n}")) for n in range(10)]
        await asyncio.sleep(0)  # all of them wait
        for number in gone:
            tasks[number].cancel()
        ids = await asyncio.gather(*tasks, return_exceptions=True)
        found = {each.id for each in await trail.read()}
        assert {each for each in ids if isinstance(each, str)} <= found
        assert sum(isinstance(each, str) for each in ids) == 10 - len(gone)
        assert await trail.verify() is None
        await client.delete(TRAIL)


async def test_the_same_by_two_processes_at_the_same_moment_is_two_entries(client: Redis) -> None:
    one, two = audit(client), audit(client)
    await one.append("x", "k")
    await two.append("x", "k")
    assert len(await one.read()) == 2
    assert await one.verify() is None


class Twice(Redis):
    """Sends every script again, as the client does after a lost connection; only the second answer arrives."""

    between: Callable[[], Any] | None = None

    async def evalsha(self, *arguments: Any) -> Any:
        await super().evalsha(*arguments)
        if self.between:
            await self.between()
        return await super().evalsha(*arguments)


@pytest.mark.parametrize("another", [False, True], ids=["alone", "another came between"])
async def test_an_entry_that_is_sent_again_is_there_once(client: Redis, redis_url: str, another: bool) -> None:
    await audit(client).append("first", "k")  # the script is known to the server then
    sends_twice: Any = Twice.from_url(redis_url)
    async with sends_twice as twice:
        twice.between = (lambda: audit(client).append("other", "k")) if another else None
        trail = audit(twice)
        await trail.append("x", "k")
        twice.between = None
        await trail.append("y", "k")
    told = [entry.data["action"] for entry in await audit(client).read()]
    assert [each for each in told if each != "other"] == ["first", "x", "y"]
    assert await audit(client).verify() is None


# -- tampering --


def edited(entries: Stored, at: int, data: st.DataObject) -> Stored:
    entry_id, fields = entries[at]
    text = json.loads(fields[b"entry"])
    name = data.draw(st.sampled_from(sorted(text)), label="field")
    text[name] = "somebody else"
    changed = json.dumps(text, sort_keys=True, separators=(",", ":")).encode()
    return [*entries[:at], (entry_id, {**fields, b"entry": changed}), *entries[at + 1 :]]


def flipped(entries: Stored, at: int, data: st.DataObject) -> Stored:
    entry_id, fields = entries[at]
    name = data.draw(st.sampled_from([b"entry", b"mac"]))
    text = bytearray(fields[name])
    text[data.draw(st.integers(0, len(text) - 1))] ^= 1
    return [*entries[:at], (entry_id, {**fields, name: bytes(text)}), *entries[at + 1 :]]


def deleted(entries: Stored, at: int, data: st.DataObject) -> Stored:
    """Some in the middle, at the old end (too early) or at the new end."""
    return [*entries[:at], *entries[at + data.draw(st.integers(1, 3), label="how many") :]]


def swapped(entries: Stored, at: int, data: st.DataObject) -> Stored:
    with_it = (at + data.draw(st.integers(1, len(entries) - 1))) % len(entries)
    result = list(entries)
    result[at] = (entries[at][0], entries[with_it][1])
    result[with_it] = (entries[with_it][0], entries[at][1])
    return result


def repeated(entries: Stored, at: int, data: st.DataObject) -> Stored:
    ms = int(entries[-1][0].partition(b"-")[0]) + 1
    return [*entries, (f"{ms}-{len(entries) + 1}".encode(), entries[at][1])]


def renumbered(entries: Stored, at: int, data: st.DataObject) -> Stored:
    """One left out, and those after it moved up."""
    ids = [entry_id for entry_id, _ in entries]
    return list(zip(ids, [fields for _, fields in [*entries[:at], *entries[at + 1 :]]], strict=False))


@given(
    count=st.integers(2, 8),
    how=st.sampled_from([edited, flipped, deleted, swapped, repeated, renumbered]),
    data=st.data(),
)
def test_tampering_shows(redis_url: str, count: int, how: Callable[..., Stored], data: st.DataObject) -> None:
    asyncio.run(_tampered(redis_url, count, how, data))


async def _tampered(url: str, count: int, how: Callable[..., Stored], data: st.DataObject) -> None:
    async with Redis.from_url(url) as client:
        await client.flushall()
        await filled(audit(client), count)
        entries = await stored(client)
        await rewritten(client, entries, entries[-1][0])
        assert await audit(client).verify() is None, "the same again is no change"
        changed = how(entries, data.draw(st.integers(0, count - 1), label="at"), data)
        await rewritten(client, changed, max(entries[-1][0], changed[-1][0] if changed else b""))
        assert await audit(client).verify() is not None
        await filled(audit(client, 1), 2)
        assert await audit(client, 1).verify() is not None, "and is not covered up by what comes after"
        await client.flushall()


async def test_the_oldest_place_that_does_not_hold_is_named(client: Redis, trail: Audit) -> None:
    ids = await filled(trail, 10)
    entries = await stored(client)
    last = entries[-1][0]
    forged = {b"entry": entries[6][1][b"entry"].replace(b"acme", b"evil"), b"mac": entries[6][1][b"mac"]}
    await rewritten(client, [*entries[:3], *entries[4:6], (entries[6][0], forged), *entries[7:]], last)
    broken = await trail.verify()
    assert broken
    assert (broken.id, broken.why.partition(":")[0]) == (ids[4], f"it does not follow {ids[2]}")
    await rewritten(client, [*entries[:6], (entries[6][0], forged), *entries[7:]], last)
    broken = await trail.verify()
    assert broken
    assert (broken.id, broken.why) == (ids[6], "it was changed, or written with another secret")


@pytest.mark.parametrize("same", [True, False], ids=["same process", "another process"])
@pytest.mark.parametrize("left", [0, 3])
async def test_deleting_the_newest_shows_also_when_others_follow(
    client: Redis, trail: Audit, left: int, same: bool
) -> None:
    ids = await filled(trail, 5)
    await client.xdel(TRAIL, *ids[left:])
    broken = await trail.verify()
    assert broken
    assert (broken.id, broken.why) == (ids[-1], "it was the newest, and was deleted")
    hidden = await (trail if same else audit(client, 1)).append("x", "k")
    broken = await trail.verify()
    assert broken
    assert (broken.id, broken.why) == (hidden, "entries just before it were deleted or lost")


async def test_another_time_for_the_newest_shows_also_when_others_follow(client: Redis, trail: Audit) -> None:
    """Nothing names the newest entry yet: only its own text says when it was made."""
    await filled(trail, 3)
    entries = await stored(client)
    later = b"1795255300000-3"
    await rewritten(client, [*entries[:2], (later, entries[2][1])])
    await filled(audit(client, 1), 1)
    broken = await trail.verify()
    assert broken
    assert (broken.id.encode(), broken.why) == (later, "it was changed, or written with another secret")


async def test_an_entry_of_an_earlier_copy_does_not_fit(client: Redis, trail: Audit) -> None:
    """The trail was set back and went on differently; an entry of the one was put into the other, at its own place."""
    await filled(trail, 4)
    first = await stored(client)
    await rewritten(client, first[:2])
    await filled(audit(client), 2)
    second = await stored(client)
    assert [entry_id for entry_id, _ in first] == [entry_id for entry_id, _ in second]
    await rewritten(client, [*second[:2], first[2], second[3]])
    broken = await trail.verify()
    assert broken
    assert broken.id.encode() == second[3][0]


async def test_only_who_knows_the_secret_can_continue_it(client: Redis, trail: Audit) -> None:
    await filled(trail, 2)
    forged = await audit(client, secret=SecretStr("z" * 32)).append("job.approve", "nobody")
    await trail.append("x", "k")
    broken = await trail.verify()
    assert broken
    assert broken.id == forged


async def test_without_a_secret_it_shows_accidents_and_says_that_it_does_no_more(client: Redis, trail: Audit) -> None:
    plain = audit(client, secret=None)
    assert (plain.keyed, trail.keyed) == (False, True)
    ids = await filled(plain, 4)
    assert await plain.verify() is None
    assert await trail.verify() is not None
    await client.xdel(TRAIL, ids[1])
    assert await plain.verify() is not None


async def test_what_a_stranger_adds_is_shown_and_named_and_stops_nobody(client: Redis, trail: Audit) -> None:
    await filled(trail, 2)
    stranger: Any = await client.xadd(TRAIL, {"hello": "\x1b[31m"}, "1795255200001-9")
    await filled(trail, 2)
    broken = await trail.verify()
    assert broken
    assert broken.id == stranger.decode()
    assert len(await trail.read()) == 5
    assert len(await trail.read("acme")) == 4
    assert "unreadable" in (await trail.read())[2].data


# -- age --


async def test_old_entries_leave_and_the_rest_still_holds(client: Redis) -> None:
    await filled(audit(client, 0), 200)
    await filled(audit(client, 60), 50)
    await filled(audit(client, 100), 2)
    left = await audit(client, 100).read(most=1000)
    assert 52 <= len(left) < 100  # blocks of the stream leave as a whole
    assert sum(entry.data["at"] >= "2027" for entry in left) == 52
    assert left[0].data["previous"] != ["0-0", ""]
    assert await audit(client, 100).verify() is None


async def test_after_a_long_silence_the_chain_goes_on(client: Redis) -> None:
    await filled(audit(client, 0), 200)
    await filled(audit(client, 400), 1)
    assert await audit(client, 400).verify() is None
    assert (await audit(client, 400).read(most=1000))[-1].id.endswith("-201")


async def test_deleting_at_the_old_end_before_the_time_shows_even_when_others_left(client: Redis) -> None:
    await filled(audit(client, 0), 200)
    young = await filled(audit(client, 60), 10)
    await filled(audit(client, 100), 2)
    await client.xtrim(TRAIL, minid=young[4], approximate=False)
    broken = await audit(client, 100).verify()
    assert broken
    assert (broken.id, broken.why) == (young[4], "entries before it were deleted before their time")


async def test_days_that_are_set_higher_later_make_no_false_alarm(client: Redis) -> None:
    await filled(audit(client, 0), 200)
    await filled(audit(client, 100), 3)
    longer = Audit(client, ttl_seconds=1000 * DAY, secret=SECRET, now=lambda: START + timedelta(days=101))
    await filled(longer, 3)
    assert await longer.verify() is None


class Trims(Redis):
    """Lets the oldest entries leave between two pages."""

    async def xrevrange(self, name: Any, *arguments: Any, **named: Any) -> Any:
        page = await super().xrevrange(name, *arguments, **named)
        await self.xtrim(name, minid="1795255200000-300", approximate=False)
        return page


async def test_entries_that_leave_while_it_is_verified_are_not_missed(client: Redis, redis_url: str) -> None:
    await filled(audit(client, 0), 900)
    async with Trims.from_url(redis_url) as trims:
        assert await audit(trims, 91).verify() is None
    assert len(await audit(client).read(most=1000)) == 601

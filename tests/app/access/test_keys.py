"""API keys: only the real one is known, nothing that is stored gives it away, and a revoked one is refused soon."""

import asyncio
import string
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from app.access.keys import REVOKED_WITHIN_S, Keys, NewKey, Scope
from app.errors import BadInput
from app.observing.redaction import redacted
from tests.examples import at_most

SYMBOLS = string.ascii_letters + string.digits + "_-"


@pytest.fixture
async def client(redis_client: Redis) -> AsyncIterator[Redis]:
    """Keys are configuration and stay; anything else without a time to live still fails the test."""
    yield redis_client
    async for key in redis_client.scan_iter("tollgate:{keys}:*"):
        await redis_client.delete(key)


@pytest.fixture
def keys(client: Redis) -> Keys:
    return Keys(client)


async def reads(client: Redis, work: Callable[[], Any]) -> int:
    """How often a key is looked up meanwhile."""
    await client.config_resetstat()
    await work()
    return int((await client.info("commandstats")).get("cmdstat_hgetall", {"calls": 0})["calls"])


async def everything(client: Redis) -> str:
    """All that Redis holds."""
    found = [key async for key in client.scan_iter()]
    return repr(
        [(key, await client.dump(key)) for key in found] + [await client.hgetall(key) for key in await hashes(client)]
    )


async def hashes(client: Redis) -> list[Any]:
    return [key async for key in client.scan_iter("tollgate:{keys}:key:*")]


# -- making and knowing --


async def test_a_key_is_known_by_its_secret(client: Redis) -> None:
    keys = Keys(client, now=lambda: datetime(2026, 11, 21, 10, tzinfo=UTC))
    new = await keys.create("acme", [Scope.SUBMIT, Scope.READ], "CI")
    assert (new.key.tenant, new.key.name) == ("acme", "CI")
    assert new.key.scopes == {Scope.SUBMIT, Scope.READ}
    assert new.key.created_at == "2026-11-21T10:00:00+00:00"
    assert new.secret.startswith(f"tg_{new.key.id}_")
    assert await keys.verify(new.secret) == await Keys(client).verify(new.secret) == new.key
    assert await keys.list() == (new.key,)


async def test_keys_are_listed_by_age(client: Redis) -> None:
    moments = iter(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(8))
    keys = Keys(client, now=lambda: next(moments))
    made = [(await keys.create(f"t{n}", ["read"])).key for n in range(8)]
    assert await keys.list() == tuple(made)


async def test_once_there_was_a_key_one_is_required_until_somebody_waives_it(keys: Keys) -> None:
    assert not await keys.required()
    first, second = [(await keys.create("acme", ["admin"])).key.id for _ in range(2)]
    await keys.revoke(first)
    with pytest.raises(BadInput, match="there is a key"):
        await keys.waive()
    await keys.revoke(second)
    assert await keys.list() == ()
    assert await keys.required()
    await keys.waive()
    assert not await keys.required()


async def test_a_key_that_an_older_version_made_counts_too(client: Redis, keys: Keys) -> None:
    key_id = (await keys.create("acme", ["admin"])).key.id
    await client.delete("tollgate:{keys}:required")
    assert await keys.required()
    await keys.revoke(key_id)
    assert await keys.required()


@settings(max_examples=at_most(60))
@given(data=st.data())
def test_nothing_but_the_key_itself_is_known(redis_url: str, data: st.DataObject) -> None:
    asyncio.run(_only_itself(redis_url, data))


async def _only_itself(url: str, data: st.DataObject) -> None:
    """One symbol changed, removed or added, another key's secret, or any text at all."""
    async with Redis.from_url(url) as client:
        await client.flushall()
        keys = Keys(client)
        secret = (await keys.create("acme", ["read"])).secret
        other = (await keys.create("acme", ["read"])).secret
        at = data.draw(st.integers(0, len(secret) - 1))
        changed = secret[:at] + data.draw(st.sampled_from(SYMBOLS)) + secret[at + 1 :]
        near = [changed, secret[:at] + secret[at + 1 :], secret[:at] + "a" + secret[at:], secret[:16] + other[16:]]
        for guess in [*near, f"{secret}\n", data.draw(st.text(max_size=80))]:
            assert (await keys.verify(guess) is not None) == (guess == secret)
        await client.flushall()


# -- what is stored and shown --


async def test_the_secret_is_nowhere_but_in_the_hand_of_who_made_it(client: Redis, keys: Keys) -> None:
    new = await keys.create("acme", ["read"])
    await keys.verify(new.secret)
    secret = new.secret[16:]
    assert new.key.tenant in await everything(client)
    assert secret not in await everything(client)
    assert secret not in repr(dict(keys._verified)) + repr(new) + repr(await keys.list())
    assert len(keys._verified) == 1


async def test_logs_mask_the_secret_and_show_the_id(keys: Keys) -> None:
    made: list[NewKey] = [await keys.create("acme", ["read"]) for _ in range(50)]
    assert {redacted(f"used {new.secret} today") for new in made} == {"used [secret] today"}
    assert [redacted(f"used {new.key.id} today") for new in made] == [f"used {new.key.id} today" for new in made]


@pytest.mark.parametrize("tenant", ["", "Acme", "-a", "_a", "a" * 41, "a b", "a:b", "ä", "a\n", "a}"])
async def test_a_tenant_needs_a_proper_name(keys: Keys, tenant: str) -> None:
    with pytest.raises(BadInput, match="a tenant's name has 1 to 40"):
        await keys.create(tenant, ["read"])
    assert not await keys.required()


@pytest.mark.parametrize("scopes", [[], ["write"], ["read", "all"], ["READ"]])
async def test_a_key_needs_scopes_that_exist(keys: Keys, scopes: list[str]) -> None:
    with pytest.raises(BadInput, match="one or more of submit, read, decide, cancel, delete, admin"):
        await keys.create("acme", scopes)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31m", "x" * 81])
async def test_a_name_is_short_and_printable(keys: Keys, name: str) -> None:
    with pytest.raises(BadInput, match="at most 80 printable characters"):
        await keys.create("acme", ["read"], name)


async def test_a_scope_of_a_later_version_permits_nothing(client: Redis, keys: Keys) -> None:
    new = await keys.create("acme", ["read"])
    await client.hset(f"tollgate:{{keys}}:key:{new.key.id}", "scopes", "read everything")
    found = await keys.verify(new.secret)
    assert found
    assert found.scopes == {Scope.READ}


# -- revoking, and what is remembered --


async def test_a_revoked_key_is_refused_at_once_here_and_within_5_s_elsewhere(client: Redis, keys: Keys) -> None:
    seconds = [0.0]
    elsewhere = Keys(client, timer=lambda: seconds[0])
    new = await keys.create("acme", ["read"])
    assert await keys.verify(new.secret)
    assert await elsewhere.verify(new.secret)
    assert await keys.revoke(new.key.id) == new.key
    assert await keys.verify(new.secret) is None
    seconds[0] = REVOKED_WITHIN_S
    assert await elsewhere.verify(new.secret) is None


async def test_a_key_is_looked_up_once_in_some_seconds(client: Redis) -> None:
    seconds = [0.0]
    keys = Keys(client, timer=lambda: seconds[0])
    secret = (await keys.create("acme", ["read"])).secret

    async def often() -> None:
        for _ in range(20):
            assert await keys.verify(secret)

    assert await reads(client, often) == 1
    seconds[0] = REVOKED_WITHIN_S
    assert await reads(client, often) == 1


async def test_what_redis_took_long_to_say_is_not_remembered(client: Redis) -> None:
    """A key may have been revoked while the answer was on its way: 5 s count from the question."""
    seconds = iter(n * 1.5 for n in range(1000))
    keys = Keys(client, timer=lambda: next(seconds))
    secret = (await keys.create("acme", ["read"])).secret
    assert await keys.verify(secret)
    assert len(keys._verified) == 0


async def test_guesses_cost_no_memory_and_malformed_ones_no_look_up(client: Redis, keys: Keys) -> None:
    key_id = (await keys.create("acme", ["read"])).key.id

    async def guess(secrets: list[str]) -> None:
        assert [await keys.verify(secret) for secret in secrets] == [None] * len(secrets)

    wrong = [f"tg_{key_id}_{'x' * 42}{symbol}" for symbol in SYMBOLS[:20]]
    assert await reads(client, lambda: guess(wrong)) == 20
    assert await reads(client, lambda: guess(["", "tg_", f"tg_{key_id}_short", "x" * 100_000, "tg_ä"])) == 0
    assert len(keys._verified) == 0


async def test_revoking_what_is_not_there_says_so_and_repeats_no_secret(keys: Keys) -> None:
    new = await keys.create("acme", ["read"])
    with pytest.raises(BadInput, match="there is no key abcdefghijkl"):
        await keys.revoke("abcdefghijkl")
    with pytest.raises(BadInput, match="12 lower-case letters") as error:
        await keys.revoke(new.secret)
    assert new.secret[16:] not in str(error.value)
    assert await keys.list()

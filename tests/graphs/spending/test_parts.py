"""The parts of a day's sum. `test_ledger_stateful.py` compares them with sums over calls."""

from datetime import timedelta

from redis.asyncio import Redis

from graphs.spending.ledger import Ledger
from graphs.spending.parts import LONGEST_ITEM, MODEL, TOOL, ItemSpend
from graphs.spending.spend import Tokens
from tests.graphs.ledgers import EXPIRES_IN_S, NOON, TTL, Clock, account
from tests.graphs.redis_servers import Client

MOST_NAMES = 64
TODAY = NOON.date()


async def test_a_day_has_so_many_names_and_the_rest_is_one_part(ledger: Ledger, clock: Clock) -> None:
    names = [f"server.tool{number}" for number in range(MOST_NAMES + 9)]
    for name in names:
        await ledger.reserve(name, account(agent=name), 10, expires_in_s=EXPIRES_IN_S, item=TOOL + name)
        await ledger.settle(name, 3)
    clock.advance(seconds=EXPIRES_IN_S)
    await ledger.reserve("long", account(), 10, expires_in_s=1, item=TOOL + "x" * 1000)
    clock.advance(seconds=2)
    await ledger.reap()
    for tenant in (None, "acme"):
        parts = await ledger.parts(TODAY, tenant)
        for found in (parts.of(TOOL), {name: ItemSpend(micro_usd=each) for name, each in parts.agents.items()}):
            assert [name for name in found if name != "other"] == names[:MOST_NAMES]
            assert found["other"] == ItemSpend(micro_usd=3 * 9 + 10)
    await ledger.settle("long", 4)
    assert (await ledger.parts(TODAY)).of(TOOL)["other"] == ItemSpend(micro_usd=3 * 9 + 4)
    assert (await ledger.parts(TODAY, "acme", most=1)).dearest == {"job": 3 * len(names) + 4}


async def test_a_name_is_kept_to_its_length(ledger: Ledger) -> None:
    await ledger.reserve("call", account(), 1, expires_in_s=EXPIRES_IN_S, item=MODEL + "x" * 1000)
    await ledger.settle("call", 1)
    assert [len(each) for each in (await ledger.parts(TODAY)).items] == [LONGEST_ITEM]


async def test_what_an_earlier_version_reserved_is_charged_to_a_part_without_a_name(
    ledger: Ledger, redis_client: Redis
) -> None:
    await ledger.reserve("call", account(), 10, expires_in_s=EXPIRES_IN_S, item=MODEL + "large")
    await redis_client.hdel("tollgate:{ledger}:call:call", "item", "slot")
    await ledger.settle("call", 7, Tokens(5))
    parts = await ledger.parts(TODAY)
    assert parts.items == {"other:": ItemSpend(micro_usd=7, input_tokens=5)}
    assert parts.slots == {0: 7}


async def test_a_day_is_read_on_its_own(client: Client, clock: Clock) -> None:
    ledger = Ledger(client, ttl_seconds=TTL, now=clock)
    await ledger.reserve("call", account(), 10, expires_in_s=EXPIRES_IN_S, item=MODEL + "large")
    clock.advance(days=1)
    await ledger.settle("call", 7)
    today = await ledger.parts(TODAY)
    assert (today.slots, today.dearest, today.agents) == ({NOON.hour * 4: 7}, {"acme": 7}, {"sales": 7})
    tomorrow = await ledger.parts(TODAY + timedelta(days=1), "acme")
    assert (tomorrow.items, tomorrow.slots, tomorrow.dearest, tomorrow.spend.deployment.micro_usd) == ({}, {}, {}, 0)

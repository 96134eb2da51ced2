"""The ledger, rule by rule. `test_ledger_stateful.py` puts the rules together."""

import asyncio
import multiprocessing
from collections.abc import Awaitable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from graphs.errors import DayUsedUp, LimitReached
from graphs.spending.days import used_up
from graphs.spending.ledger import Ledger
from graphs.spending.limits import LIMITS, MODEL_CALLS, TOOL_CALLS, USD
from graphs.spending.spend import Account, AgentSpend, Amount, Spend, Tokens
from graphs.stop_reasons import StopReason
from tests.graphs.ledgers import (
    EXPIRES_IN_S,
    TTL,
    WIDE,
    Clock,
    account,
    admitted,
    limited,
    reserved,
    spent,
)
from tests.graphs.redis_servers import Client


async def test_a_call_is_reserved_then_charged_to_every_scope(client: Client, clock: Clock) -> None:
    ledger = Ledger(client, ttl_seconds=TTL, now=clock)
    call = await reserved(ledger, account(), 100)
    await reserved(ledger, account(agent="analyst"), 7)
    await reserved(ledger, account(job="other", tenant="zenith"), 1000)

    assert await ledger.spend("job") == Spend(
        reserved_micro_usd=107,
        model_calls=2,
        agents={
            "sales": AgentSpend(reserved_micro_usd=100, model_calls=1),
            "analyst": AgentSpend(reserved_micro_usd=7, model_calls=1),
        },
    )

    assert await ledger.settle(call, 30, Tokens(20, 5, 3)) == 30

    assert await ledger.spend("job") == Spend(
        micro_usd=30,
        secured_micro_usd=100,
        reserved_micro_usd=7,
        model_calls=2,
        input_tokens=20,
        cached_tokens=5,
        output_tokens=3,
        agents={
            "sales": AgentSpend(micro_usd=30, model_calls=1),
            "analyst": AgentSpend(reserved_micro_usd=7, model_calls=1),
        },
    )
    today = await ledger.spent_today("acme")
    assert today.tenant == Amount(micro_usd=30, reserved_micro_usd=7)
    assert today.deployment == Amount(micro_usd=30, reserved_micro_usd=1007)


async def test_of_fifty_at_once_as_many_pass_as_there_is_room_for(client: Client, clock: Clock) -> None:
    ledger, payer = Ledger(client, ttl_seconds=TTL, now=clock), account(budget_micro_usd=79)

    assert await admitted(ledger, payer, 11, attempts=50) == 7

    used = await ledger.spend("job")
    assert (used.reserved_micro_usd, used.model_calls) == (77, 7)


def _from_another_process(socket: str) -> int:
    async def compete() -> int:
        async with Redis(unix_socket_path=socket, socket_timeout=None) as client:
            await cast("Awaitable[Any]", client.rpush("ready", "1"))
            await cast("Awaitable[Any]", client.blpop("go"))
            ledger = Ledger(client, ttl_seconds=TTL)
            return await admitted(ledger, account(budget_micro_usd=79), 11, attempts=25)

    return asyncio.run(compete())


@pytest.mark.slow
async def test_two_processes_share_one_budget(valkey_client: Redis) -> None:
    socket = valkey_client.connection_pool.connection_kwargs["path"]
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        both = [loop.run_in_executor(pool, _from_another_process, socket) for _ in range(2)]
        for _ in both:
            await cast("Awaitable[Any]", valkey_client.blpop("ready"))
        await cast("Awaitable[Any]", valkey_client.rpush("go", "1", "1"))

        assert sum(await asyncio.gather(*both)) == 7

    assert (await Ledger(valkey_client, ttl_seconds=TTL).spend("job")).reserved_micro_usd == 77


@pytest.mark.parametrize(
    ("limits", "reason", "scope", "detail"),
    [
        ({"budget_micro_usd": 99}, StopReason.BUDGET, "job", "limit USD 0.000099"),
        ({"budget_micro_usd": 125, "agent_share_percent": 79}, StopReason.AGENT_BUDGET, "agent", "limit USD 0.000098"),
        ({"model_calls": 1}, StopReason.MODEL_CALLS, "job", "1 of 1 model calls made"),
        ({"agent_model_calls": 1}, StopReason.AGENT_MODEL_CALLS, "agent", "1 of 1 model calls made"),
        ({"tenant_day_micro_usd": 99}, StopReason.TENANT_DAY, "tenant_day", "limit USD 0.000099"),
        ({"deployment_day_micro_usd": 99}, StopReason.DEPLOYMENT_DAY, "deployment_day", "limit USD 0.000099"),
        ({"spend_per_minute_micro_usd": 99}, StopReason.SPEND_RATE, "job_minute", "limit USD 0.000099"),
    ],
)
async def test_each_limit_refuses_in_its_own_name(
    ledger: Ledger, limits: dict[str, int], reason: StopReason, scope: str, detail: str
) -> None:
    await spent(ledger, account(), 40)
    before = await ledger.spend("job"), await ledger.spent_today("acme")

    with pytest.raises(LimitReached, match=detail) as refused:
        await reserved(ledger, limited(limits), 60)

    assert (refused.value.reason, refused.value.scope, refused.value.passing) == (reason, scope, False)
    noted = dict.fromkeys(["tenant_refused_micro_usd", "deployment_refused_micro_usd"])
    today = (await ledger.spent_today("acme")).model_copy(update=noted)
    assert (await ledger.spend("job"), today) == before
    await reserved(ledger, limited({name: value + 2 for name, value in limits.items()}), 60)


@pytest.mark.parametrize(
    ("limits", "tenant", "reason"),
    [
        ({"tenant_day_micro_usd": 99}, "acme", StopReason.TENANT_DAY),
        ({"deployment_day_micro_usd": 198, "tenant_share_percent": 50}, "acme", StopReason.TENANT_DAY),
        ({"deployment_day_micro_usd": 99, "tenant_share_percent": 100}, None, StopReason.DEPLOYMENT_DAY),
    ],
)
async def test_a_day_is_used_up_from_a_refusal_until_there_is_more(
    ledger: Ledger, clock: Clock, limits: dict[str, int], tenant: str | None, reason: StopReason
) -> None:
    async def seen() -> StopReason | None:
        return used_up(await ledger.spent_today("acme"), payer.limits)

    payer = limited(limits)
    open_call = await reserved(ledger, payer, 60)
    with pytest.raises(DayUsedUp) as passing:
        await reserved(ledger, payer, 40)
    assert (passing.value.passing, await seen()) == (True, None), "it waits for the other call"
    await ledger.settle(open_call, 60)
    with pytest.raises(DayUsedUp) as refused:
        await reserved(ledger, payer, 40)
    assert (refused.value.reason, await seen()) == (reason, reason)
    for allowed, outcome in ((60, reason), (99, reason), (100, None)):
        await ledger.allow_today(allowed, tenant)
        assert await seen() is outcome
    await spent(ledger, payer, 40)
    assert await seen() is reason, "nothing is left"
    clock.advance(days=1)
    assert await seen() is None


@pytest.mark.parametrize(
    "other",
    [
        account(agent="analyst", agent_model_calls=1, agent_share_percent=50, budget_micro_usd=120),
        account(job="other", budget_micro_usd=60, model_calls=1, spend_per_minute_micro_usd=60),
        account(job="other", tenant="zenith", tenant_day_micro_usd=60),
    ],
    ids=["agent", "job", "tenant"],
)
async def test_what_one_has_used_is_not_counted_against_another(ledger: Ledger, other: Account) -> None:
    await spent(ledger, account(), 60)

    await reserved(ledger, other, 60)


async def test_a_refusal_says_what_is_in_the_way(ledger: Ledger) -> None:
    await spent(ledger, account(), 200_000)
    await reserved(ledger, account(), 30_000)

    with pytest.raises(LimitReached) as refused:
        await reserved(ledger, account(budget_micro_usd=250_000), 40_000)

    assert "(spent USD 0.20, reserved USD 0.03, wanted USD 0.04, limit USD 0.25)" in str(refused.value)
    assert refused.value.passing


async def test_a_refusal_that_will_not_pass_goes_before_one_that_will(ledger: Ledger) -> None:
    await spent(ledger, account(), 50)
    await reserved(ledger, account(), 40)

    with pytest.raises(LimitReached) as refused:
        await reserved(ledger, account(budget_micro_usd=100, tenant_day_micro_usd=69), 20)

    assert (refused.value.reason, refused.value.passing) == (StopReason.TENANT_DAY, False)


async def test_a_command_that_is_sent_again_changes_nothing(ledger: Ledger) -> None:
    payer = account(budget_micro_usd=100)
    for _ in range(3):
        await ledger.reserve("call", payer, 100, expires_in_s=EXPIRES_IN_S)
    assert (await ledger.spend("job")).reserved_micro_usd == 100

    assert [await ledger.settle("call", cost, Tokens(8, 2, 1)) for cost in (30, 90, None)] == [30, 30, 30]
    await ledger.release("call")
    await ledger.reserve("call", payer, 100, expires_in_s=EXPIRES_IN_S)

    agents = {"sales": AgentSpend(micro_usd=30, model_calls=1)}
    counted = {"model_calls": 1, "input_tokens": 8, "cached_tokens": 2, "output_tokens": 1}
    assert await ledger.spend("job") == Spend(micro_usd=30, secured_micro_usd=100, agents=agents, **counted)


async def test_without_a_usage_the_reservation_is_charged_and_flagged(ledger: Ledger) -> None:
    call = await reserved(ledger, account(), 100)

    assert await ledger.settle(call, None) == 100

    used = await ledger.spend("job")
    assert (used.micro_usd, used.reserved_micro_usd, used.estimated_micro_usd) == (100, 0, 100)


async def test_a_cost_above_the_reservation_is_charged_and_stops_what_follows(ledger: Ledger) -> None:
    payer = account(budget_micro_usd=100)
    call = await reserved(ledger, payer, 60)

    assert await ledger.settle(call, 150) == 150

    assert (await ledger.spend("job")).micro_usd == 150
    with pytest.raises(LimitReached, match=r"spent USD 0\.00015"):
        await reserved(ledger, payer, 0)


async def test_a_release_gives_the_money_back_but_not_the_call(ledger: Ledger) -> None:
    payer = account(budget_micro_usd=100, model_calls=1)
    await ledger.release(await reserved(ledger, payer, 100))

    assert (await ledger.spend("job")).reserved_micro_usd == 0
    assert (await ledger.spent_today("acme")).deployment == Amount()
    with pytest.raises(LimitReached, match="1 of 1 model calls"):
        await reserved(ledger, payer, 100)


async def test_a_call_that_nobody_reserved_is_charged_to_nobody(ledger: Ledger) -> None:
    assert await ledger.settle("unknown", 10) == 0
    await ledger.release("unknown")

    assert await ledger.spend("job") == Spend()
    assert (await ledger.spent_today("acme")).deployment == Amount()


async def test_a_reservation_that_arrives_after_its_release_is_not_made(ledger: Ledger) -> None:
    await ledger.release("call")

    await ledger.reserve("call", account(), 100, expires_in_s=EXPIRES_IN_S)

    assert await ledger.spend("job") == Spend()


async def test_a_reservation_that_is_cancelled_at_any_moment_is_none(valkey_client: Redis) -> None:
    ledger, made, turns = Ledger(valkey_client, ttl_seconds=TTL), 0, 0
    await reserved(ledger, account("warm"), 1)  # connected, script loaded
    while made == 0:
        task = asyncio.create_task(reserved(ledger, account(f"job-{turns}"), 100))
        for _ in range(turns):
            await asyncio.sleep(0)
        made += not task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        turns += 1

    assert turns > 3
    left = [(await ledger.spend(f"job-{turn}")).reserved_micro_usd for turn in range(turns)]
    assert left == [0] * (turns - 1) + [100]


async def test_what_expired_is_charged_by_whoever_reserves_next(ledger: Ledger, clock: Clock) -> None:
    await reserved(ledger, account(), 100)
    in_time = account(job="other", tenant="zenith", deployment_day_micro_usd=150)
    clock.advance(seconds=EXPIRES_IN_S - 1)
    with pytest.raises(LimitReached) as refused:
        await reserved(ledger, in_time, 60)
    assert refused.value.passing

    clock.advance(seconds=1)
    await reserved(ledger, in_time, 50)

    used = await ledger.spend("job")
    assert (used.micro_usd, used.reserved_micro_usd, used.estimated_micro_usd) == (100, 0, 100)
    assert (await ledger.spent_today("acme")).deployment == Amount(micro_usd=100, reserved_micro_usd=50)


async def test_one_reservation_reaps_a_bounded_number_and_reap_reaps_all(ledger: Ledger, clock: Clock) -> None:
    for _ in range(230):
        await reserved(ledger, account(), 1)
    clock.advance(seconds=EXPIRES_IN_S)

    await reserved(ledger, account("other"), 1)
    assert (await ledger.spend("job")).micro_usd == 16

    assert await ledger.reap() == 230 - 16
    used = await ledger.spend("job")
    assert (used.micro_usd, used.reserved_micro_usd, used.estimated_micro_usd) == (230, 0, 230)
    assert await ledger.reap() == 0


@pytest.mark.parametrize(("actual", "estimated"), [(30, 0), (130, 0), (None, 100)])
async def test_a_settle_after_reaping_corrects_the_charge_once(
    ledger: Ledger, clock: Clock, actual: int | None, estimated: int
) -> None:
    call = await reserved(ledger, account(), 100)
    clock.advance(seconds=EXPIRES_IN_S)
    await reserved(ledger, account(), 500)

    charged = [await ledger.settle(call, cost, Tokens(1, 0, 1)) for cost in (actual, 77)]

    assert charged == [actual or 100] * 2
    used = await ledger.spend("job")
    assert (used.micro_usd, used.reserved_micro_usd, used.estimated_micro_usd) == (actual or 100, 500, estimated)
    assert used.agents["sales"].micro_usd == (actual or 100)
    assert (used.input_tokens, used.output_tokens) == (1, 1)
    assert (await ledger.spent_today("acme")).tenant == Amount(micro_usd=actual or 100, reserved_micro_usd=500)


async def test_a_release_after_reaping_takes_the_charge_back(ledger: Ledger, clock: Clock) -> None:
    call = await reserved(ledger, account(), 100)
    clock.advance(seconds=EXPIRES_IN_S)
    await ledger.reap()

    await ledger.release(call)

    used = await ledger.spend("job")
    assert (used.micro_usd, used.reserved_micro_usd, used.estimated_micro_usd) == (0, 0, 0)


async def test_a_call_is_charged_to_the_day_it_was_reserved_on(ledger: Ledger, clock: Clock) -> None:
    clock.now = datetime(2026, 3, 2, 0, 59, 50, tzinfo=timezone(timedelta(hours=1)))  # 23:59:50 UTC
    call = await reserved(ledger, account(), 100)
    clock.advance(seconds=20)
    assert (await ledger.spent_today("acme")).deployment == Amount()
    await reserved(ledger, account(tenant_day_micro_usd=100), 100)

    await ledger.settle(call, 40)

    assert (await ledger.spent_today("acme")).tenant == Amount(reserved_micro_usd=100)
    clock.advance(seconds=-20)
    assert (await ledger.spent_today("acme")).tenant == Amount(micro_usd=40)


async def test_the_rate_is_that_of_the_minute_in_which_calls_are_settled(ledger: Ledger, clock: Clock) -> None:
    payer = account(spend_per_minute_micro_usd=100)
    clock.advance(seconds=50)
    call = await reserved(ledger, payer, 60)
    clock.advance(seconds=15)
    await ledger.settle(call, 60)
    clock.advance(seconds=40)

    with pytest.raises(LimitReached, match=r"spent USD 0\.00006, .*wanted USD 0\.000041") as refused:
        await reserved(ledger, payer, 41)
    assert (refused.value.reason, refused.value.passing) == (StopReason.SPEND_RATE, False)

    clock.advance(seconds=15)
    await reserved(ledger, payer, 41)


@pytest.mark.parametrize("later_s", [1, 60])
async def test_a_correction_counts_in_the_minute_of_the_charge(ledger: Ledger, clock: Clock, later_s: int) -> None:
    payer = account(spend_per_minute_micro_usd=100)
    call = await reserved(ledger, payer, 90)
    clock.advance(seconds=EXPIRES_IN_S)
    await ledger.reap()
    clock.advance(seconds=later_s)
    await spent(ledger, payer, 10)
    await ledger.settle(call, 30)

    room = 90 if later_s == 60 else 60
    with pytest.raises(LimitReached):
        await reserved(ledger, payer, room + 1)
    await reserved(ledger, payer, room)


@pytest.mark.parametrize("amount", [100_000_000, 10**15, 2**53 - 1])
async def test_amounts_are_exact_however_large(client: Client, amount: int) -> None:
    unlimited = {name: 2**60 for name in type(WIDE).model_fields if name.endswith("micro_usd")}
    ledger, payer = Ledger(client, ttl_seconds=TTL), limited(unlimited)
    call = await reserved(ledger, payer, amount)
    with pytest.raises(LimitReached):
        await reserved(ledger, limited({**unlimited, "budget_micro_usd": amount}), 1)
    assert (await ledger.spend("job")).reserved_micro_usd == amount

    assert await ledger.settle(call, amount - 1) == amount - 1

    used = await ledger.spend("job")
    assert (used.micro_usd, used.reserved_micro_usd) == (amount - 1, 0)


@pytest.mark.parametrize("amount", [-1, 2**53, 1.5])
async def test_what_is_no_amount_is_refused(ledger: Ledger, amount: Any) -> None:
    call = await reserved(ledger, account(), 10)
    for wrong in (reserved(ledger, account(), amount), ledger.settle(call, amount), ledger.count("job", steps=amount)):
        with pytest.raises(ValueError, match=r"cannot be booked|format code"):
            await wrong
    assert (await ledger.spend("job")).reserved_micro_usd == 10


async def test_names_may_hold_anything(client: Client) -> None:
    ledger, payer = Ledger(client, ttl_seconds=TTL), account(job="{a}:b", agent="c:{d}", tenant="é: ")
    await spent(ledger, payer, 5)
    await spent(ledger, replace(payer, agent="", tenant=""), 6)

    used = await ledger.spend("{a}:b")
    assert {name: agent.micro_usd for name, agent in used.agents.items()} == {"c:{d}": 5, "": 6}
    assert [(await ledger.spent_today(tenant)).tenant.micro_usd for tenant in ("é: ", "")] == [5, 6]


@pytest.mark.parametrize(
    "name", [name for name, limit in LIMITS.items() if limit.unit in {USD, MODEL_CALLS, TOOL_CALLS}]
)
async def test_whatever_limits_money_or_calls_is_held(ledger: Ledger, name: str) -> None:
    payer, limit = limited({name: 1}), LIMITS[name]

    async def used() -> None:
        await (ledger.count_tool_call(payer) if limit.unit is TOOL_CALLS else spent(ledger, payer, 1))

    await used()
    with pytest.raises(LimitReached) as refused:
        await used()

    assert (refused.value.reason, refused.value.scope, refused.value.passing) == (limit.reason, limit.scope, False)


async def test_steps_and_handoffs_add_up(ledger: Ledger) -> None:
    await ledger.count("job", steps=1)
    await ledger.count("job", steps=2, handoffs=3)

    assert await ledger.spend("job") == Spend(steps=3, handoffs=3)


@pytest.mark.parametrize(
    ("limits", "reason", "scope"),
    [
        ({"tool_calls": 3, "agent_tool_calls": 9}, StopReason.TOOL_CALLS, "job"),
        ({"tool_calls": 9, "agent_tool_calls": 2}, StopReason.AGENT_TOOL_CALLS, "agent"),
    ],
)
async def test_tool_calls_are_counted_for_job_and_agent_or_for_neither(
    client: Client, limits: dict[str, int], reason: StopReason, scope: str
) -> None:
    ledger = Ledger(client, ttl_seconds=TTL)
    await ledger.count_tool_call(limited(limits, "analyst"))

    payer = limited(limits)
    outcomes = await asyncio.gather(*(ledger.count_tool_call(payer) for _ in range(20)), return_exceptions=True)

    refused = [each for each in outcomes if isinstance(each, LimitReached)]
    assert len(refused) == 18
    assert {(each.reason, each.scope, each.passing) for each in refused} == {(reason, scope, False)}
    used = await ledger.spend("job")
    assert (used.tool_calls, used.agents["sales"].tool_calls, used.agents["analyst"].tool_calls) == (3, 2, 1)

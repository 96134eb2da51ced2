"""The queue: tenants take turns, no call is lost, and what a dead worker had is given to another."""

import asyncio
import contextlib
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ResponseError

import app.work.queue as module
from app.work.queue import Call, Queue, Worker
from app.work.queue_worker import QueueWorker
from tests.examples import at_most

TENANTS = ("acme", "beta", "corp")
SILENCE_S = 10.0
ANY = settings(max_examples=at_most(60), suppress_health_check=[HealthCheck.function_scoped_fixture])


def worker(name: str = "w", places: int = 4, per_tenant: int = 100) -> Worker:
    return Worker(name, places, per_tenant, SILENCE_S)


def queue_of(client: Redis) -> Queue:
    return Queue(client, "tollgate:{test}:queue:", ttl_seconds=600, now_ms=1_700_000_000_000)


def later(queue: Queue, seconds: float) -> None:
    assert queue.now_ms
    queue.now_ms += round(seconds * 1000)


async def filled(queue: Queue, **numbers: int) -> None:
    """So many calls of each tenant, one tenant after the other."""
    for tenant, number in numbers.items():
        for each in range(number):
            await queue.put(Call(tenant, f"{each:03}"))
            later(queue, 0.001)


async def test_tenants_are_taken_in_turn_and_each_tenants_calls_in_order(redis_client: Redis) -> None:
    queue = queue_of(redis_client)
    await filled(queue, acme=40, beta=2, corp=1)
    taken = (await queue.take(worker(places=9), 6)).calls
    assert [each.tenant for each in taken] == ["acme", "beta", "corp", "acme", "beta", "acme"]
    assert [each.name for each in taken if each.tenant == "acme"] == ["000", "001", "002"]


@ANY
@given(arrivals=st.lists(st.tuples(st.sampled_from(TENANTS), st.booleans()), min_size=1, max_size=60))
async def test_while_a_tenant_waits_nobody_gets_two_turns(
    redis_client: Redis, arrivals: list[tuple[str, bool]]
) -> None:
    await redis_client.flushall()
    queue, mine = queue_of(redis_client), worker(places=1)
    waiting: Counter[str] = Counter()
    turns: dict[str, Counter[str]] = {}  # of others, since this tenant waits

    async def turn() -> None:
        for call in (await queue.take(mine, 1)).calls:
            waiting[call.tenant] -= 1
            for tenant in TENANTS:
                if waiting[tenant] and tenant != call.tenant:
                    turns.setdefault(tenant, Counter())[call.tenant] += 1
            turns.pop(call.tenant, None)
            assert all(most <= 1 for counted in turns.values() for most in counted.values()), turns
            await queue.done(mine, call)

    for number, (tenant, then_take) in enumerate(arrivals):
        await queue.put(Call(tenant, f"{number:03}"))
        waiting[tenant] += 1
        if then_take:
            await turn()
    for _ in range(waiting.total()):
        await turn()
    assert waiting.total() == 0


@pytest.mark.parametrize(("places", "of_one"), [((4,), 3), ((2, 2), 3), ((1,), 1), ((8,), 5)])
async def test_no_tenant_has_all_places(redis_client: Redis, places: tuple[int, ...], of_one: int) -> None:
    queue = queue_of(redis_client)
    await filled(queue, acme=40)
    workers = [worker(f"w{at}", each, per_tenant=5) for at, each in enumerate(places)]
    for each in workers:
        await queue.take(each, 0)
    free = {each: each.places - len((await queue.take(each, each.places)).calls) for each in workers}
    assert sum(places) - sum(free.values()) == of_one
    await queue.put(Call("beta", "x"))
    found = [call for each in workers for call in (await queue.take(each, free[each])).calls]
    assert found == [Call("beta", "x")] * min(1, sum(free.values())), "a place is free for whoever comes next"


async def test_what_a_silent_worker_had_is_given_to_another_and_comes_first(redis_client: Redis) -> None:
    queue, old, new = queue_of(redis_client), worker("old"), worker("new")
    await filled(queue, acme=3)
    [first, second] = (await queue.take(old, 2)).calls
    later(queue, SILENCE_S - 1)
    await queue.renew(old, [second])
    later(queue, 2)
    assert (await queue.take(new, 1)).calls == [first]
    await queue.done(old, first, again_s=0)
    assert (await queue.sizes()).taken == 2, "the old one has no say any more"
    await queue.done(new, first)
    assert (await queue.take(new, 9)).calls == [Call("acme", "002")]
    assert (await queue.sizes()).places == 8
    later(queue, SILENCE_S + 1)
    assert (await queue.sizes()).places == 0


async def test_the_age_of_the_queue_is_that_of_the_call_that_waits_longest(redis_client: Redis) -> None:
    queue, old, new = queue_of(redis_client), worker("old"), worker("new")
    assert (await queue.sizes()).oldest_ms == 0
    for tenant in ("acme", "beta"):
        await queue.put(Call(tenant, "x"))
        later(queue, 30)
    assert (await queue.sizes()).oldest_ms == 60_000
    await queue.take(old, 1)
    assert (await queue.sizes()).oldest_ms == 30_000
    later(queue, SILENCE_S + 1)
    await queue.take(new, 0)  # the first call waits again, before all others
    assert (await queue.sizes()).oldest_ms == 41_000, "whoever waits since its worker died is taken at once"


async def test_a_call_waits_once_and_is_made_again_when_it_was_asked_for_meanwhile(redis_client: Redis) -> None:
    queue, mine, call = queue_of(redis_client), worker(), Call("acme", "x")
    for delay in (0, 0, 60):
        await queue.put(call, delay)
    assert (await queue.take(mine, 9)).calls == [call]
    await queue.put(call)
    assert (await queue.take(mine, 9)).calls == []
    await queue.done(mine, call, again_s=60)
    assert (await queue.take(mine, 9)).calls == [call], "what came meanwhile counts more than what its run wanted"
    await queue.done(mine, call)
    assert (await queue.sizes())[:3] == (0, 0, 0)


async def test_a_call_is_made_at_its_time_and_sooner_when_somebody_wants_it_sooner(redis_client: Redis) -> None:
    queue, mine, call = queue_of(redis_client), worker(), Call("acme", "x")
    await queue.put(call, 60)
    await queue.put(call, 90)
    assert await queue.take(mine, 1) == ([], 60.0)
    later(queue, 60)
    assert (await queue.take(mine, 1)).calls == [call]
    await queue.done(mine, call, again_s=3600)
    await queue.put(call)
    assert (await queue.take(mine, 1)).calls == [call]


async def test_what_is_in_the_queue_stays_as_it_is_and_what_is_not_is_put_there(redis_client: Redis) -> None:
    queue, mine = queue_of(redis_client), worker()
    taken, waiting, due, lost = (Call("acme", name) for name in ("taken", "waiting", "due", "lost"))
    await queue.put(taken)
    await queue.take(mine, 1)
    await queue.put(waiting)
    await queue.put(due, 60)
    for call in (taken, waiting, due, lost):
        await queue.ensure(call)
    await queue.done(mine, taken)
    assert await queue.take(mine, 9) == ([lost, waiting], 60.0)


@ANY
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "take", "done", "again", "die"]), st.integers(0, 5)), min_size=1, max_size=60
    )
)
async def test_no_call_is_lost_whoever_dies(redis_client: Redis, steps: list[tuple[str, int]]) -> None:
    await redis_client.flushall()
    queue = queue_of(redis_client)
    wanted: set[Call] = set()
    held: list[tuple[Worker, Call]] = []
    for at, (step, number) in enumerate(steps):
        match step:
            case "put":
                wanted.add(call := Call(TENANTS[number % 3], f"{number}"))
                await queue.put(call, number % 2)
            case "take":
                mine = worker(f"w{at}", places=3)
                held += [(mine, each) for each in (await queue.take(mine, 2)).calls]
            case "done" | "again" if held:
                mine, call = held.pop(number % len(held))
                asked = await redis_client.hexists("tollgate:{test}:queue:again", call.member)
                await queue.done(mine, call, 1 if step == "again" else None)
                wanted -= {call} if step == "done" and not asked else set()
            case "die":
                held.clear()
                later(queue, SILENCE_S + 1)
            case _:
                later(queue, 1)
        assert sum((await queue.sizes())[:3]) == len(wanted)
    later(queue, SILENCE_S + 1)
    last = worker("last", places=100)
    assert set((await queue.take(last, 100)).calls) == wanted


async def test_a_command_that_the_store_refuses_loses_no_call(redis_client: Redis, redis_url: str) -> None:
    queue, admin, mine = queue_of(redis_client), redis_client, worker()
    scripts = "".join(Path(module.__file__).with_name(each).read_text() for each in ("line.lua", "queue.lua"))
    commands = sorted(set(re.findall(r"(?:call\(|\{ )'([A-Z]+)'", scripts)) - {"TIME"})
    acl: Any = admin.execute_command
    await acl("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all")
    async with Redis.from_url(redis_url.replace("unix://", "unix://app:secret@")) as client:
        refused = queue_of(client)
        for command in commands:
            await admin.flushall()
            await queue.put(Call("acme", "now"))
            await queue.put(Call("acme", "later"), 1)
            [lost] = (await queue.take(worker("dead", 4), 1)).calls
            queue.now_ms = refused.now_ms = 1_700_000_000_000 + 60_000
            await acl("ACL", "SETUSER", "app", f"-{command}")
            for _ in range(2):
                with contextlib.suppress(ResponseError):
                    for each in (await refused.take(mine, 9)).calls:
                        await refused.done(mine, each, 0)
            await acl("ACL", "SETUSER", "app", f"+{command}")
            later(queue, 60)
            assert {each.name for each in (await queue.take(worker("next"), 9)).calls} == {lost.name, "later"}, command
            queue.now_ms = refused.now_ms = 1_700_000_000_000
    await acl("ACL", "DELUSER", "app")


async def test_a_full_store_loses_no_call(redis_client: Redis) -> None:
    queue, mine = queue_of(redis_client), worker()
    await filled(queue, acme=2)
    await redis_client.config_set("maxmemory", "1")
    try:
        with pytest.raises(ResponseError, match="maxmemory"):
            await queue.put(Call("acme", "not taken"))
        [call] = (await queue.take(mine, 1)).calls
        with contextlib.suppress(ResponseError):
            await queue.done(mine, call, 0)
    finally:
        await redis_client.config_set("maxmemory", "0")
    later(queue, SILENCE_S + 1)
    assert {each.name for each in (await queue.take(mine, 9)).calls} == {"000", "001"}


async def test_a_taker_fills_its_places_hears_of_new_calls_and_lets_what_runs_end(redis_client: Redis) -> None:
    queue = Queue(redis_client, "tollgate:{test}:queue:", ttl_seconds=600)
    go, stop, seen = asyncio.Event(), asyncio.Event(), Counter[str]()
    running = asyncio.Semaphore(0)

    async def act(call: Call) -> float | None:
        seen[call.name] += 1
        running.release()
        if seen["raises"] == 1 and call.name == "raises":
            raise ValueError("nobody expected this")
        await go.wait()
        return 0 if call.name == "again" and seen["again"] == 1 else None

    taking = asyncio.create_task(QueueWorker(queue, worker(places=3), act).until(stop))
    async with asyncio.timeout(10):
        await asyncio.sleep(0)
        for at, name in enumerate(("again", "b", "c", "d")):
            await queue.put(Call(f"t{at}", name))
        for _ in range(3):
            await running.acquire()
        assert (seen.total(), (await queue.sizes()).taken) == (3, 3)
        go.set()
        for _ in range(2):  # "d", and "again" once more
            await running.acquire()
        go.clear()
        await queue.put(Call("t9", "last"))
        await running.acquire()
        stop.set()
        go.set()
        await taking
    assert seen == {"again": 2, "b": 1, "c": 1, "d": 1, "last": 1}
    assert (await queue.sizes())[:3] == (0, 0, 0)

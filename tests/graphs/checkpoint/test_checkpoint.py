import asyncio

import pytest
from langgraph.checkpoint.base import CheckpointTuple, copy_checkpoint
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from graphs.checkpoint.saver import RedisSaver
from graphs.checkpoint.store import Run, Store
from tests.graphs.checkpoints import fields, keys, new_thread, put, read, thread_of, values_of
from tests.graphs.redis_servers import Client, Connect

LONG = "x" * 600


async def test_every_key_has_a_ttl_whatever_was_done(client: Client) -> None:
    saver = RedisSaver(client, ttl_seconds=50)
    writes_first, full, copied, pruned = (new_thread() for _ in range(4))
    writes_first["configurable"]["checkpoint_id"] = "1"
    await saver.aput_writes(writes_first, [("x", 1)], "task")
    stored = await put(saver, full, {"x": 1})
    await saver.aput_writes(stored, [("x", 2)], "task")
    await put(saver, {"configurable": full["configurable"] | {"checkpoint_ns": "child:1"}}, {"x": 1})
    await saver.acopy_thread(full["configurable"]["thread_id"], copied["configurable"]["thread_id"])
    for number in range(3):
        await put(saver, pruned, {"x": number})
    await saver.aprune([pruned["configurable"]["thread_id"]])

    ttls = {key: await client.ttl(key) for key in await keys(client)}

    assert len(ttls) == 7
    assert set(ttls.values()) <= {49, 50}, ttls


async def test_a_put_refreshes_the_whole_thread(client: Client) -> None:
    thread = new_thread()
    await put(RedisSaver(client, ttl_seconds=10), thread, {"x": 1})

    await put(RedisSaver(client, ttl_seconds=100), thread, {"x": 2})

    assert {await client.ttl(key) for key in await keys(client)} <= {99, 100}


async def test_writes_refresh_the_whole_thread(client: Client) -> None:
    stored = await put(RedisSaver(client, ttl_seconds=10), new_thread(), {"x": 1})

    await RedisSaver(client, ttl_seconds=100).aput_writes(stored, [("x", 1)], "task")

    assert {await client.ttl(key) for key in await keys(client)} <= {99, 100}


async def test_without_a_ttl_nothing_expires(valkey_client: Client) -> None:
    await put(RedisSaver(valkey_client), new_thread(), {"x": 1})

    assert {await valkey_client.ttl(key) for key in await keys(valkey_client)} == {-1}


async def test_a_blob_is_stored_once_per_version(client: Client) -> None:
    saver, thread = RedisSaver(client), new_thread()
    first = await put(saver, thread, {"a": 1, "b": LONG})
    second = await put(saver, first, {"a": 2, "b": LONG}, new={"a"})
    await put(saver, second, {"a": 2, "b": LONG}, new=set())

    assert len(await fields(client, thread, "c")) == 3
    assert len(await fields(client, thread, "b")) == 3  # two versions of a, one of b


@pytest.mark.parametrize("kind", ["list", "dict"])
async def test_a_growing_channel_stores_what_was_added(valkey_client: Client, kind: str) -> None:
    saver, thread = RedisSaver(valkey_client), new_thread()
    config, steps = thread, 200
    for number in range(1, steps + 1):
        items = {f"{at}": f"{at}{LONG}" for at in range(number)}
        config = await put(saver, config, {"grown": items if kind == "dict" else list(items.values())})

    sizes = [len(blob) for blob in (await fields(valkey_client, thread, "b")).values()]
    assert len(sizes) == steps
    whole = steps * len(LONG)
    assert sum(sizes) < 5 * whole  # storing each version whole takes 100 times that
    assert len((await values_of(saver, config))["grown"]) == steps


async def test_a_lost_thread_is_stored_anew_by_the_next_put(client: Client) -> None:
    saver, thread = RedisSaver(client), new_thread()
    first = await put(saver, thread, {"grown": [LONG], "still": LONG})
    await read(saver, first)
    parent = await read(saver, first)
    await saver.adelete_thread(thread["configurable"]["thread_id"])
    checkpoint = copy_checkpoint(parent.checkpoint)
    checkpoint["id"] = "2"
    checkpoint["channel_values"] = {"grown": [LONG, LONG], "still": LONG}
    checkpoint["channel_versions"] = checkpoint["channel_versions"] | {"grown": 7.5}

    await saver.aput(first, checkpoint, {"step": 1}, {"grown": 7.5})

    assert await values_of(saver, thread_of(first)) == {"grown": [LONG, LONG], "still": LONG}


async def test_a_put_on_missing_blobs_stores_nothing(client: Client) -> None:
    store = Store(client, None)

    unchanged = await store.put(Run("t"), "\x1f1", ["a\x1f1", "b\x1f1"], b"body", [b"F1"])
    addition = await store.put(Run("t"), "\x1f1", ["a\x1f2"], b"body", [b"D1\x1f1"])

    assert (unchanged, addition) == (-1, -1)
    assert await keys(client) == []


async def test_readers_never_see_half_a_checkpoint(client: Client) -> None:
    saver, thread = RedisSaver(client), new_thread()
    config, seen = await put(saver, thread, {"count": 0, "log": [LONG]}), 0
    done = asyncio.Event()

    async def look() -> int:
        reader, looks = RedisSaver(client), 0
        while not done.is_set():
            values = await values_of(reader, thread)
            assert len(values["log"]) == values["count"] + 1
            looks += 1
        return looks

    async def prune() -> None:
        while not done.is_set():
            await RedisSaver(client).aprune([thread["configurable"]["thread_id"]])

    async with asyncio.TaskGroup() as group:
        looking, _ = group.create_task(look()), group.create_task(prune())
        for number in range(1, 100):
            config = await put(saver, config, {"count": number, "log": [LONG] * (number + 1)})
        done.set()
    seen = looking.result()
    assert seen > 1


async def test_forks_of_one_checkpoint_keep_their_own_values(client: Client) -> None:
    saver, thread = RedisSaver(client), new_thread()
    root = await put(saver, thread, {"log": [LONG]})
    left = await put(saver, root, {"log": [LONG, "left"]})
    right = await put(saver, root, {"log": [LONG, "right"]})
    left_again = await put(saver, left, {"log": [LONG, "left", "left"]})

    assert (await values_of(saver, left))["log"] == [LONG, "left"]
    assert (await values_of(saver, right))["log"] == [LONG, "right"]
    assert (await values_of(saver, left_again))["log"] == [LONG, "left", "left"]


async def test_pruning_keeps_what_the_newest_checkpoint_builds_on(client: Client) -> None:
    saver, thread = RedisSaver(client), new_thread()
    config = thread
    for number in range(1, 5):
        config = await put(saver, config, {"log": [LONG] * number, "other": f"{number}{LONG}"})
        await saver.aput_writes(config, [("x", number)], "task")

    await saver.aprune([thread["configurable"]["thread_id"]])

    assert await values_of(saver, thread) == {"log": [LONG] * 4, "other": f"4{LONG}"}
    assert len(await fields(client, thread, "c")) == 1
    assert len(await fields(client, thread, "w")) == 1
    assert len(await fields(client, thread, "b")) == 5  # four parts of the log, one of the other


async def test_nothing_is_left_of_a_thread_without_checkpoints(client: Client) -> None:
    saver, thread = RedisSaver(client), new_thread()
    stored = await put(saver, thread, {"x": LONG}, metadata={"run_id": "r"})
    await saver.aput_writes(stored, [("x", 1)], "task")

    await saver.adelete_for_runs(["r"])

    assert await keys(client) == []


async def test_without_a_config_all_threads_are_listed(client: Client) -> None:
    saver = RedisSaver(client)
    configs = [await put(saver, new_thread(ns), {"x": 1}) for ns in ("", "child:1", "")]

    found = [each.config async for each in saver.alist(None)]

    assert sorted(map(str, found)) == sorted(map(str, configs))


async def test_listing_reads_past_one_batch_newest_first(client: Client) -> None:
    saver, config = RedisSaver(client), new_thread()
    configs = []
    for number in range(40):
        config = await put(saver, config, {"x": number})
        configs.append(config)

    found: list[CheckpointTuple] = [each async for each in saver.alist(thread_of(config), before=configs[35], limit=30)]

    assert [each.config for each in found] == configs[34:4:-1]
    assert [each.checkpoint["channel_values"]["x"] for each in found] == list(range(34, 4, -1))


async def test_writes_come_in_task_order_and_count_once(client: Client) -> None:
    saver = RedisSaver(client)
    stored = await put(saver, new_thread(), {"x": 1})
    await saver.aput_writes(stored, [("x", "b0"), ("y", "b1")], "task-1", "~path, b")
    await saver.aput_writes(stored, [("x", "a0")], "task-2", "~path, a")
    await saver.aput_writes(stored, [("x", "ignored"), ("__error__", ValueError("first"))], "task-1", "~path, b")
    await saver.aput_writes(stored, [("__error__", ValueError("second"))], "task-1", "~path, b")

    assert (await read(saver, stored)).pending_writes == [
        ("task-2", "x", "a0"),
        ("task-1", "__error__", "ValueError('second')"),
        ("task-1", "x", "b0"),
        ("task-1", "y", "b1"),
    ]


async def test_a_copy_lives_on_when_its_source_is_gone(client: Client) -> None:
    saver, source, target = RedisSaver(client), new_thread(), new_thread()
    first = await put(saver, source, {"log": [LONG]})
    await put(saver, first, {"log": [LONG, "more"]})
    await put(saver, target, {"log": ["replaced"]})

    await saver.acopy_thread(source["configurable"]["thread_id"], target["configurable"]["thread_id"])
    await saver.adelete_thread(source["configurable"]["thread_id"])

    assert [each.checkpoint["channel_values"] async for each in saver.alist(target)] == [
        {"log": [LONG, "more"]},
        {"log": [LONG]},
    ]


async def test_a_server_that_forgot_the_scripts_gets_them_again(client: Client) -> None:
    saver, thread = RedisSaver(client), new_thread()
    await put(saver, thread, {"x": 1})
    await client.script_flush()

    await put(saver, thread, {"x": 2})

    assert await values_of(saver, thread) == {"x": 2}


async def test_one_cancelled_write_leaves_the_others(valkey_client: Client) -> None:
    saver = RedisSaver(valkey_client)
    stored = await put(saver, new_thread(), {"x": 1})
    tasks = [asyncio.create_task(saver.aput_writes(stored, [("x", name)], name)) for name in ("a", "b")]
    await asyncio.sleep(0)

    tasks[0].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1] is None
    assert ("b", "x", "b") in ((await read(saver, stored)).pending_writes or [])


async def test_a_cancelled_put_leaves_the_writes_it_took_along(valkey_client: Client) -> None:
    saver = RedisSaver(valkey_client)
    stored = await put(saver, new_thread(), {"x": 1})
    checkpoint = (await read(saver, stored)).checkpoint
    writing = asyncio.create_task(saver.aput_writes(stored, [("x", 2)], "task"))
    putting = asyncio.create_task(saver.aput(stored, checkpoint, {}, {}))
    await asyncio.sleep(0)

    putting.cancel()
    await asyncio.gather(putting, return_exceptions=True)
    await writing

    assert (await read(saver, stored)).pending_writes == [("task", "x", 2)]


async def test_a_failed_round_trip_fails_all_who_wait_for_it(valkey_client: Client) -> None:
    saver = RedisSaver(valkey_client)
    stored = await put(saver, new_thread(), {"x": 1})
    checkpoint = (await read(saver, stored)).checkpoint
    for key in await keys(valkey_client):
        await valkey_client.set(key, "not ours")

    together = await asyncio.gather(
        saver.aput_writes(stored, [("x", 2)], "task"), saver.aput(stored, checkpoint, {}, {}), return_exceptions=True
    )
    alone = await asyncio.gather(saver.aput_writes(stored, [("x", 2)], "task"), return_exceptions=True)

    assert [type(each) for each in [*together, *alone]] == [ResponseError] * 3


def test_a_client_that_decodes_is_refused() -> None:
    with pytest.raises(ValueError, match="decode_responses=False"):
        RedisSaver(Redis(decode_responses=True))


@pytest.mark.parametrize("ttl", [0, -5])
def test_a_ttl_must_be_positive(ttl: int) -> None:
    with pytest.raises(ValueError, match="positive number of seconds"):
        RedisSaver(Redis(), ttl_seconds=ttl)


@pytest.mark.parametrize("thread", ["", "}x"])
async def test_a_thread_id_that_is_no_hash_tag_is_refused(valkey: Connect, thread: str) -> None:
    with pytest.raises(ValueError, match="hash tag"):
        await RedisSaver(valkey()).aget_tuple({"configurable": {"thread_id": thread}})


async def test_an_unknown_prune_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="'keep_some' is unknown"):
        await RedisSaver(Redis()).aprune(["t"], strategy="keep_some")


def test_synchronous_methods_name_the_asynchronous_ones() -> None:
    saver = RedisSaver(Redis())
    with pytest.raises(NotImplementedError, match="aget_tuple"):
        saver.get_tuple(new_thread())
    with pytest.raises(NotImplementedError, match="alist"):
        saver.list(new_thread())

"""The event log: one process writes it, others follow it, nothing is lost, repeated or left behind."""

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as NoConnection

from app.errors import BadInput
from app.jobs.events import EVENT_BYTES, READERS, Event, EventLog
from app.jobs.states import TERMINAL
from app.store.embedded_redis import _binary
from graphs.errors import Fenced
from graphs.state import Json
from tests.examples import at_most

JOB = "job-1"
STREAM = f"tollgate:{{{JOB}}}:events"
TTL = 600
DONE: Json = {"type": "job", "status": "completed"}


def steps(count: int, start: int = 1) -> list[Json]:
    return [{"type": "step", "n": n} for n in range(start, start + count)]


@pytest.fixture
def log(redis_client: Redis) -> EventLog:
    return EventLog(redis_client, ttl_seconds=TTL)


@pytest.fixture
async def other(redis_url: str) -> AsyncIterator[EventLog]:
    """The log as another process sees it: a client of its own."""
    async with contextlib.aclosing(Redis.from_url(redis_url)) as client:
        yield EventLog(client, ttl_seconds=TTL)


async def seen(log: EventLog, after: str | None = None, *, most: int = 10_000, job: str = JOB) -> list[Event]:
    """What a follower gets until the job has ended, or until it has got that many; heartbeats left out."""
    got: list[Event] = []
    async with contextlib.aclosing(log.follow(job, after)) as events:
        async for event in events:
            got += [event] if event else []
            if len(got) == most:
                break
    return got


def told(events: Sequence[Event]) -> list[Any]:
    return [event.data.get("n") or event.data.get("status") or event.data.get("missed") for event in events]


async def kept(log: EventLog, job: str, got: asyncio.Queue[Event]) -> None:
    """Follow a job and queue what comes."""
    async for event in log.follow(job, None):
        if event:
            got.put_nowait(event)


async def taken(got: asyncio.Queue[Event], count: int) -> list[Event]:
    async with asyncio.timeout(20):
        return [await got.get() for _ in range(count)]


# -- writing --


async def test_events_come_back_in_order_with_their_time_and_expire(redis_client: Redis) -> None:
    log = EventLog(redis_client, ttl_seconds=TTL, now=lambda: datetime(2026, 11, 21, 10, tzinfo=UTC))
    await log.append(JOB, steps(2))
    await log.append(JOB, [DONE])
    first, second, third = await log.read(JOB)
    assert [first.id, second.id, third.id] == [f"1795255200000-{n}" for n in (1, 2, 3)]
    assert (first.type, first.at) == ("step", "2026-11-21T10:00:00.000+00:00")
    assert first.data == {"type": "step", "n": 1, "at": first.at}
    assert [event.ends for event in (first, second, third)] == [False, False, True]
    assert await log.read(JOB, first.id, most=1) == [second]
    assert 0 < await redis_client.ttl(STREAM) <= TTL


async def test_a_clock_that_goes_back_changes_nothing(redis_client: Redis) -> None:
    hours = iter([10, 9])
    log = EventLog(redis_client, ttl_seconds=TTL, now=lambda: datetime(2026, 1, 1, next(hours), tzinfo=UTC))
    await log.append(JOB, steps(1))
    await log.append(JOB, steps(1, 2))
    assert told(await log.read(JOB)) == [1, 2]


async def test_no_events_are_no_work(redis_client: Redis, log: EventLog) -> None:
    await log.append(JOB, [])
    assert await redis_client.keys() == []


async def test_secrets_and_personal_data_are_not_stored(redis_client: Redis, log: EventLog) -> None:
    await log.append(JOB, [{"type": "warning", "message": "ada@example.org sent sk-0123456789abcdefgh"}])
    assert (await log.read(JOB))[0].data["message"] == "[e-mail address] sent [secret]"
    assert b"ada@" not in str(await redis_client.xrange(STREAM)).encode()


@pytest.mark.parametrize(
    "huge",
    [
        {"text": "ü" * 50_000},
        {"rows": list(range(50_000))},
        {"rows": [["long text " * 5] * 100] * 100},
        {f"name {n} {'x' * 200}": "y" * 500 for n in range(2000)},
    ],
)
async def test_a_huge_event_is_cut_and_says_so(log: EventLog, huge: Json) -> None:
    await log.append(JOB, [{"type": "job", "status": "failed"} | huge])
    (event,) = await log.read(JOB)
    assert len(event.json) <= EVENT_BYTES
    assert "shown in part" in event.data["cut"]
    assert event.ends


async def test_an_event_that_cannot_be_shown_in_part_keeps_its_fields(log: EventLog) -> None:
    call = {"type": "tool_call", "task": "T1", "agent": "researcher", "tool": "web__search", "ms": 3}
    await log.append(JOB, [call | {"arguments": {"query": [[["long text " * 5] * 40] * 40] * 40}}])
    (event,) = await log.read(JOB)
    assert len(event.json) <= EVENT_BYTES
    assert call | {"arguments": {}} == {name: event.data[name] for name in [*call, "arguments"]}


async def test_what_a_model_makes_up_can_be_stored(log: EventLog) -> None:
    hostile = json.loads('{"half": "\\ud800", "nan": NaN, "lines": "a\\r\\nid: 7\\n\\ndata: x"}')
    await log.append(JOB, [{"type": "tool_call", "arguments": hostile}])
    (event,) = await log.read(JOB)
    assert event.data["arguments"] == {"half": "?", "nan": "nan", "lines": "a\r\nid: 7\n\ndata: x"}


@pytest.mark.parametrize("kind", [None, "", "a b", "x\ndata: y", 3])
async def test_an_event_needs_a_proper_type(log: EventLog, kind: Any) -> None:
    with pytest.raises(ValueError, match="needs a type"):
        await log.append(JOB, [{"type": kind}])


async def test_the_log_is_bounded(redis_client: Redis) -> None:
    log = EventLog(redis_client, ttl_seconds=TTL, most=50)
    for start in range(1, 1000, 100):
        await log.append(JOB, steps(100, start))
    assert 50 <= await redis_client.xlen(STREAM) <= 150
    assert told(await log.read(JOB, most=1000))[-1] == 1000


async def test_a_worker_that_lost_its_lease_writes_nothing(redis_client: Redis, log: EventLog) -> None:
    lease = f"tollgate:{{{JOB}}}:lease"
    await log.append(JOB, steps(1), fence=1)
    await redis_client.hset(lease, mapping={"owner": "w2", "token": 10, "expires_ms": 0})
    await redis_client.expire(lease, TTL)
    with pytest.raises(Fenced, match="token 10, ours is 9"):
        await log.append(JOB, steps(2, 2), fence=9)
    for fence in (10, 11, None):
        await log.append(JOB, [{"type": "step", "n": fence}], fence=fence)
    assert [event.data["n"] for event in await log.read(JOB)] == [1, 10, 11, None]


async def test_a_batch_whose_answer_was_lost_is_stored_once(redis_client: Redis, redis_url: str) -> None:
    async with losing_answers(redis_url) as (port, lost):
        retry = Retry(ConstantBackoff(0.01), retries=3)
        async with contextlib.aclosing(Redis(port=port, retry=retry)) as client:
            log = EventLog(client, ttl_seconds=TTL)
            await log.append(JOB, steps(1))
            lost.append(2)
            await log.append(JOB, steps(3, 2))
    assert lost == [0]
    assert told(await EventLog(redis_client, ttl_seconds=TTL).read(JOB)) == [1, 2, 3, 4]


@contextlib.asynccontextmanager
async def losing_answers(url: str) -> AsyncIterator[tuple[int, list[int]]]:
    """A port in front of the server. Put a number into the list: so many answers to scripts are lost."""
    lost: list[int] = []

    async def answers(source: asyncio.StreamReader, target: asyncio.StreamWriter, asked: list[bytes]) -> None:
        while data := await source.read(100_000):
            if lost and lost[0] and any(b"EVAL" in each for each in asked):
                lost[0] -= 1
                break
            target.write(data)
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(url.removeprefix("unix://"))
        asked: list[bytes] = []
        back = asyncio.create_task(answers(server_reader, writer, asked))
        while data := await reader.read(100_000):
            asked[:] = [data]
            server_writer.write(data)
        server_writer.close()
        await back

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        yield server.sockets[0].getsockname()[1], lost


# -- following --


async def test_one_process_follows_what_another_writes(log: EventLog, other: EventLog) -> None:
    await log.append(JOB, steps(3))
    got = asyncio.Queue[Event]()
    following = asyncio.create_task(kept(log, JOB, got))
    assert told(await taken(got, 3)) == [1, 2, 3]
    for n in range(4, 60):
        await other.append(JOB, steps(1, n))
        assert told(await taken(got, 1)) == [n]
    await other.append(JOB, [DONE])
    await following
    assert told(await taken(got, 1)) == ["completed"]


@pytest.mark.parametrize("protocol", [2, 3])
async def test_either_protocol_of_redis_will_do(redis_url: str, other: EventLog, protocol: int) -> None:
    async with contextlib.aclosing(Redis.from_url(redis_url, protocol=protocol)) as client:
        got = asyncio.Queue[Event]()
        following = asyncio.create_task(kept(EventLog(client, ttl_seconds=TTL), f"job-{protocol}", got))
        for n in range(1, 4):
            await other.append(f"job-{protocol}", steps(1, n))
            assert told(await taken(got, 1)) == [n]
        await other.append(f"job-{protocol}", [DONE])
        await following


async def test_a_follower_may_come_before_the_first_event(log: EventLog, other: EventLog) -> None:
    following = [asyncio.create_task(seen(log, after)) for after in (None, "0", "0-0")]
    await asyncio.sleep(0)
    await other.append(JOB, [*steps(30), DONE])
    for got in await asyncio.gather(*following):
        assert told(got) == [*range(1, 31), "completed"]


@settings(max_examples=at_most(25))
@given(
    batches=st.lists(st.integers(1, 25), min_size=1, max_size=4),
    cuts=st.lists(st.integers(1, 12), max_size=12),
    writes=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_a_reader_that_resumes_misses_and_repeats_nothing(
    redis_url: str, batches: list[int], cuts: list[int], writes: list[bool]
) -> None:
    asyncio.run(_resumed(redis_url, batches, cuts, writes))


async def _resumed(url: str, batches: list[int], cuts: list[int], writes: list[bool]) -> None:
    """Read as much as each cut says, go away, let another batch be written or not, come back at another replica."""
    async with contextlib.aclosing(Redis.from_url(url)) as left, contextlib.aclosing(Redis.from_url(url)) as right:
        await left.flushall()
        logs = [EventLog(client, ttl_seconds=TTL) for client in (left, right)]
        written, got, waiting = 0, list[Event](), list(batches)

        async def write() -> None:
            nonlocal written
            count = waiting.pop(0)
            await logs[0].append(JOB, steps(count, written + 1))
            written += count

        await write()
        for turn, (cut, writes_now) in enumerate(zip(cuts, writes, strict=False)):
            if waiting and writes_now:
                await write()
            if most := min(cut, written - len(got)):
                got += await seen(logs[turn % 2], got[-1].id if got else None, most=most)
        while waiting:
            await write()
        await logs[1].append(JOB, [DONE])
        got += await seen(logs[1], got[-1].id if got else "0")
        assert told(got) == [*range(1, written + 1), "completed"]
        await left.flushall()


async def test_it_ends_with_the_job_and_stays_ended(log: EventLog) -> None:
    for status in sorted(TERMINAL):
        await log.append(status, [*steps(20), {"type": "job", "status": status}])
        got = await seen(log, job=status)
        assert told(got) == [*range(1, 21), status]
        assert await seen(log, got[-1].id, job=status) == []
        assert await seen(log, "999999999999999-1", job=status) == []


async def test_it_goes_on_after_a_job_that_was_queued_again(log: EventLog, other: EventLog) -> None:
    dead, queued = ({"type": "job", "status": status} for status in ("dead", "queued"))
    await log.append(JOB, [*steps(1), dead, queued])
    following = asyncio.create_task(seen(log))
    await other.append(JOB, [DONE])
    assert told(await following) == [1, "dead", "queued", "completed"]


async def test_a_follower_of_a_deleted_log_is_let_go(log: EventLog) -> None:
    await log.append(JOB, [{"type": "plan"}])
    async with contextlib.aclosing(log.follow(JOB, None, heartbeat_s=0.02)) as events:
        assert [event.type for event in [await anext(events)] if event] == ["plan"]
        await log.remove(JOB)
        assert [event async for event in events] == [None]


async def test_a_heartbeat_comes_while_nothing_happens(log: EventLog) -> None:
    await log.append(JOB, steps(1))
    async with contextlib.aclosing(log.follow(JOB, None, heartbeat_s=0.02)) as events:
        assert [bool(await anext(events)) for _ in range(4)] == [True, False, False, False]


async def test_a_reader_is_told_of_what_was_trimmed_before_it_came(redis_client: Redis) -> None:
    log = EventLog(redis_client, ttl_seconds=TTL, most=50)
    await log.append(JOB, steps(10))
    tenth = (await log.read(JOB))[9].id
    await log.append(JOB, [*steps(490, 11), DONE])
    oldest = (await log.read(JOB))[0]
    for after, number in ((None, 0), (tenth, 10)):
        gap, *rest = await seen(log, after)
        assert (gap.type, gap.data["missed"]) == ("gap", oldest.data["n"] - number - 1)
        assert rest[0] == oldest
        assert await seen(log, gap.id) == rest


async def test_a_reader_is_told_of_what_was_trimmed_while_it_was_slow(redis_client: Redis, other: EventLog) -> None:
    log = EventLog(redis_client, ttl_seconds=TTL, most=50)
    await log.append(JOB, steps(2))
    async with contextlib.aclosing(log.follow(JOB, None)) as events:
        got = [event] if (event := await anext(events)) else []
        await log.append(JOB, [*steps(498, 3), DONE])
        got += [event async for event in events if event]
    assert told(got[:2]) == [1, 2]
    gap, after = got[2:4]
    assert (gap.type, after.data["n"]) == ("gap", 3 + gap.data["missed"])
    assert told(got[3:]) == [*range(after.data["n"], 501), "completed"]


async def test_nothing_missing_is_no_gap(redis_client: Redis) -> None:
    log = EventLog(redis_client, ttl_seconds=TTL, most=50)
    await log.append(JOB, [*steps(500), DONE])
    oldest = (await log.read(JOB))[0]
    just_before = f"{oldest.id.partition('-')[0]}-{oldest.data['n'] - 1}"
    assert [event.type for event in await seen(log, just_before, most=1)] == ["step"]


@pytest.mark.parametrize(
    "after", ["", "x", "-", "+", "$", "1-", "7", "5-0", "1-1\n", "1-1 ", "٣-٣", "9" * 20 + "-1", "1-" + "9" * 20]
)
async def test_what_is_no_id_is_refused_before_anything_is_read(log: EventLog, after: str) -> None:
    with pytest.raises(BadInput, match="is not an event id"):
        log.follow(JOB, after)
    with pytest.raises(BadInput, match="is not an event id"):
        await log.read(JOB, after)


async def test_many_followers_share_a_few_connections_and_leave_nothing(
    redis_client: Redis, log: EventLog, other: EventLog
) -> None:
    before = asyncio.all_tasks()
    jobs = [f"job-{n}" for n in range(40)]
    got = {job: asyncio.Queue[Event]() for job in jobs}
    patient = [asyncio.create_task(seen(log, job=job)) for job in jobs for _ in range(5)]
    leaving = [asyncio.create_task(kept(log, job, got[job])) for job in jobs]
    for job in jobs:
        await other.append(job, steps(3))
    for queue in got.values():
        assert told(await taken(queue, 3)) == [1, 2, 3]
    connections = len(await redis_client.client_list())
    for task in leaving:
        task.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    for job in jobs:
        await other.append(job, [DONE])
    for events in await asyncio.gather(*patient):
        assert told(events) == [1, 2, 3, "completed"]
    assert connections <= READERS + 4  # the reader, two writers' and this question
    if reader := asyncio.all_tasks() - before:
        await asyncio.wait(reader, timeout=5)
    assert asyncio.all_tasks() <= before
    assert log._tail._watched == {}


async def test_a_slow_reader_holds_no_more_than_it_reads(log: EventLog) -> None:
    big = {"type": "step", "text": "some words " * 1400}
    await log.append(JOB, [*[big] * 19, DONE])
    events, more = await log._some(JOB, "0-0")
    assert (len(events), more) == (1, True)
    assert len(await seen(log)) == 20


class Server:
    """A Valkey of the test's own, with an append-only file, that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.url = f"unix://{folder}/s"
        self._words = [str(_binary()), "--port", "0", "--unixsocket", "s", "--logfile", "log", "--appendonly", "yes"]
        self._folder = folder
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        self.process = subprocess.Popen(self._words, cwd=self._folder)
        return self.process

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.kill()


async def test_it_survives_a_restart_of_redis(server: Server) -> None:
    patient = Retry(ConstantBackoff(0.05), retries=200)
    impatient = Retry(ConstantBackoff(0), retries=0)
    async with (
        contextlib.aclosing(Redis.from_url(server.url, retry=patient)) as writing,
        contextlib.aclosing(Redis.from_url(server.url, retry=impatient)) as reading,
    ):
        writer, reader = EventLog(writing, ttl_seconds=TTL), EventLog(reading, ttl_seconds=TTL)
        await writer.append(JOB, steps(3))
        queue = asyncio.Queue[Event]()
        following = asyncio.create_task(kept(reader, JOB, queue))
        waiting = await taken(queue, 3)
        server.kill()
        with pytest.raises(NoConnection):
            await reading.ping()
        late = asyncio.create_task(seen(reader, waiting[1].id))  # comes while there is no server
        async with contextlib.aclosing(reader.follow(JOB, None)) as beats:
            assert await anext(beats) is None
        server.start()
        await writer.append(JOB, steps(2, 4))
        waiting += await taken(queue, 2)
        await writer.append(JOB, [DONE])
        assert told(await late) == [3, 4, 5, "completed"]
        await following
        assert told(waiting + await taken(queue, 1)) == [1, 2, 3, 4, 5, "completed"]


# -- as server-sent events --

"""Server-sent events on real sockets: nothing is lost, repeated or left behind, and nobody waits for a slow reader."""

import asyncio
import contextlib
import json
import logging
import socket
import struct
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from starlette.types import Receive, Scope, Send

from app.api.sse import event_stream
from app.errors import BadInput
from app.jobs.events import EVENT_BYTES, EventLog
from app.jobs.states import TERMINAL
from graphs.state import Json
from safe_http.connections import KERNEL_BYTES, UNSENT_BYTES, Bounds
from tests.app.event_readers import Frame, Replicas, Served, connected, events, frames, read, serving, until
from tests.examples import at_most

JOB = "job-1"
TTL = 600
DONE: Json = {"type": "job", "status": "completed"}


def steps(count: int, start: int = 1, size: int = 0) -> list[Json]:
    return [{"type": "step", "n": n, "text": "word " * (size // 5)} for n in range(start, start + count)]


def told(got: list[Frame]) -> list[Any]:
    data = [json.loads(frame["data"]) for frame in events(got)]
    return [each.get("n") or each.get("status") for each in data]


@pytest.fixture
def log(redis_client: Redis) -> EventLog:
    return EventLog(redis_client, ttl_seconds=TTL)


@pytest.fixture
async def served(log: EventLog) -> AsyncIterator[Served]:
    async with serving(log) as served:
        yield served


async def test_events_come_with_id_type_and_one_line_of_json(log: EventLog, served: Served) -> None:
    await log.append(JOB, [*steps(1), DONE])
    first, second = await log.read(JOB)
    async with httpx.AsyncClient(verify=False) as client:
        response = await client.get(f"{served.url}/{JOB}")
    assert response.status_code == 200
    assert response.headers["content-type"].partition(";")[0] == "text/event-stream"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert frames(response.content) == [
        Frame((("retry", "2000"),)),
        Frame((("id", first.id), ("event", "step"), ("data", first.json.decode()))),
        Frame((("id", second.id), ("event", "job"), ("data", second.json.decode()))),
    ]


def test_every_event_comes_once_whatever_is_cut_off(redis_url: str) -> None:
    with Replicas(redis_url) as replicas:

        @settings(max_examples=at_most(40))
        @given(
            batches=st.lists(st.integers(1, 25), min_size=1, max_size=4),
            cuts=st.lists(st.integers(0, 2500), max_size=10),
            writes=st.lists(st.booleans(), min_size=10, max_size=10),
        )
        def holds(batches: list[int], cuts: list[int], writes: list[bool]) -> None:
            replicas.runner.run(_resumed(replicas, batches, cuts, writes))

        holds()


async def _resumed(replicas: Replicas, batches: list[int], cuts: list[int], writes: list[bool]) -> None:
    """Hang up after so many bytes, let another batch be written or not, resume at the other replica."""
    job = str(uuid.uuid4())
    got, waiting, written = list[Frame](), list(batches), 0

    async def resumed(turn: int, most_bytes: int = 10**9) -> list[Frame]:
        after = got[-1]["id"] if got else None
        return events(await read(f"{replicas.served[turn % 2].url}/{job}", after, most_bytes=most_bytes))

    for turn, (cut, writes_now) in enumerate(zip(cuts, writes, strict=False)):
        if waiting and writes_now:
            await replicas.logs[0].append(job, steps(waiting[0], written + 1))
            written += waiting.pop(0)
        got += await resumed(turn, cut)
    await replicas.logs[1].append(job, [*steps(sum(waiting), written + 1), DONE])
    got += await resumed(len(cuts))
    assert told(got) == [*range(1, sum(batches) + 1), "completed"]


def test_no_text_breaks_a_frame(redis_url: str) -> None:
    with Replicas(redis_url) as replicas:

        @settings(max_examples=at_most(40))
        @given(st.lists(st.text(), max_size=20))
        @example(["a\r\nid: 7\n\ndata: x\r\r", "\u2028\u2029\x85\x0b\x00 ü 😀"])
        def holds(texts: list[str]) -> None:
            replicas.runner.run(_told_and_read(replicas, texts))

        holds()


async def _told_and_read(replicas: Replicas, texts: list[str]) -> None:
    job = str(uuid.uuid4())
    await replicas.logs[0].append(job, [*({"type": "step", text: text} for text in texts), DONE])
    got = events(await read(f"{replicas.served[1].url}/{job}"))
    assert [frame.lines for frame in got] == [
        (("id", event.id), ("event", event.type), ("data", event.json.decode()))
        for event in await replicas.logs[0].read(job)
    ]


async def test_a_heartbeat_comes_while_nothing_happens(log: EventLog) -> None:
    async with serving(log, heartbeat_s=0.02) as served:
        got = await read(f"{served.url}/{JOB}", most_bytes=len("retry: 2000\n\n") + 2 * len(": heartbeat\n\n"))
    assert got == [Frame((("retry", "2000"),)), *[Frame((("", "heartbeat"),))] * 2]


@pytest.mark.parametrize("after", ["x", "-", "$", "7", "1-1 x", "9" * 20 + "-1"])
async def test_what_is_no_id_is_refused_before_the_response_begins(log: EventLog, served: Served, after: str) -> None:
    with pytest.raises(BadInput, match="is not an event id"):
        event_stream(log, JOB, after)
    async with httpx.AsyncClient(verify=False) as client:
        response = await client.get(f"{served.url}/{JOB}", headers={"Last-Event-ID": after})
    assert (response.status_code, "is not an event id" in response.text) == (400, True)


async def test_whoever_has_the_last_event_need_not_come_back(log: EventLog, served: Served) -> None:
    for status in sorted(TERMINAL):
        await log.append(status, [*steps(2), {"type": "job", "status": status}])
        *_, before, last = await log.read(status)
        async with httpx.AsyncClient(verify=False) as client:
            answers = [
                await client.get(f"{served.url}/{status}", headers={"Last-Event-ID": each.id})
                for each in (before, last)
            ]
        assert [answer.status_code for answer in answers] == [200, 204]
        assert told(frames(answers[0].content)) == [status]


async def test_a_stream_begins_while_redis_does_not_answer(tmp_path: Path) -> None:
    client = Redis(unix_socket_path=f"{tmp_path}/nobody", retry=Retry(NoBackoff(), retries=0))
    async with contextlib.aclosing(client), serving(EventLog(client, ttl_seconds=TTL)) as served:
        got = await read(f"{served.url}/{JOB}", "1-1", most_bytes=20)
    assert got == [Frame((("retry", "2000"),))]


# -- slow clients --


async def test_readers_that_go_leave_nothing_behind(log: EventLog) -> None:
    await log.append(JOB, steps(40, size=8000))
    async with serving(log) as served:
        await read(f"{served.url}/{JOB}", most_bytes=1)  # the server runs
        before = asyncio.all_tasks()
        with contextlib.ExitStack() as stack:
            for number in range(20):  # half of them wait for events, the others do not read what there is
                stack.enter_context(connected(served, f"/{JOB}" if number % 2 else "/quiet"))
            await until(lambda: len(served.connections) == 20 and len(served.waiting) == 10, "all are there")
            await until(lambda: len(log._tail._watched) == 2, "all follow")
        await until(lambda: not asyncio.all_tasks() - before, "all their tasks have ended")
        assert log._tail._watched == {}
        assert served.connections == []


async def test_whatever_closes_a_stream_stops_following_at_once(log: EventLog) -> None:
    body: Any = event_stream(log, JOB, None, heartbeat_s=0.01).body_iterator
    async with contextlib.aclosing(body) as chunks:
        assert [await anext(chunks) for _ in range(2)] == [b"retry: 2000\n\n", b": heartbeat\n\n"]
        assert len(log._tail._watched) == 1
    assert log._tail._watched == {}


@pytest.mark.slow
async def test_a_reader_that_never_reads_holds_little_and_stops_nobody(log: EventLog, served: Served) -> None:
    with connected(served, f"/{JOB}"):
        reading = asyncio.create_task(read(f"{served.url}/{JOB}"))
        await until(lambda: len(served.connections) == 2, "both are there")
        for start in range(1, 200, 20):
            await log.append(JOB, steps(20, start, size=EVENT_BYTES - 200))
        await log.append(JOB, [DONE])
        assert told(await reading) == [*range(1, 201), "completed"]
        (stuck,) = served.waiting
        assert stuck.transport.get_write_buffer_size() < UNSENT_BYTES + EVENT_BYTES + 1000
        room = stuck.transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        assert room <= 2 * KERNEL_BYTES


async def test_a_reader_that_never_reads_is_disconnected(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await log.append(JOB, steps(40, size=8000))
    async with serving(log, bounds=Bounds(stalled_s=0.2)) as served:
        before = asyncio.all_tasks()
        with connected(served, f"/{JOB}"):
            await until(lambda: served.waiting, "it is waited for")
            if sys.platform == "linux":  # the kernel might be quicker
                (stuck,) = served.waiting
                of_it = stuck.transport.get_extra_info("socket")
                of_it.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 0)
            await until(lambda: not served.connections, "it is disconnected")
        await until(lambda: asyncio.all_tasks() <= before, "its tasks have ended")
    assert "read nothing for 0.2 s" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT")
async def test_so_is_one_for_whom_little_was_written(log: EventLog) -> None:
    await log.append(JOB, steps(10, size=4000))
    async with serving(log, bounds=Bounds(stalled_s=0.5)) as served:
        with connected(served, f"/{JOB}"):
            await until(lambda: served.connections, "it is there")
            assert not served.waiting
            await until(lambda: not served.connections, "it is disconnected")


@pytest.mark.slow
async def test_a_reader_that_takes_something_is_waited_for(log: EventLog) -> None:
    await log.append(JOB, steps(200, size=EVENT_BYTES - 200))
    async with serving(log, bounds=Bounds(stalled_s=0.5)) as served:
        with connected(served, f"/{JOB}") as client:
            await until(lambda: served.waiting, "it is waited for")
            (connection,) = served.connections
            began = asyncio.get_running_loop().time()
            while asyncio.get_running_loop().time() < began + 1.5:  # three times as long as one may take nothing
                with contextlib.suppress(BlockingIOError):
                    client.recv(1000)
                await asyncio.sleep(0.005)
            assert served.connections == [connection]
            await until(lambda: not served.connections, "now it has taken nothing")


async def test_nothing_is_written_to_whoever_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        for _ in range(20):
            await send({"type": "http.response.body", "body": b": heartbeat\n\n", "more_body": True})

    async with serving(application) as served:
        with connected(served, "/") as client:
            await until(lambda: client.fileno() == -1 and not served.connections, "it has gone")
    assert _warnings(caplog) == []  # asyncio warns of the fifth write to a broken connection


async def test_streams_end_when_the_server_shuts_down(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    await log.append(JOB, steps(40, size=8000))
    async with serving(log) as served:
        with connected(served, f"/{JOB}"):
            reading = asyncio.create_task(read(f"{served.url}/quiet"))
            await until(lambda: served.waiting and "tollgate:{quiet}:events" in log._tail._watched, "both are there")
            served.server.should_exit = True
            with pytest.raises(httpx.RemoteProtocolError):  # as if the connection broke: it comes back
                await reading
            await until(lambda: not served.connections, "both are disconnected")
    assert _warnings(caplog) == []


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]

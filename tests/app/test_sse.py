"""Server-sent events on real sockets: nothing is lost, repeated or left behind, and nobody waits for a slow reader."""

import asyncio
import contextlib
import json
import logging
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from app.errors import BadInput
from app.events import EVENT_BYTES, TERMINAL, EventLog
from app.slow_clients import KERNEL_BYTES, UNSENT_BYTES
from app.sse import event_stream
from graphs.state import Json
from tests.app.event_readers import Frame, Served, connected, events, frames, read, serving, until

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


@settings(max_examples=20)
@given(
    batches=st.lists(st.integers(1, 25), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 2500), max_size=10),
    writes=st.lists(st.booleans(), min_size=10, max_size=10),
)
def test_every_event_comes_once_whatever_is_cut_off(
    redis_url: str, batches: list[int], cuts: list[int], writes: list[bool]
) -> None:
    asyncio.run(_resumed(redis_url, batches, cuts, writes))


async def _resumed(url: str, batches: list[int], cuts: list[int], writes: list[bool]) -> None:
    """Hang up after so many bytes, let another batch be written or not, resume at the other replica."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(contextlib.aclosing(Redis.from_url(url))) for _ in range(2)]
        await clients[0].flushall()
        logs = [EventLog(client, ttl_seconds=TTL) for client in clients]
        replicas = [await stack.enter_async_context(serving(log, heartbeat_s=0.001)) for log in logs]
        got, waiting, written = list[Frame](), list(batches), 0
        for turn, (cut, writes_now) in enumerate(zip(cuts, writes, strict=False)):
            if waiting and writes_now:
                await logs[0].append(JOB, steps(waiting[0], written + 1))
                written += waiting.pop(0)
            after = got[-1]["id"] if got else None
            got += events(await read(f"{replicas[turn % 2].url}/{JOB}", after, most_bytes=cut))
        await logs[1].append(JOB, [*steps(sum(waiting), written + 1), DONE])
        got += events(await read(f"{replicas[1].url}/{JOB}", got[-1]["id"] if got else None))
        assert told(got) == [*range(1, sum(batches) + 1), "completed"]
        await clients[0].flushall()


@settings(max_examples=20)
@given(texts=st.lists(st.text(), min_size=1, max_size=20))
def test_no_text_breaks_a_frame(redis_url: str, texts: list[str]) -> None:
    asyncio.run(_told_and_read(redis_url, [*texts, "a\r\nid: 7\n\ndata: x\r\r", "\u2028\u2029\x85\x0b\x00 ü 😀"]))


async def _told_and_read(url: str, texts: list[str]) -> None:
    async with contextlib.aclosing(Redis.from_url(url)) as client:
        await client.flushall()
        log = EventLog(client, ttl_seconds=TTL)
        await log.append(JOB, [*({"type": "step", text: text} for text in texts), DONE])
        stored = await log.read(JOB)
        async with serving(log) as served:
            got = events(await read(f"{served.url}/{JOB}"))
        assert [frame.lines for frame in got] == [
            (("id", event.id), ("event", event.type), ("data", event.json.decode())) for event in stored
        ]
        await client.flushall()


async def test_a_heartbeat_comes_while_nothing_happens(log: EventLog) -> None:
    async with serving(log, heartbeat_s=0.02) as served:
        got = await read(f"{served.url}/{JOB}", most_bytes=len("retry: 2000\n\n") + 2 * len(": heartbeat\n\n"))
    assert got == [Frame((("retry", "2000"),)), *[Frame((("", "heartbeat"),))] * 2]


@pytest.mark.parametrize("after", ["x", "-", "$", "7", "1-1 x", "9" * 20 + "-1"])
async def test_what_is_no_id_is_refused_before_the_response_begins(log: EventLog, served: Served, after: str) -> None:
    with pytest.raises(BadInput, match="is no id of an event"):
        event_stream(log, JOB, after)
    async with httpx.AsyncClient(verify=False) as client:
        response = await client.get(f"{served.url}/{JOB}", headers={"Last-Event-ID": after})
    assert (response.status_code, "is no id of an event" in response.text) == (400, True)


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


async def test_a_stream_begins_while_redis_does_not_answer(tmp_path: Any) -> None:
    client = Redis(unix_socket_path=f"{tmp_path}/nobody")
    async with contextlib.aclosing(client), serving(EventLog(client, ttl_seconds=TTL)) as served:
        got = await read(f"{served.url}/{JOB}", "1-1", most_bytes=20)
    assert got == [Frame((("retry", "2000"),))]


async def test_readers_that_go_leave_nothing_behind(log: EventLog) -> None:
    await log.append(JOB, steps(400, size=8000))
    async with serving(log) as served:
        await read(f"{served.url}/{JOB}", most_bytes=1)  # the server runs
        before = asyncio.all_tasks()
        with contextlib.ExitStack() as stack:
            for number in range(20):  # half of them wait for events, the others do not read what there is
                stack.enter_context(connected(served, f"/{JOB}" if number % 2 else "/quiet"))
            await until(lambda: _waiting(served) == 10, "half of the readers are being waited for")
            assert len(log._tail._watched) == 2
        await until(lambda: not asyncio.all_tasks() - before, "all their tasks have ended")
        assert log._tail._watched == {}
        assert served.server.server_state.connections == set()


def _waiting(served: Served) -> int:
    """Connections whose application waits for the client to read."""
    return sum(connection.flow.write_paused for connection in _connections(served))


def _connections(served: Served) -> list[Any]:
    return list(served.server.server_state.connections)


async def test_a_reader_that_never_reads_holds_little_and_stops_nobody(log: EventLog, served: Served) -> None:
    with connected(served, f"/{JOB}"):
        reading = asyncio.create_task(read(f"{served.url}/{JOB}"))
        await until(lambda: len(_connections(served)) == 2, "both are there")
        for start in range(1, 600, 20):
            await log.append(JOB, steps(20, start, size=EVENT_BYTES - 200))
        await log.append(JOB, [DONE])
        assert told(await reading) == [*range(1, 601), "completed"]
        (stuck,) = [connection for connection in _connections(served) if connection.flow.write_paused]
        assert stuck.transport.get_write_buffer_size() < UNSENT_BYTES + EVENT_BYTES + 1000
        room = stuck.transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        assert room <= 2 * KERNEL_BYTES


async def test_a_reader_that_never_reads_is_disconnected(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await log.append(JOB, steps(400, size=8000))
    async with serving(log, stalled_s=0.2) as served:
        before = asyncio.all_tasks()
        with connected(served, f"/{JOB}"):
            await until(lambda: _waiting(served), "it is waited for")
            await until(lambda: not _connections(served), "it is disconnected")
        await until(lambda: not asyncio.all_tasks() - before, "its tasks have ended")
    assert "took nothing for 0.2 s" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT")
async def test_so_is_one_for_whom_little_was_written(log: EventLog) -> None:
    await log.append(JOB, steps(10, size=4000))
    async with serving(log, stalled_s=0.5) as served:
        with connected(served, f"/{JOB}"):
            await until(lambda: _connections(served), "it is there")
            assert not _waiting(served)
            await until(lambda: not _connections(served), "it is disconnected")


async def test_a_slow_reader_that_reads_is_not_disconnected(log: EventLog) -> None:
    await log.append(JOB, [*steps(40, size=8000), DONE])
    got = bytearray()
    async with serving(log, stalled_s=1) as served:
        with connected(served, f"/{JOB}") as client:
            while data := await asyncio.get_running_loop().sock_recv(client, 4000):
                got += data
                await asyncio.sleep(0.03)  # three times as long as a reader may take nothing
                if got.endswith(b"0\r\n\r\n"):
                    break
    assert b'"completed"' in got


async def test_streams_end_when_the_server_shuts_down(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    await log.append(JOB, steps(400, size=8000))
    async with serving(log) as served:
        with connected(served, f"/{JOB}"), connected(served, "/quiet") as quiet:
            reading = asyncio.create_task(read(f"{served.url}/quiet"))
            await until(lambda: _waiting(served) and len(log._tail._watched) == 2, "they are there")
            await until(lambda: len(_connections(served)) == 3, "all of them")
            served.server.should_exit = True
            with pytest.raises(httpx.RemoteProtocolError):  # as if the connection broke: it comes back
                await reading
            await until(lambda: not _connections(served), "all are disconnected")
            assert b"retry: 2000" in quiet.recv(1000)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

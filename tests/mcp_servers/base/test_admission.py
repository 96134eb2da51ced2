"""More calls than a server has room for: some wait, the rest are told to come again, and nothing else is held up."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.types import TextContent

from tests.mcp_servers.program import (
    HEADERS,
    SECONDS,
    Listening,
    Program,
    Serve,
    Start,
    call,
    metric,
    request,
    session,
    until,
)

NARROW = ("--max-calls", "3", "--max-waiting", "1", "--max-wait-s", "60")


@pytest.fixture
def narrow(serve: Serve) -> Iterator[Listening]:
    """Room for three calls, two of them of one caller; one more may wait, for a minute."""
    with serve(*NARROW) as here:
        yield here


def asked(client: httpx.AsyncClient, program: Listening, message: dict[str, Any]) -> "asyncio.Task[httpx.Response]":
    return asyncio.create_task(client.post(program.endpoint, json=message, headers=HEADERS, timeout=SECONDS))


def busy(program: Listening, served_now: int, waiting: int) -> Callable[[], bool]:
    return lambda: (
        metric(program, "tollgate_mcp_calls_in_flight") == served_now
        and metric(program, "tollgate_mcp_calls_waiting") == waiting
    )


async def test_calls_beyond_the_room_and_the_queue_are_answered_busy(narrow: Listening, tmp_path: Path) -> None:
    async with httpx.AsyncClient() as client:
        served_first = [asked(client, narrow, call("wait", file="go", name="first")) for _ in range(2)]
        await asyncio.to_thread(until, busy(narrow, 2, 0), "two calls run")
        waits = asked(client, narrow, call("wait", file="go", name="third"))
        await asyncio.to_thread(until, busy(narrow, 2, 1), "one call waits")
        refused = await asked(client, narrow, call("wait", file="go", name="fourth"))
        (tmp_path / "go").touch()
        answers = await asyncio.gather(*served_first, waits)
    assert refused.status_code == 200
    assert refused.headers["Retry-After"] == "1"
    assert refused.json()["id"] == 7
    result = refused.json()["result"]
    assert result["isError"] is True
    assert result["_meta"] == {"retry_after_s": 1.0}
    assert result["content"][0]["text"] == "busy: 2 calls running, 1 waiting; try again in 1 s"
    assert [answer.json()["result"]["isError"] for answer in answers] == [False] * 3
    assert (tmp_path / "done").read_text().split() == ["first", "first", "third"]
    assert metric(narrow, "tollgate_mcp_calls_refused_total", reason="queue_full") == 1


@pytest.mark.parametrize("named", [True, False], ids=["named", "by address"])
async def test_a_caller_that_fills_the_line_keeps_no_other_waiting(
    narrow: Listening, tmp_path: Path, named: bool
) -> None:
    def said(tenant: str) -> dict[str, Any]:
        message = call("wait", file="go", name=tenant)
        message["params"]["_meta"] = {"caller": {"agent": "one", "scope": "*", "tenant": tenant}}
        return message

    async with httpx.AsyncClient() as client:
        many = [asked(client, narrow, said("a") if named else call("wait", file="go", name="a")) for _ in range(3)]
        await asyncio.to_thread(until, busy(narrow, 2, 1), "one caller has what it may have")
        other = asked(client, narrow, said("b"))
        await asyncio.to_thread(until, busy(narrow, 3, 1), "another is served at once")
        next_in_line = asked(client, narrow, said("c"))
        [refused], running = await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)  # whichever came last
        (tmp_path / "go").touch()
        answers = [await each for each in (*running, other, next_in_line)]
    [told] = refused.result().json()["result"]["content"]
    assert told["text"] == "busy: 3 calls running, 1 waiting; try again in 1 s"
    assert [answer.json()["result"]["isError"] for answer in answers] == [False] * 4


async def test_the_sdks_client_goes_on_after_it_was_told_busy(narrow: Listening, tmp_path: Path) -> None:
    async with httpx.AsyncClient() as client, session(narrow) as mcp:
        others = [asked(client, narrow, call("wait", file="go")) for _ in range(3)]
        await asyncio.to_thread(until, busy(narrow, 2, 1), "there is no room left")
        refused = await mcp.call_tool("wait", {"file": "go"})
        (tmp_path / "go").touch()
        await asyncio.gather(*others)
        then = await mcp.call_tool("wait", {"file": "go"})
    assert refused.isError
    assert isinstance(refused.content[0], TextContent)
    assert refused.content[0].text.startswith("busy: ")
    assert refused.meta == {"retry_after_s": 1.0}
    assert not then.isError


async def test_a_call_waits_no_longer_than_it_may(serve: Serve, tmp_path: Path) -> None:
    with serve("--max-calls", "1", "--max-wait-s", "0.2") as program:
        async with httpx.AsyncClient() as client:
            first = asked(client, program, call("wait", file="go"))
            await asyncio.to_thread(until, busy(program, 1, 0), "one call is served")
            late = await asked(client, program, call("wait", file="go"))
            (tmp_path / "go").touch()
            assert (await first).json()["result"]["isError"] is False
        assert late.json()["result"]["content"][0]["text"].startswith("busy: this call got no slot within 0.2 s")
        assert metric(program, "tollgate_mcp_calls_refused_total", reason="waited_too_long") == 1


async def test_lists_handshakes_and_probes_need_no_room(narrow: Listening, tmp_path: Path) -> None:
    async with httpx.AsyncClient() as client:
        calls = [asked(client, narrow, call("wait", file="go")) for _ in range(3)]
        await asyncio.to_thread(until, busy(narrow, 2, 1), "there is no room left")
        async with session(narrow) as mcp:
            listed = await mcp.list_tools()
        alive = await client.get(f"{narrow.url}/healthz")
        (tmp_path / "go").touch()
        await asyncio.gather(*calls)
    assert {tool.name for tool in listed.tools} == {"version", "wait", "block", "large", "broken"}
    assert alive.json() == {"status": "ok", "server": "slow"}


@pytest.mark.slow
async def test_a_caller_that_goes_away_gives_its_place_back(start: Start) -> None:
    with start(*NARROW) as narrow:
        await _gone(narrow)
    outcomes = [line["outcome"] for line in narrow.logged()]
    assert outcomes in (["cancelled", "cancelled", "ok"], ["cancelled", "cancelled", "cancelled", "ok"])


async def _gone(narrow: Program) -> None:
    async with httpx.AsyncClient() as client:
        gone = [asked(client, narrow, call("wait", file="never")) for _ in range(3)]
        await asyncio.to_thread(until, busy(narrow, 2, 1), "there is no room left")
        for each in gone:
            each.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        await asyncio.to_thread(until, busy(narrow, 0, 0), "all places are free again")
        answer = await asked(client, narrow, call("large", size=1))
    assert answer.json()["result"]["isError"] is False


async def test_what_is_not_json_is_refused(narrow: Listening) -> None:
    headers = {**HEADERS, "Content-Type": "application/json"}
    async with httpx.AsyncClient(timeout=SECONDS) as client:
        for body in ("{", '{"method": ' + "[" * 100_000, "\xff", "[" + "9" * 5000 + "]"):
            answer = await client.post(narrow.endpoint, content=body.encode("latin-1"), headers=headers)
            assert answer.status_code == 400, body[:20]
            assert answer.json()["error"]["code"] == -32700


async def test_what_is_no_message_is_refused_and_nothing_is_lost(narrow: Listening) -> None:
    none: list[Any] = [[call("large", size=1)], 7, None, {"method": "tools/call"}, {"id": {}}]
    async with httpx.AsyncClient(timeout=SECONDS) as client:
        for message in none:
            answer = await client.post(narrow.endpoint, json=message, headers=HEADERS)
            assert answer.status_code in {202, 400}, message
            after = await client.post(narrow.endpoint, json=call("large", size=1), headers=HEADERS)
            assert after.json()["result"]["isError"] is False
            assert busy(narrow, 0, 0)(), message


async def test_a_call_written_in_escapes_is_a_call_too(narrow: Listening, tmp_path: Path) -> None:
    async with httpx.AsyncClient() as client:
        calls = [asked(client, narrow, call("wait", file="go")) for _ in range(3)]
        await asyncio.to_thread(until, busy(narrow, 2, 1), "there is no room left")
        body = '{"jsonrpc": "2.0", "id": 7, "method": "tools\\u002fcall", "params": {"name": "large", "arguments": {}}}'
        headers = {**HEADERS, "Content-Type": "application/json"}
        answer = await client.post(narrow.endpoint, content=body, headers=headers)
        (tmp_path / "go").touch()
        await asyncio.gather(*calls)
    assert answer.json()["result"]["content"][0]["text"].startswith("busy: ")


async def test_a_body_that_is_too_large_is_refused(serve: Serve) -> None:
    with serve("--max-request-bytes", "2000") as program:
        async with httpx.AsyncClient() as client:
            declared = await client.post(program.endpoint, json=call("large", size="x" * 2000), headers=HEADERS)

            async def pieces() -> Any:
                for _ in range(3):
                    yield b" " * 1000

            streamed = await client.post(program.endpoint, content=pieces(), headers=HEADERS)
            fits = await client.post(program.endpoint, json=request("tools/list"), headers=HEADERS)
    assert (declared.status_code, streamed.status_code, fits.status_code) == (413, 413, 200)


async def test_a_stream_that_would_never_say_anything_is_not_opened(narrow: Listening) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(narrow.endpoint, headers=HEADERS)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_a_body_that_does_not_arrive_takes_no_place(serve: Serve) -> None:
    with serve("--max-calls", "1", "--max-wait-s", "0.2") as program:
        until(lambda: httpx.get(f"{program.url}/healthz").status_code == 200, "it serves")
        host, port = program.url.removeprefix("http://").split(":")
        with contextlib.closing(socket.create_connection((host, int(port)))) as slow:
            slow.sendall(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
            answer = httpx.post(program.endpoint, json=call("large", size=1), headers=HEADERS, timeout=SECONDS)
    assert answer.json()["result"]["isError"] is False

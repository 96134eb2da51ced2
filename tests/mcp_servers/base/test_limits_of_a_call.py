"""What one call may take, what is said when it takes more, and what whoever runs the server sees of it."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from mcp_servers.analytics.server import build as analytics
from tests.app.command_line import HELLO, background
from tests.mcp_servers.program import (
    HEADERS,
    REPOSITORY,
    SECONDS,
    SECRET,
    Listening,
    Program,
    Serve,
    Start,
    bearer,
    call,
    metric,
    served_here,
    token,
    until,
)

LIMITS = ("--max-call-s", "0.3", "--max-result-bytes", "3000", "--max-calls", "1")


@pytest.fixture
def program(start: Start) -> Iterator[Program]:
    with start(*LIMITS) as running:
        yield running


@pytest.fixture
def here(serve: Serve) -> Iterator[Listening]:
    with serve(*LIMITS) as running:
        yield running


def post(program: Listening, message: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = httpx.post(program.endpoint, json=message, headers={**HEADERS, **headers}, timeout=SECONDS)
    assert answer.status_code == 200
    result: dict[str, Any] = answer.json()["result"]
    return result


def text(result: dict[str, Any]) -> str:
    return str(result["content"][0]["text"])


@pytest.mark.slow
def test_a_call_that_takes_too_long_is_ended_and_its_place_is_free(program: Program) -> None:
    assert post(program, call("large", size=1))["isError"] is False  # it has started
    for slow in (call("block", seconds=20), call("wait", file="never")):  # a thread, the event loop
        began = time.monotonic()
        ended = post(program, slow)
        then = post(program, call("large", size=1))
        assert time.monotonic() - began < 15, "the next call had to wait for the thread"
        assert ended["isError"] is True
        assert text(ended).endswith("was stopped after 0.3 s; ask for less, by filters")
        assert then["isError"] is False
        assert metric(program, "tollgate_mcp_calls_in_flight") == 0


def test_a_result_that_is_too_large_is_an_error_that_says_so(here: Listening) -> None:
    fits, large = post(here, call("large", size=1000)), post(here, call("large", size=2000))
    assert fits["isError"] is False
    assert large["isError"] is True
    assert "structuredContent" not in large
    assert text(large).startswith("large has an answer of 4,")
    assert text(large).endswith("the limit is 3,000; ask for fewer rows or columns, or for one section of a document")


def test_wrong_arguments_are_told_in_a_line(here: Listening) -> None:
    told = text(post(here, call("large", size="much")))
    assert told.startswith("Error executing tool large: size: Input should be a valid integer")
    assert told.endswith("; correct the arguments by the tool's input schema")
    assert "\n" not in told


def test_a_misspelt_argument_is_not_dropped(here: Listening) -> None:
    told = text(post(here, call("wait", file="go", nmae="Ann")))
    assert told == "Error executing tool wait: it takes no argument 'nmae'; it takes file, name"


def test_a_refusal_reaches_the_caller_and_a_defect_reaches_the_log(
    here: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    refusal, defect = post(here, call("broken", defect=False)), post(here, call("broken", defect=True))
    assert text(refusal) == "Error executing tool broken: not this way; ask for `large` instead"
    told = "Error executing tool broken: a bug in this server (KeyError; see its log); use another tool"
    assert text(defect) == told
    [logged] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "an inside of the server" in str(logged.exc_info)


def test_an_unknown_tool_makes_no_metric_of_its_name(here: Listening, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "mcp_servers")
    assert text(post(here, call("no_such\ntool"))) == "Unknown tool: no_such\ntool"
    assert "no_such" not in httpx.get(f"{here.url}/metrics", timeout=SECONDS).text
    assert metric(here, "tollgate_mcp_calls_total", outcome="error", tool="unknown") == 1
    assert [record.call["tool"] for record in caplog.records if hasattr(record, "call")] == ["unknown"]


@pytest.mark.slow
def test_calls_are_counted_by_tool_and_outcome(program: Program) -> None:
    for message in (
        call("large", size=1),
        call("large", size=2000),
        call("block", seconds=0),
        call("block", seconds=1),
    ):
        post(program, message)
    for tool, outcome in (("large", "ok"), ("large", "too_large"), ("block", "ok"), ("block", "timeout")):
        assert metric(program, "tollgate_mcp_calls_total", tool=tool, outcome=outcome) == 1
    assert metric(program, "tollgate_mcp_call_seconds_count", tool="block") == 2
    assert metric(program, "tollgate_mcp_call_seconds_bucket", tool="block", le="0.25") == 1
    assert metric(program, "process_resident_memory_bytes") > 0


@pytest.mark.slow
def test_each_call_is_a_line_of_json_without_its_arguments(start: Start) -> None:
    with start(TOLLGATE_MCP_SECRET=SECRET) as program:
        post(program, call("wait", file="../secret", name="Ann"), **bearer(token("slow", "large", sub="sales\nagent")))
        post(program, call("large", size=500), **bearer(token("slow", sub="analyst")))
        denied, ok = program.logged()
        written = program.log.read_text()
    assert (denied["agent"], denied["tool"], denied["outcome"]) == ("sales\nagent", "wait", "denied")
    assert {name: ok[name] for name in ("server", "level", "tool", "agent", "outcome")} == {
        "server": "slow",
        "level": "INFO",
        "tool": "large",
        "agent": "analyst",
        "outcome": "ok",
    }
    assert 1000 < ok["bytes"] < 2000
    assert 0 <= ok["ms"] < 60_000
    age = datetime.now(UTC) - datetime.fromisoformat(ok["time"])
    assert timedelta(0) <= age < timedelta(minutes=2)
    assert not {"secret", "Ann", SECRET} & set(written.replace('"', " ").split())
    assert len(written.splitlines()) == 2


@pytest.mark.slow
def test_no_line_per_call_when_only_warnings_are_wanted(start: Start) -> None:
    with start("--log-level", "warning") as program:
        assert post(program, call("large", size=1))["isError"] is False
        assert program.log.read_text() == ""


@pytest.mark.slow
def test_stdio_is_quiet(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.mcp_servers.slow_server", "--folder", str(tmp_path), "--stdio"]
    with background(command, REPOSITORY) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{HELLO}{json.dumps(call('large', size=1))}\n")
        process.stdin.flush()
        answers = [process.stdout.readline() for _ in range(2)]
        said = process.communicate(timeout=SECONDS)
    assert '"isError":false' in answers[1]
    assert said == ("", "")


def test_while_its_data_are_loaded_it_says_how_far_it_is(serve: Serve, tmp_path: Path) -> None:
    with serve("--max-call-s", "0.3") as program:

        def ready() -> httpx.Response:
            return httpx.get(f"{program.url}/readyz", timeout=SECONDS)

        assert (ready().status_code, ready().json()) == (503, {"status": "loading", "loading": "1 of 2 files"})
        assert httpx.get(f"{program.url}/healthz", timeout=SECONDS).status_code == 200
        assert "still being loaded (1 of 2 files); try again" in text(post(program, call("version")))
        (tmp_path / "data").touch()
        until(lambda: ready().status_code == 200, "it is ready")
        assert "v1" in text(post(program, call("version")))
        assert ready().json() == {"status": "ready", "data_version": "v1"}


@pytest.mark.slow
def test_it_ends_when_its_data_turn_out_to_be_bad(tmp_path: Path) -> None:
    (tmp_path / "bad").touch()
    command = [sys.executable, "-m", "tests.mcp_servers.slow_server", "--folder", str(tmp_path)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (2, "error: the second file is half a file")


def test_a_server_that_needs_no_data_is_ready_at_once() -> None:
    with served_here(analytics()) as program:
        answer = httpx.get(f"{program.url}/readyz", timeout=SECONDS)
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


async def test_told_to_stop_it_lets_calls_end_and_takes_no_more(start: Start, tmp_path: Path) -> None:
    with start() as program:
        async with httpx.AsyncClient(timeout=SECONDS, headers=HEADERS) as client:
            under_way = asyncio.create_task(client.post(program.endpoint, json=call("wait", file="go")))
            await asyncio.to_thread(until, lambda: metric(program, "tollgate_mcp_calls_in_flight") == 1, "it is served")
            program.process.send_signal(signal.SIGTERM)
            readyz = f"{program.url}/readyz"
            await asyncio.to_thread(
                until, lambda: httpx.get(readyz, timeout=SECONDS).json()["status"] == "stopping", "it is stopping"
            )
            late = (await client.post(program.endpoint, json=call("large", size=1))).json()["result"]
            (tmp_path / "go").touch()
            ended = (await under_way).json()["result"]
        code = await asyncio.to_thread(program.process.wait, SECONDS)
    assert (code, ended["isError"], late["isError"]) == (0, False, True)
    assert text(late) == "busy: this server is stopping; try again in 1 s"


@pytest.mark.slow
async def test_a_call_that_does_not_end_holds_it_no_longer_than_the_grace_period(start: Start) -> None:
    with start("--grace-s", "0.2") as program:
        under_way = asyncio.create_task(endless(program))
        await asyncio.to_thread(until, lambda: metric(program, "tollgate_mcp_calls_in_flight") == 1, "it is served")
        program.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(program.process.wait, 20) == 0
        await asyncio.gather(under_way, return_exceptions=True)


@pytest.mark.slow
async def test_the_second_signal_ends_it_at_once(start: Start) -> None:
    with start() as program:
        under_way = asyncio.create_task(endless(program))
        await asyncio.to_thread(until, lambda: metric(program, "tollgate_mcp_calls_in_flight") == 1, "it is served")
        program.process.send_signal(signal.SIGTERM)
        readyz = f"{program.url}/readyz"
        await asyncio.to_thread(
            until, lambda: httpx.get(readyz, timeout=SECONDS).json()["status"] == "stopping", "it is stopping"
        )
        program.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(program.process.wait, 5) == -signal.SIGTERM
        await asyncio.gather(under_way, return_exceptions=True)


async def endless(program: Program) -> httpx.Response:
    async with httpx.AsyncClient(timeout=SECONDS, headers=HEADERS) as client:
        return await client.post(program.endpoint, json=call("wait", file="never"))

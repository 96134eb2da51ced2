"""Every server as a program of its own: over HTTP on an inherited socket, and with bad input."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from tests.app.command_line import background, seen
from tests.mcp_servers.program import refused

REPOSITORY = Path(__file__).parents[3]


class Served(NamedTuple):
    """A server, one call to it, and a column of the answer."""

    name: str
    options: list[str]
    tool: str
    arguments: dict[str, Any]
    column: str


DATA = REPOSITORY / "tests" / "data"
DOCUMENTS, SALES, FOUND = str(DATA / "documents"), str(DATA / "sales.sql"), {"query": "delivery"}
POINTS = [{"label": "2023", "value": 10.0}, {"label": "2024", "value": 15.0}]
SERVERS = [
    Served("knowledge_base", ["--data", DOCUMENTS, "--data-dir", "own"], "search_keyword", FOUND, "publisher"),
    Served(
        "sales",
        ["--data", SALES, "--data-dir", "own"],
        "query",
        {"sql": "SELECT count(*) AS lines FROM sales"},
        "lines",
    ),
    Served("analytics", [], "growth", {"series": {"points": POINTS}}, "change_pct"),
]


@pytest.fixture(params=SERVERS, ids=lambda served: served.name)
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Served:
    server: Served = request.param
    return server._replace(options=[str(tmp_path / each) if each == "own" else each for each in server.options])


def command(served: Served, *options: str) -> list[str]:
    return [sys.executable, "-m", f"mcp_servers.{served.name}", *served.options, *options]


@contextmanager
def started(served: Served) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """The server over HTTP on an inherited socket, and its port. It is gone when the block ends."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        options = command(served, "--fd", str(listener.fileno()), "--exit-with-stdin")
        process = subprocess.Popen(
            options,
            pass_fds=[listener.fileno()],
            cwd=REPOSITORY,
            text=True,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    with process:
        try:
            yield process, port
        finally:
            process.kill()


async def check(session: ClientSession, served: Served) -> None:
    assert (await session.initialize()).serverInfo.version == version("tollgate")
    tools = {tool.name: tool for tool in (await session.list_tools()).tools}
    assert tools[served.tool].outputSchema is not None
    result = await session.call_tool(served.tool, served.arguments)
    assert not result.isError, result.content
    assert result.structuredContent is not None
    assert served.column in result.structuredContent["columns"]
    assert result.structuredContent["rows"]


@pytest.mark.slow
async def test_over_http_on_an_inherited_socket(served: Served) -> None:
    with started(served) as (process, port):
        async with (
            streamable_http_client(f"http://127.0.0.1:{port}/mcp") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await check(session, served)
        async with httpx.AsyncClient(timeout=30) as http:
            healthy = await http.get(f"http://127.0.0.1:{port}/healthz")
        assert healthy.json() == {"status": "ok", "server": served.name}
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=30) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("served", "stop"),
    [(SERVERS[0], signal.SIGTERM), (SERVERS[1], signal.SIGINT), (SERVERS[1], signal.SIGTERM)],
    indirect=["served"],
    ids=["knowledge_base-terminated", "sales-ctrl-c", "sales-terminated"],
)
def test_it_stops_quietly_while_stdin_is_open(served: Served, stop: signal.Signals) -> None:
    with started(served) as (process, port):
        httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=30)
        process.send_signal(stop)
        assert process.wait(timeout=30) in {0, -stop}
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.slow
def test_it_listens_on_the_other_kind_of_address() -> None:
    with background(
        [sys.executable, "-m", "mcp_servers.analytics", "--host", "::1", "--port", "0"], REPOSITORY
    ) as process:
        *_, line = seen(process, lambda line: "http://" in line)
        url = line.partition(": ")[2].strip().removesuffix("/mcp")
        assert url.startswith("http://[::1]:")
        assert httpx.get(f"{url}/healthz", timeout=30).status_code == 200


def test_a_port_in_use_is_told_in_one_line() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        told = refused("mcp_servers.analytics", "--port", str(port))
    assert told.startswith(f"error: cannot listen on 127.0.0.1:{port} (")
    assert told.endswith("choose another with --port\n")
    assert told.count("\n") == 1


@pytest.mark.slow
def test_a_port_that_cannot_be_is_told() -> None:
    command = [sys.executable, "-m", "mcp_servers.analytics", "--port", "99999"]
    ended = subprocess.run(command, cwd=REPOSITORY, text=True, capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "99999" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_sales_data_that_are_not_there_are_told_in_one_line(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    told = refused("mcp_servers.sales", "--stdio", "--data-dir", str(tmp_path), "--data", missing)
    assert told.startswith("error: ")
    assert missing in told
    assert told.count("\n") == 1

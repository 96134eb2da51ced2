"""The page of each MCP server is run: its commands, and the entry for a desktop client."""

import json
import re
import shlex
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from app.config import ports
from tests.app.command_line import HELLO, background, seen, tollgate
from tests.data import SALES
from tests.docs.pages import commands
from tests.mcp_servers.program import HEADERS, SECONDS, SECRET, bearer, call, request, served

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "mcp_servers").glob("*/README.md"))
COMMANDS = [
    line.split("#")[0].strip()
    for page in PAGES
    for line in page.read_text().splitlines()
    if line.startswith("python -m mcp_servers.")
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with what the pages take for granted, and with the data that an earlier command made."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "sample").symlink_to(ROOT / "sample")
    (folder / "reports").mkdir()
    (folder / "reports" / "note.md").write_text("# Note\n\nA charger costs EUR 700.\n")
    return folder


def begun(command: str, home: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    """A command of a page, as somebody types it whose home this is."""
    expanded = [each.replace("~", str(home)) for each in shlex.split(command)]
    return background([sys.executable, *expanded[1:]], home, PYTHONPATH=str(ROOT), OPENAI_API_KEY="none")


def entry(page: Path) -> dict[str, Any]:
    """What the page tells a desktop client to have in its configuration."""
    blocks = re.findall(r"```json\n(.*?)```", page.read_text(), re.DOTALL)
    return next(json.loads(each)["mcpServers"] for each in blocks if "mcpServers" in each)


def test_every_server_has_a_page_with_commands() -> None:
    servers = {path.parent.name for path in (ROOT / "mcp_servers").glob("*/__main__.py")}
    pages = {page.parent.name for page in PAGES}
    assert pages <= servers
    assert all(any(f"mcp_servers.{server}" in command for command in COMMANDS) for server in pages)


def test_every_command_of_these_pages_is_run_here() -> None:
    told = [line for page in [*PAGES, ROOT / "mcp_servers/README.md"] for line in commands(page.read_text())]
    others = [each for each in told if not each.startswith("python -m mcp_servers.")]
    assert [each.partition(" sample/")[0].partition(" sales ")[0] for each in others] == [
        "tollgate data check",
        ".venv/bin/tollgate token",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", sorted({re.sub(r" --port \d+", "", each) for each in COMMANDS if "--stdio" not in each})
)
def test_it_serves_http(command: str, home: Path) -> None:
    # Any free port: whoever works on this machine may have a server on the port that the page names.
    with begun(f"{command} --port 0", home) as process:
        seen(process, lambda line: re.search(r"http://127\.0\.0\.1:\d+/mcp", line) is not None)


def test_the_check_of_the_page_tells_of_the_tables(home: Path) -> None:
    [command] = re.findall(
        r"^tollgate (data check \S+)", (ROOT / "mcp_servers/sales/README.md").read_text(), re.MULTILINE
    )
    told = tollgate(home, *shlex.split(command))
    assert told.returncode == 0, told.stderr
    assert " rows." in told.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_the_port_on_the_page_is_that_of_the_table(page: Path) -> None:
    [port] = set(re.findall(r"^python -m .+ +#.*http://127\.0\.0\.1:(\d+)/mcp", page.read_text(), re.MULTILINE))
    assert int(port) == ports.MCP[page.parent.name]
    assert f"--port {port} " in page.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("command", [each for each in COMMANDS if "--stdio" in each])
def test_it_speaks_stdio(command: str, home: Path) -> None:
    with begun(command, home) as process:
        answer, _ = process.communicate(HELLO, timeout=60)
    assert json.loads(answer.splitlines()[0])["result"]["serverInfo"]["name"] in command


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
async def test_the_entry_for_a_desktop_client_works(page: Path, home: Path) -> None:
    [(name, settings)] = entry(page).items()
    told = json.dumps(settings).replace("/path/to/tollgate/.data", str(home / ".data"))
    given: Any = json.loads(told.replace("/path/to/tollgate", str(ROOT)))
    server = StdioServerParameters(
        command=sys.executable,
        args=given["args"],
        env=given["env"],
        cwd=home,
    )
    assert settings["command"] == "/path/to/tollgate/.venv/bin/python"
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        answer = await session.initialize()
        assert answer.serverInfo.name == name
        assert (await session.list_tools()).tools


@pytest.mark.slow
def test_the_token_of_the_page_opens_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    page = (ROOT / "mcp_servers/README.md").read_text()
    [command] = re.findall(r"^\.venv/bin/(tollgate token .+)$", page, re.MULTILINE)
    made = tollgate(tmp_path, *shlex.split(command)[1:], TOLLGATE_MCP_SECRET=SECRET)
    assert made.returncode == 0, made.stderr
    options = ("--data", str(SALES), "--data-dir", str(tmp_path / "data"))
    with served("mcp_servers.sales", tmp_path, *options, TOLLGATE_MCP_SECRET=SECRET) as program:
        headers = {**HEADERS, **bearer(made.stdout.strip())}
        listed, refused = (
            httpx.post(program.endpoint, json=asked, headers=headers, timeout=SECONDS).json()["result"]
            for asked in (request("tools/list"), call("describe_schema"))
        )
    assert {tool["name"] for tool in listed["tools"]} == {"query", "revenue_by"}
    assert refused["isError"]
    assert tollgate(tmp_path, *shlex.split(command)[1:]).returncode == 2

"""Every tool of every server, called by the official MCP inspector's command line over HTTP, and one over stdio.

It needs Node.js with npm, and installs the inspector as `inspector/package-lock.json` has it, once, beside the packages
of Python. Without npm it is skipped, because nothing else here needs it; `.ci/run` sees to it that npm is there.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from tests.app import offline_team
from tests.mcp_servers import npm
from tests.mcp_servers.conformance import SERVERS, Conforming, a_web
from tests.mcp_servers.program import REPOSITORY, SECRET, served, token

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("npm")]  # one process installs it

PINNED = Path(__file__).parent / "inspector"
AT_ONCE = 2  # each run is a Node.js of its own


@pytest.fixture(scope="session")
def inspector() -> list[str]:
    """The command that starts the inspector."""
    return [npm.node(), str(npm.installed(PINNED) / ".bin/mcp-inspector"), "--cli"]


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Conforming]:
    """The server of this name, with its places filled in."""
    [named] = [each for each in SERVERS if each.name == request.param]
    with a_web() as web, offline_team.serving() as model:
        yield named.at(data=str(tmp_path / "data"), model=model, **web)


@pytest.fixture
def target(request: pytest.FixtureRequest, server: Conforming, tmp_path: Path) -> Iterator[list[str]]:
    """How the inspector is told where the server is."""
    over_http = request.param == "http"
    (_, module, *options), environment = server.program(mcp_secret=SECRET if over_http else None)
    with ExitStack() as stack:
        if over_http:
            program = stack.enter_context(served(module, tmp_path, *options, **environment))
            yield ["--server-url", program.endpoint, "--header", f"Authorization: Bearer {token(server.name)}"]
        else:
            own = environment.items() - os.environ.items()
            variables = [word for pair in own for word in ("-e", "=".join(pair))]
            yield [*variables, "--cwd", str(REPOSITORY), "--", sys.executable, "-m", module, *options, "--stdio"]


@pytest.mark.parametrize(
    ("server", "target"),
    [*((each.name, "http") for each in SERVERS if each.tools), ("web", "stdio")],
    indirect=True,
)
async def test_the_inspector_lists_and_calls_every_tool(
    server: Conforming, inspector: list[str], target: list[str], tmp_path: Path
) -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    async def run(*options: str) -> dict[str, Any]:
        words = [*inspector, "--format", "json", "--quiet", *options, *target]
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        async with turns:
            process = await asyncio.create_subprocess_exec(
                *words, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
            told, complaint = await process.communicate()
        assert process.returncode == 0, complaint.decode()
        answer: dict[str, Any] = json.loads(told)["result"]
        return answer

    listed = await run("--method", "tools/list", "--strict")  # schemas that any client can take, or it ends with 6
    schemas = {tool["name"]: tool["outputSchema"] for tool in listed["tools"]}
    assert set(schemas) == set(server.tools)

    async def call(tool: str) -> None:
        arguments = json.dumps(server.tools[tool].arguments)
        result = await run("--method", "tools/call", "--tool-name", tool, "--tool-args-json", arguments)
        jsonschema.validate(result["structuredContent"], schemas[tool])
        assert result["content"][0]["text"].startswith("# ")

    over_stdio = "--stdio" in target  # each run then starts a server: one call stands for all
    await asyncio.gather(*map(call, sorted(schemas)[:1] if over_stdio else schemas))

"""Servers of others, as they are published, through our gateway: every tool is listed, called, and made evidence.

The official "everything" server has a tool for each kind of content that the protocol knows; it is spoken to over stdio
and over HTTP. Those of files and of memory are the most used ones that need no network. All are pinned in `others/`.
"""

import os
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openai import DefaultAsyncHttpxClient
from redis.asyncio import Redis

from agents.base import AgentSpec
from app.config.settings import Settings
from app.running.runtime import dependencies, tool_gateway
from graphs.errors import ToolFailure
from graphs.evidence.numbers import unknown
from graphs.evidence.rendering import rendered
from graphs.evidence.store import Evidence
from graphs.research import build_research_graph
from graphs.spending.limits import Limits
from graphs.tools.gateway import Asking, ToolGateway
from tests.mcp_servers import npm
from tests.scripted_model import Json, Script, assign, call, finding, quoting, result, serving, task

pytestmark = pytest.mark.slow

PINNED = Path(__file__).parent / "others"
TEXT = "Chargers rose to 1,000 in Oslo, 7% more than before.\n"

# Each tool with arguments and what its text has; None where it has to fail, with what it says.
EVERYTHING: dict[str, tuple[Json, str, bool]] = {
    "echo": ({"message": "hello"}, "Echo: hello", True),
    "get-annotated-message": (
        {"messageType": "success", "includeImage": True}, "[image image/png, 4 KB: not shown]", True,
    ),
    "get-env": ({}, '"PATH"', True),
    "get-resource-links": ({"count": 2}, "[resource link: Text Resource 2 <demo://resource/dynamic/text/2>]", True),
    "get-resource-reference": ({"resourceType": "Text", "resourceId": 1}, "This is a plaintext resource", True),
    "get-structured-content": ({"location": "Chicago"}, '"temperature":36', True),
    "get-sum": ({"a": 2, "b": 40}, "The sum of 2 and 40 is 42.", True),
    "get-tiny-image": ({}, "[image image/png, 4 KB: not shown]", True),
    "gzip-file-as-resource": ({"data": "data:text/plain,hello", "outputType": "resource"}, "not shown]", True),
    "simulate-research-query": ({"topic": "cars"}, "requires task augmentation", False),
    "toggle-simulated-logging": ({}, "logging", True),
    "toggle-subscriber-updates": ({}, "updates", True),
    "trigger-long-running-operation": ({"duration": 0.1, "steps": 2}, "Long running operation completed", True),
}  # fmt: skip


@pytest.fixture(scope="session")
def packages() -> Path:
    """Where the servers are."""
    npm.node()
    return npm.installed(PINNED) / "@modelcontextprotocol"


def command(packages: Path, server: str, *options: str) -> str:
    return shlex.join([npm.node(), str(packages / f"server-{server}/dist/index.js"), *options])


@pytest.fixture(params=["stdio", "http"])
def everything(request: pytest.FixtureRequest, packages: Path, tmp_path: Path) -> Iterator[str]:
    """Where the official server is, over each transport."""
    if request.param == "stdio":
        yield command(packages, "everything")
        return
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    words = shlex.split(command(packages, "everything", "streamableHttp"))
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(words, env={**os.environ, "PORT": str(port)}, stdout=log, stderr=log) as process,
    ):
        try:
            end = time.monotonic() + 30
            while b"listening" not in (tmp_path / "log").read_bytes():
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < end, "it does not listen"
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.kill()


def evidence(text: str, content: Json) -> Evidence:
    return Evidence(task="T1", server="s", tool="t", arguments={}, text=text, content=content, duration_ms=1)


async def test_every_kind_of_content_becomes_evidence(everything: str) -> None:
    agent = Asking("test", ("everything.*",))
    async with ToolGateway({"everything": everything}) as gateway:
        offered = {each.name.removeprefix("everything__") for each in await gateway.tools(agent)}
        assert offered == set(EVERYTHING)
        for tool, (arguments, wanted, succeeds) in EVERYTHING.items():
            if not succeeds:
                with pytest.raises(ToolFailure, match=wanted):
                    await gateway.call(agent, "everything", tool, arguments)
                continue
            given = await gateway.call(agent, "everything", tool, arguments)
            assert wanted in given.text, tool
            assert "iVBOR" not in given.text
            assert evidence(given.text, given.content).reference("E1")["kind"] == "text"
        structured = await gateway.call(agent, "everything", "get-structured-content", {"location": "Chicago"})
        with pytest.raises(ToolFailure, match="expected number"):
            await gateway.call(agent, "everything", "get-sum", {"a": "two"})
    assert structured.content["structured"] == {"temperature": 36, "conditions": "Light rain / drizzle", "humidity": 82}
    assert unknown("36 degrees and 82 percent", evidence(structured.text, structured.content).numbers) == []


async def test_files_are_read_and_refused(packages: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text(TEXT)
    agent, servers = Asking("test", ("files.*",)), {"files": command(packages, "filesystem", str(tmp_path))}
    async with ToolGateway(servers) as gateway:
        assert len(await gateway.tools(agent)) > 10
        read = await gateway.call(agent, "files", "read_text_file", {"path": str(tmp_path / "note.txt")})
        listed = await gateway.call(agent, "files", "list_directory", {"path": str(tmp_path)})
        made = await gateway.call(agent, "files", "create_directory", {"path": str(tmp_path / "new")})
        with pytest.raises(ToolFailure, match="Access denied"):
            await gateway.call(agent, "files", "read_text_file", {"path": "/etc/passwd"})
    assert read.text == TEXT
    assert listed.text == "[FILE] note.txt"
    assert "new" in made.text
    assert unknown("It rose to 1,000, by 7%.", evidence(read.text, read.content).numbers) == []


async def test_what_is_remembered_is_read_again(packages: Path, tmp_path: Path) -> None:
    memory = f"env MEMORY_FILE_PATH={tmp_path / 'memory'} {command(packages, 'memory')}"
    agent, servers = Asking("test", ("memory.*",)), {"memory": memory}
    entity = {"name": "ACME", "entityType": "firm", "observations": ["sold 1,700 units"]}
    async with ToolGateway(servers) as gateway:
        before = await gateway.call(agent, "memory", "read_graph", {})
        await gateway.call(agent, "memory", "create_entities", {"entities": [entity]})
        after = await gateway.call(agent, "memory", "read_graph", {})
    assert before.content["structured"]["entities"] == []
    assert after.content["structured"]["entities"] == [entity]
    assert unknown("ACME sold 1,700 units.", evidence(after.text, after.content).numbers) == []


async def test_a_job_answers_from_servers_of_others(
    packages: Path, tmp_path: Path, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "note.txt").write_text(TEXT)
    monkeypatch.setenv("MCP__FILES__COMMAND", command(packages, "filesystem", str(tmp_path)))
    monkeypatch.setenv("MCP__EVERYTHING__COMMAND", command(packages, "everything"))
    settings = Settings(_env_file=None, model="gpt-5-nano")
    servers = {name: settings.mcp[name].address for name in settings.others}
    reader = AgentSpec(
        name="researcher", does="Reads files and looks at images.", tools=("files.read_text_file", "everything.*")
    )

    claims = ("Chargers rose to 1,000.", "They rose to 2,000.")

    def work(packet: Json, messages: list[Json]) -> Json:
        seen = [each["content"] for each in messages if each["role"] == "tool"]
        if len(seen) < 2:
            path = str(tmp_path / "note.txt")
            return [call("files__read_text_file", path=path), call("everything__get-tiny-image")][len(seen)]
        assert "[image image/png" in seen[1]
        return result(*(finding(each, "E1") for each in claims))

    def plan(packet: Json, _: list[Json]) -> Json:
        done = {"action": "report", "reason": "scripted", "tasks": []}
        return done if packet["tasks"] else assign(task(1, "researcher"))

    with serving(Script(plan, work, quoting)) as url:
        async with tool_gateway(settings, servers) as gateway, DefaultAsyncHttpxClient() as http:
            deps = replace(dependencies(settings, url, http, gateway, redis_client), agents=(reader,))
            asked: Any = {"job_id": "job-test", "question": "How many chargers?", "limits": Limits().model_dump()}
            state: Any = await build_research_graph(deps).ainvoke(asked)
    assert state["status"] == "completed"
    assert {each["claim"] for each in state["findings"].values() if each["status"] == "verified"} == {claims[0]}
    assert "Chargers rose to 1,000 [1]." in rendered(state, state["report"], "")

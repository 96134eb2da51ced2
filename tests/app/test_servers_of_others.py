"""MCP servers that nobody here wrote: an address in the settings and a line in an agent are all that they take."""

import asyncio
import shlex
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openai import DefaultAsyncHttpxClient
from pydantic import SecretStr
from redis.asyncio import Redis

from agents.base import AgentSpec
from app.config import data_settings
from app.config.servers import NAMES
from app.config.settings import Settings
from app.running.processes import running
from app.running.runtime import dependencies, tool_gateway
from graphs.errors import ServerRefused, ServerUnavailable
from graphs.research import build_research_graph
from graphs.tools.gateway import Asking, ToolGateway
from graphs.tools.limits import ToolLimits
from graphs.tools.tokens import Signer
from tests.app.command_line import tollgate
from tests.graphs import odd_program
from tests.graphs.research import invoked, once, started
from tests.graphs.unruly_mcp import EVERYTHING, Unruly
from tests.raw_server import raw_server, status
from tests.scripted_model import Json, Script, assign, call, finding, quoting, result, serving, task

CLERK = AgentSpec(name="researcher", does="Adds things up, with a program of somebody else.", tools=("odd_sums.*",))
THEIRS = SecretStr("a token that they gave us")
OURS = SecretStr("a secret of ours, which nobody else may see")
NOWHERE = "http://127.0.0.1:9/mcp"
LIMITS = ToolLimits(cache_seconds=0, probe_s=0.05)


def command(folder: Path) -> str:
    return shlex.join([sys.executable, odd_program.__file__, str(folder), "junk", "junk"])


@pytest.fixture
def unruly() -> Iterator[Unruly]:
    with Unruly().running() as server:
        yield server


@contextmanager
def team(monkeypatch: pytest.MonkeyPatch, *agents: AgentSpec) -> Iterator[None]:
    """The agents of a fork."""
    with monkeypatch.context() as patch:
        for module in (data_settings, sys.modules["app.running.runtime"]):
            patch.setattr(module, "AGENTS", agents)
        yield


@asynccontextmanager
async def job(script: Script, settings: Settings, client: Redis) -> AsyncIterator[Any]:
    """The graph as a worker has it, over what the settings name."""
    with serving(script) as url, running(settings) as addresses:
        async with tool_gateway(settings, addresses.servers, client) as gateway, DefaultAsyncHttpxClient() as http:
            yield build_research_graph(dependencies(settings, url, http, gateway, client))


async def eventually(truth: Callable[[], Awaitable[bool]]) -> None:
    end = time.monotonic() + 10
    while not await truth():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def adding(packet: Json, messages: list[Json]) -> Json:
    if messages[-1]["role"] != "tool":
        return call("odd_sums__add")
    known = not messages[-1]["content"].startswith("error")
    return result(finding("The sum is 42.", "E1")) if known else result(gaps=("The sum is not known.",))


@pytest.mark.parametrize("way", ["COMMAND", "URL"])
async def test_a_job_answers_from_a_server_that_only_the_settings_and_an_agent_name(
    way: str, tmp_path: Path, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent's tools are `odd_sums.*`; the server is a program here, and nobody's address there."""
    away = {name: {"url": NOWHERE} for name in NAMES[:3]}
    monkeypatch.setenv(f"MCP__ODD_SUMS__{way}", command(tmp_path) if way == "COMMAND" else NOWHERE)
    with team(monkeypatch, CLERK):
        found = Settings(_env_file=None, data_dir=tmp_path, model="gpt-5-nano", stand_in_url=NOWHERE, tool_outage_s=0)
        settings = found.model_copy(update={"mcp": {**Settings(_env_file=None, MCP=away).mcp, **found.mcp}})
        assert settings.missing_servers == {}
        script = Script(once(assign(task(1, "researcher"))), adding, quoting)
        async with job(script, settings, redis_client) as research:
            ended = await invoked(research, started())
    if way == "COMMAND":
        assert (ended["status"], ended["stop_reason"]) == ("completed", "answered")
        assert "The sum is 42 [E1]." in ended["report"]["body"]
    else:
        assert (ended["status"], ended["stop_reason"]) == ("partial", "source_unavailable")
        assert "odd_sums" in ended["stop_detail"]


async def test_it_is_sent_its_own_token_and_told_nothing_of_ours(unruly: Unruly) -> None:
    async with ToolGateway(unruly.servers, signer=Signer(OURS, others={"unruly": THEIRS}), limits=LIMITS) as gateway:
        await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"}, tenant="acme")
        await gateway.call(EVERYTHING, "unruly", "read.odd/name", {"name": "a"}, tenant="acme")
    assert set(unruly.tokens) == {f"Bearer {THEIRS.get_secret_value()}"}
    assert [set(each) & {"caller"} for each in unruly.metas] == [set(), set()]
    assert unruly.probes == 0, "it has no /readyz"


async def test_without_a_token_it_is_sent_none(unruly: Unruly) -> None:
    async with ToolGateway(unruly.servers, signer=Signer(OURS, others={"unruly": None}), limits=LIMITS) as gateway:
        await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
    assert set(unruly.tokens) == {""}


async def test_one_that_refuses_is_told_with_the_setting_that_mends_it() -> None:
    async with (
        raw_server(status("401 Unauthorized")) as there,
        ToolGateway({"crm": f"{there.url}/mcp"}, signer=Signer(OURS, others={"crm": None}), limits=LIMITS) as gateway,
    ):
        with pytest.raises(ServerRefused, match="must set MCP__CRM__TOKEN"):
            await gateway.tools(Asking("test", ("crm.*",)))

        async def refused() -> bool:
            return await gateway.refusing(["crm"]) == ["crm"] and await gateway.away(["crm"]) == []

        await eventually(refused)


async def test_one_that_went_away_is_missed_until_it_answers_again() -> None:
    limits = replace(LIMITS, timeout_s=5)
    again = Unruly()
    with again.running():
        pass  # a port that is free from here on
    async with ToolGateway(again.servers, signer=Signer(others={"unruly": None}), limits=limits) as gateway:
        assert await gateway.away(["unruly"]) == []
        with pytest.raises(ServerUnavailable):
            await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})

        async def away() -> bool:
            return await gateway.away(["unruly"]) == ["unruly"]

        async def back() -> bool:
            return not await away() and gateway.there() == {"unruly": True}

        await eventually(away)
        with again.running():
            await eventually(back)
            await gateway.call(EVERYTHING, "unruly", "read", {"name": "a"})
    assert again.probes == 0


def test_what_an_agent_needs_and_nobody_named_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with team(monkeypatch, CLERK, CLERK.model_copy(update={"tools": ("sales.*",), "optional_tools": ("crm.*",)})):
        told = Settings(_env_file=None).missing_servers
    assert told == {
        "odd_sums": "researcher needs the MCP server odd_sums; set MCP__ODD_SUMS__URL, __URLS or __COMMAND",
    }


def test_one_that_is_optional_is_an_agents_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP__CRM__URLS", "http://one/mcp,http://two/mcp")
    agent = CLERK.model_copy(update={"optional_tools": ("crm.get_contact",)})
    assert agent.where(Settings(_env_file=None).servers).tools == ("odd_sums.*", "crm.get_contact")
    assert agent.where(()).tools == ("odd_sums.*",)


@pytest.mark.slow
def test_the_doctor_names_it(tmp_path: Path, beside: dict[str, str]) -> None:
    given = beside | {"MCP__ODD_SUMS__COMMAND": command(tmp_path), "MCP__CRM__URL": NOWHERE}
    ended = tollgate(tmp_path, "doctor", **given)
    assert "✓ mcp odd_sums" in ended.stdout
    assert "1 tools at" in ended.stdout
    assert "no agent uses it" in ended.stdout
    assert "✗ mcp crm" in ended.stdout
    assert ended.returncode == 1

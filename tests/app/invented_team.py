"""Whole jobs of a team that nobody knows: the real graph, real MCP servers, the stand-in model on a socket."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openai import DefaultAsyncHttpxClient
from redis.asyncio import Redis

from agents import base
from agents.base import AgentSpec
from app.config.settings import Settings
from app.running.runtime import dependencies
from graphs.evidence.rendering import rendered
from graphs.research import build_research_graph
from graphs.spending.limits import Limits
from graphs.tools.gateway import ToolGateway
from tests.app.offline_team import serving

INVENTORY = shlex.join([sys.executable, str(Path(__file__).with_name("inventory_server.py"))])


class Job:
    """What a question led to."""

    def __init__(self, state: Any) -> None:
        self.state = state
        self.status, self.reason = state["status"], state["stop_reason"]
        self.claims = [each["claim"] for each in state["findings"].values() if each["status"] == "verified"]
        self.refused = [each["refused"] for each in state["findings"].values() if each["refused"]]
        self.agents = [each["agent"] for each in state["tasks"].values()]
        self.gaps = [gap for each in state["tasks"].values() for gap in each["gaps"]]
        self.tools = [each["tool"] for each in state["evidence"].values()]
        self.report = rendered(state, state["report"], "")


class InventedTeam:
    """Runs questions on these agents and servers."""

    def __init__(self, settings: Settings, client: Redis, prompts: Path, patch: pytest.MonkeyPatch) -> None:
        self._settings, self._client, self._prompts = settings, client, prompts
        patch.setattr(base, "PROMPTS", prompts)

    async def ask(
        self,
        question: str,
        agents: Mapping[str, tuple[str, str]],
        servers: Mapping[str, str],
        others: Sequence[AgentSpec] = (),
    ) -> Job:
        """The job. Agents are what each `does` and its tools; `others` work beside them."""
        new = (AgentSpec(name=name, does=does, tools=(tools,)) for name, (does, tools) in agents.items())
        team = (*others, *new)
        for each in team:
            (self._prompts / f"{each.name}.md").write_text("Look it up.")
        with serving() as url:
            async with ToolGateway(dict(servers)) as gateway, DefaultAsyncHttpxClient() as http:
                tiers = self._settings.model_copy(update={"supervisor_model": self._settings.model})
                deps = replace(dependencies(tiers, url, http, gateway, self._client), agents=team)
                asked: Any = {"job_id": "job-test", "question": question, "limits": Limits().model_dump()}
                return Job(await build_research_graph(deps).ainvoke(asked))


@pytest.fixture
def invented(settings: Settings, redis_client: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InventedTeam:
    """A team to be invented."""
    return InventedTeam(settings, redis_client, tmp_path, monkeypatch)

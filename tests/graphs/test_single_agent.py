"""The single agent: real client, real MCP servers, real Valkey, a scripted mind."""

from typing import Any

from redis.asyncio import Redis

from agents import AGENTS
from app.config.settings import Settings
from app.running.processes import Addresses
from app.running.runtime import opened
from graphs.single_agent import GENERALIST, build_single_agent_graph
from tests.scripted_model import Json, Script, finding, quoting, result, revenue, serving

QUESTION = "What was our revenue in 2024?"


def never(packet: Json, messages: list[Json]) -> Json:
    raise AssertionError("a single agent has no supervisor")


async def ran(script: Script, settings: Settings, addresses: Addresses, redis_url: str, **limits: Any) -> Any:
    with serving(script) as url:
        scripted = Addresses(url, addresses.servers, addresses.children)
        async with opened(settings, redis_url, scripted, lambda _: None, build_single_agent_graph) as jobs:
            job_id = await jobs.create(QUESTION, settings.limits.model_copy(update=limits))
            return await jobs.run(job_id, lambda _: None)


async def test_one_agent_answers_without_a_supervisor(
    settings: Settings, addresses: Addresses, redis_url: str, redis_client: Redis
) -> None:
    script = Script(never, revenue, quoting)
    ended = await ran(script, settings, addresses, redis_url)
    assert (ended.status, ended.stop_reason, ended.handoffs) == ("completed", "answered", 1)
    assert [each["agent"] for each in ended.findings] == ["generalist"]
    offered = {tool["function"]["name"] for tool in script.requests[0]["tools"]}
    assert {"knowledge_base__search", "sales__query", "analytics__forecast"} <= offered


async def test_what_does_not_hold_is_sent_back_once(
    settings: Settings, addresses: Addresses, redis_url: str, redis_client: Redis
) -> None:
    seen: list[Json] = []

    def lying(packet: Json, messages: list[Json]) -> Json:
        seen.append(packet)
        return result(finding("Revenue in 2024 was EUR 1.", "E1"))

    ended = await ran(Script(never, lying, quoting), settings, addresses, redis_url)
    assert [bool(packet["feedback"]) for packet in seen] == [False, True]
    assert ended.findings == []


async def test_it_stands_behind_the_same_gate(
    settings: Settings, addresses: Addresses, redis_url: str, redis_client: Redis
) -> None:
    asking = await ran(Script(never, revenue, quoting), settings, addresses, redis_url, steps=1)
    assert (asking.status, asking.model_calls) == ("awaiting_human", 0)


def test_it_has_the_means_of_the_whole_team() -> None:
    assert set(GENERALIST.tools) == {tool for agent in AGENTS for tool in agent.tools}
    assert "AgentResult" in GENERALIST.prompt

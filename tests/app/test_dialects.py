"""The same content in every dialect: questions give the same findings, whatever server answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import DefaultAsyncHttpxClient
from redis.asyncio import Redis

from app.config.settings import Settings
from app.running.processes import Addresses
from app.running.runtime import dependencies
from app.stand_in.dialects import DIALECTS
from app.stand_in.server import build
from graphs.checkpoint.saver import RedisSaver
from graphs.deps import Deps
from graphs.research import ResearchGraph, build_research_graph
from graphs.tools.gateway import ToolGateway
from tests.app.offline_team import billed
from tests.http_server import served

pytestmark = pytest.mark.slow

Json = dict[str, Any]
QUESTIONS = {
    "both": "What was our revenue in 2024, and how many public charging points does Germany have?",
    "market": "How many public charging points does Germany have?",
    "countries": "What was our revenue in 2025 by country?",
}
FOUND: Json = {}


@contextlib.asynccontextmanager
async def built(
    dialect: str, settings: Settings, addresses: Addresses, client: Redis
) -> AsyncIterator[tuple[Deps, ResearchGraph, str]]:
    with served(build(dialect=DIALECTS[dialect])) as address:
        url = f"{address}/v1"
        async with ToolGateway(addresses.servers) as gateway, DefaultAsyncHttpxClient() as http:
            deps = dependencies(settings, url, http, gateway, client)
            yield deps, build_research_graph(deps, RedisSaver(client, ttl_seconds=600)), url


async def answered(research: ResearchGraph, dialect: str, name: str, question: str) -> Json:
    job = f"{dialect}-{name}"
    given: Any = {"job_id": job, "question": question}
    return await research.ainvoke(given, {"configurable": {"thread_id": job}})


@pytest.mark.xdist_group("dialects")
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_findings_are_the_same(
    dialect: str, settings: Settings, addresses: Addresses, redis_client: Redis
) -> None:
    async with built(dialect, settings, addresses, redis_client) as (deps, research, url):
        jobs = [answered(research, dialect, name, question) for name, question in QUESTIONS.items()]
        states = dict(zip(QUESTIONS, await asyncio.gather(*jobs), strict=True))
        spent = sum([(await deps.ledger.spend(f"{dialect}-{name}")).micro_usd for name in QUESTIONS])
        bill, _ = billed(url)
    for name, state in states.items():
        assert (state["status"], state["stop_reason"]) == ("completed", "answered"), (name, state["stop_detail"])
        assert state["flags"] == [], name
    found = {name: sorted(each["claim"] for each in state["findings"].values()) for name, state in states.items()}
    assert all(found.values())
    assert found == (FOUND or found)
    FOUND.update(found)
    assert bill <= spent

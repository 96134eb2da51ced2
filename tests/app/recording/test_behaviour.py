"""The behaviour version is the same for the same set-up, and another one for every change of what decides."""

import dataclasses

from openai import DefaultAsyncHttpxClient
from redis.asyncio import Redis

from agents import AGENTS
from app.config.settings import Settings
from app.recording.behaviour import behaviour_version
from app.running.runtime import dependencies, tool_gateway
from graphs.deps import Deps


class OtherPrompt(type(AGENTS[0])):  # type: ignore[misc]
    @property
    def prompt(self) -> str:
        return "Find nothing."


async def made(settings: Settings, client: Redis, **changed: object) -> Deps:
    settings = settings.model_copy(update=changed)
    async with tool_gateway(settings, {}) as gateway, DefaultAsyncHttpxClient() as http:
        return dependencies(settings, "http://127.0.0.1:9/v1", http, gateway, client)


async def test_what_decides_makes_another_version(settings: Settings, redis_client: Redis) -> None:
    deps = await made(settings, redis_client)
    told = OtherPrompt.model_validate(AGENTS[0].model_dump())
    others = [
        await made(settings, redis_client, supervisor_model="gpt-5"),
        await made(settings, redis_client, job_budget_usd=0.125),
        dataclasses.replace(deps, agents=AGENTS[1:]),
        dataclasses.replace(deps, agents=(told, *AGENTS[1:])),
    ]
    versions = [behaviour_version(each, "research") for each in (deps, *others)]
    assert len({*versions, behaviour_version(deps, "single agent")}) == 1 + len(versions)
    assert behaviour_version(await made(settings, redis_client), "research") == versions[0]

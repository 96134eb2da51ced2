"""The naive team answers as the team does, and everybody in it reads all that was said. Real processes."""

import json

from redis.asyncio import Redis

from app.config.settings import Settings
from app.recording.cassette import Cassette
from app.recording.recorder import record_of
from app.running.processes import Addresses
from app.running.runtime import opened
from evals.naive_team import build_naive_team_graph
from evals.tokens import PARTS, spent

QUESTION = "How did our revenue grow from 2023 to 2024?"


async def test_it_answers_and_all_read_everything(
    settings: Settings, addresses: Addresses, redis_url: str, redis_client: Redis
) -> None:
    settings = settings.model_copy(update={"record": True})
    used: list[int] = []

    def count(event: dict[str, object]) -> None:
        if event["type"] == "model_call":
            used.append(int(str(event["input_tokens"])) + int(str(event["output_tokens"])))

    async with opened(settings, redis_url, addresses, lambda _: None, build_naive_team_graph) as jobs:
        job_id = await jobs.create(QUESTION, settings.limits)
        ended = await jobs.run(job_id, count)
    cassette = Cassette([line for _, line in await record_of(redis_client, job_id, most=1000)])
    assert (ended.status, ended.stop_reason) == ("completed", "answered")
    assert {each["agent"] for each in ended.findings} == {"sales", "analyst"}
    last = cassette.models["supervisor", ""][-1].request
    assert last is not None
    tables = [each["content"] for each in last["messages"] if each["role"] == "tool" and "<data-" in each["content"]]
    assert len(tables) == len(ended.evidence), "the lead reads every result in full"
    analyst = next(found for (agent, _), found in cassette.models.items() if agent == "analyst")[0].request
    assert analyst is not None
    assert "sales__" in json.dumps(analyst["messages"]), "an agent reads the calls of the others"
    found = spent(cassette)
    assert found.total == sum(used), "all that was billed is told"
    assert abs(sum(found.parts.values()) - found.total) < 1
    assert set(found.parts) <= set(PARTS)
    assert sum(found.agents.values()) == found.total

"""The store of money and state refuses in the middle of a job: no agent and no writer makes the best of that."""

from typing import Any

import pytest
import redis as sync_redis
from redis.asyncio import Redis

from graphs.clock import utc_now
from graphs.errors import ENDS_THE_RUN
from tests.graphs.research import CONFIG, Run, once, started
from tests.scripted_model import Json, Script, assign, call, quoting, revenue, task


@pytest.mark.slow
@pytest.mark.parametrize(
    ("at", "what"),
    [("tool", "counts"), ("tool", "evidence"), ("agent", "money"), ("answer", "counts"), ("writer", "money")],
)
async def test_the_run_ends_and_the_next_one_goes_on(
    graph: Run, redis_client: Redis, redis_url: str, at: str, what: str
) -> None:
    keys = {
        "counts": "tollgate:{ledger}:job:job-test",
        "money": f"tollgate:{{ledger}}:day:{utc_now().date()}",
        "evidence": "tollgate:{job-test}:evidence",
    }
    key, broken = keys[what], list[str]()

    def breaking(place: str, honest: Json, then: Json) -> Json:
        """The honest answer; and, where and when it is time, another, to be followed by a refused command."""
        if place != at or broken:
            return honest
        broken.append(place)
        with sync_redis.Redis.from_url(redis_url) as client:
            if client.exists(key):
                client.rename(key, f"{key}:aside")
            client.set(key, "no hash", ex=600)
        return then

    def work(packet: Json, messages: list[Json]) -> Json:
        results = [each for each in messages if each.get("tool_call_id") != "call_AgentResult"]
        told = revenue(packet, results)
        if results[-1]["role"] == "tool":
            return breaking("answer", breaking("agent", told, call("AgentResult")), told)
        return breaking("tool", told, told)

    def draft(packet: Json, messages: list[Json]) -> Json:
        invented = {"title": "Revenue", "body": "We made 999,999 euros."}
        return breaking("writer", quoting(packet, messages), invented)

    script = Script(once(assign(task(1, "sales"))), work, draft)
    events: list[str] = []
    async with graph(script) as research:

        async def run(given: Any) -> None:
            async for event in research.astream(given, CONFIG, stream_mode="custom"):
                events.append(event["type"])  # noqa: PERF401  what came before the error counts

        with pytest.raises(ENDS_THE_RUN):
            await run(started())
        await redis_client.delete(key)
        if await redis_client.exists(f"{key}:aside"):
            await redis_client.rename(f"{key}:aside", key)
        await run(None)
        ended = (await research.aget_state(CONFIG)).values
    assert (ended["status"], ended["flags"], ended["report"]["problems"]) == ("completed", [], [])
    assert events.count("task_finished") == 1
    assert "task_started" not in events[events.index("task_finished") :], "a finished task is not begun again"

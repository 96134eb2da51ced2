"""A day whose budget is used up ends the run and nothing else: no task fails, and nothing is paid for twice."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from graphs.errors import DayUsedUp
from graphs.spending.ledger import Ledger
from tests.graphs.research import JOB, Run, invoked, once, started
from tests.scripted_model import REPORT, REVENUE, Json, Script, assign, completion, quoting, result, revenue, task

USD = 1_000_000


class After(JSONResponse):
    """An answer that is sent when something has happened."""

    def __init__(self, event: Callable[[], Awaitable[None]], answer: Json) -> None:
        super().__init__(completion("gpt-5-mini", answer))
        self._event = event

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._event()
        await super().__call__(scope, receive, send)


async def test_siblings_finish_and_another_run_goes_on_where_this_one_stopped(
    graph: Run, redis_client: Redis, redis_url: str
) -> None:
    asked, sibling_waits = list[str](), asyncio.Event()

    async def the_day_ends() -> None:
        await sibling_waits.wait()
        async with Redis.from_url(redis_url) as client:
            await Ledger(client, ttl_seconds=600).allow_today(0, "local")

    async def the_other_is_refused() -> None:
        sibling_waits.set()
        async with Redis.from_url(redis_url) as client:
            other = Ledger(client, ttl_seconds=600)
            while (await other.spent_today("local")).tenant_refused_micro_usd is None:  # noqa: ASYNC110  another process
                await asyncio.sleep(0.01)

    def work(packet: Json, messages: list[Json]) -> Any:
        asked.append(packet["task"]["id"])
        if packet["task"]["id"] == "T2":
            return After(the_other_is_refused, result(gaps=("There is nothing.",)))
        return revenue(packet, messages) if messages[-1]["role"] == "tool" else After(the_day_ends, REVENUE)

    ledger = Ledger(redis_client, ttl_seconds=600)
    script = Script(once(assign(task(1, "sales"), task(2, "researcher"))), work, quoting)
    async with graph(script) as research:
        with pytest.raises(DayUsedUp, match="the tenant's budget for today is used up"):
            await invoked(research, started())
        stopped = await ledger.spend(JOB)
        with pytest.raises(DayUsedUp):
            await invoked(research, None)
        assert await ledger.spend(JOB) == stopped, "refused calls leave no trace"
        await ledger.allow_today(USD, "local")
        ended = await invoked(research, None)
    assert (stopped.reserved_micro_usd, stopped.estimated_micro_usd) == (0, 0), "the sibling's call was settled"
    assert sorted(asked) == ["T1", "T1", "T2"], "nothing was asked again"
    assert {each["status"] for each in ended["tasks"].values()} == {"done", "failed"}
    assert ended["tasks"]["T1"]["status"] == "done"
    assert ended["halted"] is None


async def test_a_plan_and_a_report_wait_for_another_day_too(graph: Run, redis_client: Redis, redis_url: str) -> None:
    async def the_day_ends() -> None:
        async with Redis.from_url(redis_url) as client:
            await Ledger(client, ttl_seconds=600).allow_today(0, "local")

    def plan(packet: Json, _: list[Json]) -> Any:
        return After(the_day_ends, REPORT) if packet["tasks"] else assign(task(1, "sales"))

    ledger = Ledger(redis_client, ttl_seconds=600)
    script = Script(plan, revenue, quoting)
    async with graph(script) as research:
        await the_day_ends()
        with pytest.raises(DayUsedUp):
            await invoked(research, started(on_limit="fail"))
        await ledger.allow_today(USD, "local")
        with pytest.raises(DayUsedUp):
            await invoked(research, None)
        assert [len(script.asked(each)) for each in ("SupervisorDecision", "ReportDraft")] == [2, 0]
        await ledger.allow_today(USD, "local")
        ended = await invoked(research, None)
    assert (ended["status"], ended["report"]["by_code"]) == ("completed", False)

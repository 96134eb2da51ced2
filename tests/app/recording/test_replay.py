"""A replay of a job is the job again, byte for byte, or says what differs first."""

import asyncio
import dataclasses
from typing import Any

import pytest
from redis.asyncio import Redis
from starlette.responses import JSONResponse

from agents.base import AgentSpec
from app.config.settings import Settings
from app.errors import BadInput
from app.running.processes import Addresses
from app.running.replay import Build, Replayed, recorded, replayed, store_of
from app.running.replay_from import beginning
from graphs.deps import Deps
from graphs.research import ResearchGraph, build_research_graph
from graphs.spending.ledger import Ledger
from graphs.spending.spend import Account, Spend
from tests.app.recording.recorded_jobs import LONG, ran, recording
from tests.scripted_model import REPORT, REVENUE, Answer, Json, Script, assign, call, quoting, revenue, serving, task


class Told(AgentSpec):
    """An agent with a line more in its prompt."""

    @property
    def prompt(self) -> str:
        return f"{super().prompt}\nBe brief."


def with_another_prompt(deps: Deps, checkpointer: Any) -> ResearchGraph:
    """The graph, whose sales agent is told something else."""
    agents = [Told.model_validate(each.model_dump()) if each.name == "sales" else each for each in deps.agents]
    return build_research_graph(dataclasses.replace(deps, agents=tuple(agents)), checkpointer)


async def test_a_job_of_parallel_agents_is_the_same_byte_for_byte(
    settings: Settings, redis_url: str, redis_client: Redis, addresses: Addresses
) -> None:
    async with recording(settings, redis_url, addresses) as jobs:
        await ran(jobs, settings, redis_url, LONG)  # a process that knows the models asks otherwise
        cassette = await ran(jobs, settings, redis_url, LONG)
    assert {agent for agent, _ in cassette.models} >= {"supervisor", "researcher", "sales", "analyst", "report"}
    assert cassette.end["status"] == "completed"
    assert cassette.job["job_id"] in cassette.end["report"]
    ended = await replayed(settings, cassette)
    assert (ended.differs, ended.notes) == (None, [])
    exchanges = [each for each in cassette.lines if each["kind"] in {"model", "tool"}]
    assert ended.exchanges == len(exchanges) > 12

    async def later(step: str, **more: Any) -> Replayed:
        async with store_of(settings, redis_url) as parts:
            start = await beginning(parts, cassette, step)
        return await replayed(settings, cassette, start=start, **more)

    from_there = await later("4")
    assert (from_there.differs, from_there.notes) == (None, [])
    assert 6 < from_there.exchanges < ended.exchanges
    assert (await later("report", build=with_another_prompt)).differs is None  # what was done before it stands
    with pytest.raises(BadInput, match="no step 99; it has: 1 intake, 2 supervisor, 3 budget, 4 researcher"):
        await later("99")

    changed = await replayed(settings, cassette, with_another_prompt)
    assert changed.differs
    first, *diff = changed.differs.splitlines()
    assert first == "sales, task T2: asks a model something else"
    assert [each.strip() for each in diff[:1]] == ["message 1 (system):"]
    assert any(each.strip().startswith("+") and "Be brief." in each for each in diff)


@pytest.mark.parametrize("limits", [{"model_calls": 6}, {"budget_micro_usd": 4_000}], ids=str)
async def test_of_a_limit_that_parallel_agents_share_each_gets_what_it_got(
    settings: Settings, redis_url: str, redis_client: Redis, addresses: Addresses, limits: Json
) -> None:
    async with recording(settings, redis_url, addresses) as jobs:
        cassette = await ran(jobs, settings, redis_url, LONG, on_limit="finish_partial", **limits)
    assert cassette.end["status"] == "partial"
    assert (await replayed(settings, cassette)).differs is None


class InTurn:
    """The ledger, where a task asks for this only after another one has had a tool call counted."""

    def __init__(self, ledger: Ledger, asks: str, last: str) -> None:
        self._ledger, self._asks, self._last, self._counted = ledger, asks, last, asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def spend(self, job_id: str, task: str = "") -> Spend:
        await self._turn("spend", task)
        return await self._ledger.spend(job_id, task)

    async def count_tool_call(self, account: Account) -> None:
        await self._turn("count_tool_call", account.task)
        try:
            await self._ledger.count_tool_call(account)
        finally:
            if account.task != self._last:
                self._counted.set()

    async def _turn(self, asks: str, task: str) -> None:
        if (asks, task) == (self._asks, self._last):
            await self._counted.wait()


def in_turn(asks: str, last: str) -> Build:
    def build(deps: Deps, checkpointer: Any) -> ResearchGraph:
        ledger: Any = InTurn(deps.ledger, asks, last)
        return build_research_graph(dataclasses.replace(deps, ledger=ledger), checkpointer)

    return build


@pytest.mark.parametrize(
    ("limits", "asks"), [({"budget_micro_usd": 4_000}, "spend"), ({"tool_calls": 1}, "count_tool_call")], ids=str
)
async def test_the_order_of_parallel_agents_does_not_count(
    settings: Settings, redis_url: str, redis_client: Redis, addresses: Addresses, limits: Json, asks: str
) -> None:
    """Which one a limit lets go on depends on it, then; the replay asks the ledger in the other order."""
    async with recording(settings, redis_url, addresses, build=in_turn(asks, "T1")) as jobs:
        cassette = await ran(jobs, settings, redis_url, LONG, on_limit="finish_partial", **limits)
    assert any(each["kind"] in {"model", "counted"} and "error" in each for each in cassette.lines)
    ended = await replayed(settings, cassette, in_turn(asks, "T2"))
    assert (ended.differs, ended.notes) == (None, [])


@pytest.mark.parametrize(
    ("waits", "build"),
    [
        ({"T1": "000", "T2": "000"}, in_turn("spend", "T2")),  # the first one's answer closes the circuit again
        ({"T1": ["0", "9999"], "T2": ["", ""]}, build_research_graph),  # the first one gives up, the other does not
    ],
)
async def test_failures_of_parallel_agents_do_not_add_up(
    settings: Settings, redis_url: str, redis_client: Redis, addresses: Addresses, waits: Json, build: Build
) -> None:
    """Each fails so often, and is asked to wait for so many seconds."""
    left = {task: list(each) for task, each in waits.items()}

    def work(packet: Json, messages: list[Json]) -> Answer:
        if more := left[packet["task"]["id"]]:
            headers = {"retry-after": wait} if (wait := more.pop(0)) else {}
            return JSONResponse({"error": {"message": "overloaded"}}, 500, headers)
        return revenue(packet, messages)

    def decision(packet: Json, _: list[Json]) -> Answer:
        return REPORT if packet["tasks"] else assign(task(1, "sales"), task(2, "sales"))

    with serving(Script(decision, work, quoting)) as url:
        async with recording(settings, redis_url, addresses, url, build) as jobs:
            cassette = await ran(jobs, settings, redis_url)
            if cassette.end["status"] == "awaiting_human":
                job_id = cassette.job["job_id"]
                await jobs.decide(job_id, {"action": "approve_more", "amount_usd": 0.1}, lambda _: None)
                cassette = await recorded(settings, redis_url, job_id)
    assert cassette.end["status"] == "completed"
    ended = await replayed(settings, cassette)
    assert (ended.differs, ended.notes) == (None, [])


async def test_failures_are_replayed_too(
    settings: Settings, redis_url: str, redis_client: Redis, addresses: Addresses
) -> None:
    """A provider that fails twice, an answer that cannot be read, and a call that its server refuses."""
    asked: list[Json] = []

    def work(packet: Json, messages: list[Json]) -> Answer:
        asked.append(packet)
        if len(asked) == 1:
            return JSONResponse({"error": {"message": "overloaded"}}, 503, {"retry-after": "0"})
        if len(asked) == 2:
            return "no call at all"
        if len(asked) == 3:
            return call("sales__revenue_by", dimensions=["planet"])
        return REVENUE if len(asked) == 4 else revenue(packet, messages)

    def decision(packet: Json, _: list[Json]) -> Answer:
        return REPORT if packet["tasks"] else assign(task(1, "sales"))

    with serving(Script(decision, work, quoting)) as url:
        async with recording(settings, redis_url, addresses, url) as jobs:
            cassette = await ran(jobs, settings, redis_url)
    attempts = cassette.models["sales", "T1"]
    assert [each.line["status"] for each in attempts] == [503, 200, 200, 200, 200]
    assert [line["error"]["type"] for line in cassette.lines if line["kind"] == "tool" and "error" in line] == [
        "ToolFailure"
    ]
    ended = await replayed(settings, cassette)
    assert (ended.differs, ended.notes) == (None, [])


@pytest.mark.parametrize("answer", [{"action": "approve_more", "amount_usd": 0.1}, {"action": "finish_partial"}])
async def test_a_decision_is_made_again(
    settings: Settings, redis_url: str, redis_client: Redis, addresses: Addresses, answer: Json
) -> None:
    async with recording(settings, redis_url, addresses) as jobs:
        waiting = await ran(jobs, settings, redis_url, budget_micro_usd=2_000)
        assert waiting.end["status"] == "awaiting_human"
        job_id = waiting.job["job_id"]
        assert (await replayed(settings, waiting)).differs is None
        result = await jobs.decide(job_id, answer, lambda _: None)
    assert result.status in {"completed", "partial"}
    cassette = await recorded(settings, redis_url, job_id)
    assert [each["decision"]["action"] for each in cassette.decisions] == [answer["action"]]
    ended = await replayed(settings, cassette)
    assert (ended.differs, ended.notes) == (None, [])

"""The toll gate, over a real client, a real Redis, and a provider that keeps its own invoice."""

import asyncio
import contextlib
import dataclasses
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from pydantic import BaseModel
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from typing_extensions import TypedDict

from graphs.clock import utc_now
from graphs.errors import LedgerUnavailable, LimitReached, ModelRefused, ModelUnavailable, Unaccounted, UnusableAnswer
from graphs.redis.breaker import Breaker
from graphs.spending.ledger import Ledger
from graphs.spending.parts import MODEL, ItemSpend
from graphs.stop_reasons import StopReason
from tests.billing_provider import Provider, billing
from tests.graphs.gates import JOB, Gate, account, gate

pytestmark = pytest.mark.usefixtures("redis_client")


async def agrees(toll: Gate, provider: Provider) -> None:
    """The ledger and the provider's invoice say the same, to the micro-dollar, and nothing is left reserved."""
    spend = await toll.ledger.spend(JOB)
    assert spend.reserved_micro_usd == 0
    assert spend.micro_usd == provider.billed_micro_usd
    today = await toll.ledger.spent_today("local")
    assert (today.tenant.micro_usd, today.deployment.micro_usd) == (spend.micro_usd, spend.micro_usd)


async def worst_cost(provider: Provider, toll: Gate) -> int:
    """What one call of "hello" reserves: asked for once on a job of its own."""
    provider.behave = lambda _: "worst"
    await toll.charged(job="job-measure").ainvoke("hello")
    return provider.invoice.pop()


async def test_of_fifty_calls_at_once_with_room_for_seven_seven_reach_the_provider(
    toll: Gate, provider: Provider
) -> None:
    cost = await worst_cost(provider, toll)
    provider.requests.clear()
    model = toll.charged(budget_micro_usd=7 * cost + cost - 1, answer_floor_tokens=1000)
    outcomes = await asyncio.gather(*(model.ainvoke("hello") for _ in range(50)), return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, LimitReached)]
    assert len(provider.requests) == 7
    assert len(refused) == 43
    assert {each.reason for each in refused} == {StopReason.BUDGET}
    spend = await toll.ledger.spend(JOB)
    assert (spend.reserved_micro_usd, spend.micro_usd) == (0, provider.billed_micro_usd)


async def test_calls_that_only_wait_for_reservations_are_made_when_these_settle(toll: Gate, provider: Provider) -> None:
    cost = await worst_cost(provider, toll)
    provider.requests.clear()
    provider.behave = lambda _: "answer"
    model = toll.charged(budget_micro_usd=2 * cost)
    await asyncio.gather(*(model.ainvoke("hello") for _ in range(8)))
    assert len(provider.requests) == 8
    assert provider.billed_micro_usd <= 2 * cost


async def test_what_is_reserved_for_is_what_is_sent(toll: Gate, provider: Provider) -> None:
    """So its bytes bound what a provider can count as tokens of it, streamed or not."""
    provider.behave = lambda _: "worst"
    model = toll.charged()
    await model.ainvoke('Grüße, 你好, "quoted" \n and a tab\t')
    await _streamed(model)
    await model.bind_tools([Colour]).ainvoke("hello")
    await agrees(toll, provider)


class Colour(BaseModel):
    """A colour."""

    name: str


@pytest.mark.parametrize("behaviour", ["answer", "no_usage", "cut_short", "broken_json", "refusal", "worst", "reset"])
@pytest.mark.parametrize("way", ["ainvoke", "astream", "structured", "tools", "thread", "thread_stream", "batch"])
async def test_whatever_comes_back_on_whatever_path_the_ledger_is_the_invoice(
    toll: Gate, provider: Provider, behaviour: Any, way: str
) -> None:
    provider.behave = lambda number: behaviour if number == 0 else "answer"
    model = toll.charged()
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "ainvoke": lambda: model.ainvoke("hello"),
        "astream": lambda: _streamed(model),
        "structured": lambda: model.with_structured_output(Colour, method="json_schema").ainvoke("hello"),
        "tools": lambda: model.bind_tools([Colour]).ainvoke("hello"),
        "thread": lambda: asyncio.to_thread(model.invoke, "hello"),
        "thread_stream": lambda: asyncio.to_thread(lambda: list(model.stream("hello"))),
        "batch": lambda: model.abatch(["hello"]),
    }
    try:
        await calls[way]()
    except (UnusableAnswer, ModelUnavailable):
        assert behaviour != "answer" or way == "structured"
    assert provider.invoice
    if way == "structured":
        spend = await toll.ledger.spend(JOB)
        assert spend.reserved_micro_usd == 0
        assert provider.billed_micro_usd <= spend.micro_usd <= provider.billed_micro_usd + 256
    else:
        await agrees(toll, provider)


async def _streamed(model: Any) -> None:
    async for _ in model.astream("hello"):
        pass


async def test_an_answer_without_usage_is_charged_at_the_worst_and_says_so(toll: Gate, provider: Provider) -> None:
    provider.behave = lambda _: "no_usage"
    await toll.charged().ainvoke("hello")
    spend = await toll.ledger.spend(JOB)
    assert spend.estimated_micro_usd == spend.micro_usd == provider.billed_micro_usd
    assert [event["estimated"] for event in toll.events] == [True]


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
async def test_what_may_pass_is_tried_again_each_attempt_on_its_own_reservation(
    toll: Gate, provider: Provider, status: Any
) -> None:
    provider.behave = lambda number: status if number < 3 else "answer"
    await toll.charged().ainvoke("hello")
    assert len(provider.requests) == 4
    assert (await toll.ledger.spend(JOB)).model_calls == 4
    failed = [(each["error"], each["charged"]) for each in toll.events if each["type"] == "model_failed"]
    assert failed == [("outage" if status >= 500 else "refused", False)] * 3
    *_, answered = toll.events
    assert answered["type"] == "model_call"
    assert 0 <= answered["seconds"] < 60
    assert answered["prompt_bytes"] >= len("hello")
    await agrees(toll, provider)


@pytest.mark.parametrize("status", [400, 401])
async def test_what_will_not_pass_is_not_tried_again(toll: Gate, provider: Provider, status: Any) -> None:
    provider.behave = lambda _: status
    with pytest.raises(ModelRefused, match=f"answered with status {status}"):
        await toll.charged().ainvoke("hello")
    assert len(provider.requests) == 1
    await agrees(toll, provider)


async def test_there_is_one_retry_layer(toll: Gate, provider: Provider) -> None:
    provider.behave = lambda _: 429
    with pytest.raises(ModelUnavailable):
        await toll.charged().ainvoke("hello")
    assert len(provider.requests) == 4


async def test_a_retry_is_refused_when_it_does_not_fit(toll: Gate, provider: Provider) -> None:
    provider.behave = lambda _: 500
    with pytest.raises(LimitReached):
        await toll.charged(model_calls=2).ainvoke("hello")
    assert len(provider.requests) == 2


async def test_a_timeout_is_charged_at_the_worst(toll: Gate, provider: Provider) -> None:
    provider.behave = lambda _: "hang"
    with pytest.raises(LimitReached, match="1 of 1 model calls"):
        await toll.charged(call_timeout_s=1, model_calls=1).ainvoke("hello")
    told = [(each["type"], each.get("charged")) for each in toll.events]
    assert told == [("model_call", None), ("model_failed", True)]
    await agrees(toll, provider)


async def test_a_job_that_runs_out_of_time_says_nothing_against_the_provider(toll: Gate, provider: Provider) -> None:
    provider.behave = lambda number: "hang" if number < 6 else "answer"
    for _ in range(6):
        hurried = dataclasses.replace(account(), deadline_at=datetime.now(UTC) + timedelta(seconds=0.2))
        with pytest.raises(LimitReached) as refused:
            await toll.model.charged_to(hurried, toll.events.append).ainvoke("hello")
        assert refused.value.reason is StopReason.DEADLINE
    assert (await toll.charged().ainvoke("hello")).content == "fine"
    assert len(provider.requests) == 7
    await agrees(toll, provider)


async def test_a_caller_who_allows_less_time_says_nothing_against_the_provider(toll: Gate, provider: Provider) -> None:
    provider.behave = lambda number: "hang" if number < 6 else "answer"
    hurried = [toll.charged(job=f"job-{each}", call_timeout_s=1, model_calls=1).ainvoke("hello") for each in range(6)]
    assert {type(each) for each in await asyncio.gather(*hurried, return_exceptions=True)} == {LimitReached}
    assert (await toll.charged(model_calls=9).ainvoke("hello")).content == "fine"


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_cancelled_call_is_charged_at_the_worst(toll: Gate, provider: Provider, streaming: bool) -> None:
    provider.behave = lambda _: "hang"
    model = toll.charged()
    call = asyncio.create_task(_streamed(model) if streaming else model.ainvoke("hello"))
    await asyncio.to_thread(provider.asked.wait)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await agrees(toll, provider)


async def test_a_stream_that_its_reader_leaves_is_settled(toll: Gate, provider: Provider) -> None:
    provider.behave = lambda _: "worst"
    stream = toll.charged().astream("hello")
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    await agrees(toll, provider)


async def test_a_sibling_s_failure_leaves_no_reservation(toll: Gate, provider: Provider) -> None:
    provider.behave = lambda number: "hang" if number == 0 else "answer"
    model = toll.charged()

    async def fails() -> None:
        await asyncio.to_thread(provider.asked.wait)
        raise RuntimeError("sibling")

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(model.ainvoke("hello"))
            group.create_task(fails())

    with pytest.raises(ExceptionGroup):
        await both()
    await agrees(toll, provider)


async def test_a_provider_that_is_not_there_costs_nothing(redis_client: Redis) -> None:
    async with gate(Provider(url="http://127.0.0.1:9/v1"), redis_client) as toll:
        with pytest.raises(ModelUnavailable, match="connection"):
            await toll.charged().ainvoke("hello")
        spend = await toll.ledger.spend(JOB)
    assert (spend.micro_usd, spend.reserved_micro_usd) == (0, 0)
    assert 1 < spend.model_calls <= 5, "it is tried again until its breaker opens"


async def test_a_model_on_nobody_s_account_makes_no_call(toll: Gate, provider: Provider) -> None:
    with pytest.raises(Unaccounted, match="charged_to"):
        await toll.model.ainvoke("hello")
    with pytest.raises(Unaccounted):
        await _streamed(toll.model)
    assert provider.requests == []


async def test_no_ledger_no_call(provider: Provider) -> None:
    async with gate(provider, Redis(port=9, retry=Retry(NoBackoff(), 0))) as toll:
        with pytest.raises(LedgerUnavailable):
            await toll.charged().ainvoke("hello")
    assert provider.requests == []


async def test_a_synchronous_call_on_the_loop_is_refused_instead_of_blocking_it(toll: Gate, provider: Provider) -> None:
    with pytest.raises(Unaccounted, match="use ainvoke"):
        toll.charged().invoke("hello")
    assert provider.requests == []


async def test_a_request_that_is_too_large_is_refused(toll: Gate, provider: Provider) -> None:
    with pytest.raises(LimitReached) as refused:
        await toll.charged(request_tokens=2000).ainvoke("x" * 2000)
    assert (refused.value.reason, refused.value.scope) == (StopReason.REQUEST_SIZE, "request")
    assert provider.requests == []


async def test_a_picture_is_refused_because_its_price_does_not_show(toll: Gate, provider: Provider) -> None:
    picture: Any = [{"type": "image_url", "image_url": {"url": "https://example.org/large.png"}}]
    with pytest.raises(Unaccounted, match="besides text and functions"):
        await toll.charged().ainvoke([HumanMessage(content=picture)])
    assert provider.requests == []


async def test_nobody_can_ask_for_a_longer_answer_than_is_allowed(toll: Gate, provider: Provider) -> None:
    model = toll.charged(answer_tokens=100)
    await model.ainvoke("hello", max_tokens=5000)
    await model.ainvoke("hello", max_completion_tokens=5000)
    await model.ainvoke("hello", max_tokens=50)
    assert [each["max_tokens"] for each in provider.requests] == [100, 100, 50]


async def test_after_the_deadline_nothing_is_called(toll: Gate, provider: Provider) -> None:
    late = account()
    model = toll.model.charged_to(
        type(late)(late.job_id, late.tenant, late.agent, late.limits, late.deadline_at.replace(year=2020)), print
    )
    with pytest.raises(LimitReached) as refused:
        await model.ainvoke("hello")
    assert refused.value.reason is StopReason.DEADLINE
    assert provider.requests == []


async def test_cached_tokens_are_counted_and_cheaper(toll: Gate, provider: Provider) -> None:
    provider.input_tokens, provider.cached_tokens = 3000, 2048
    await toll.charged().ainvoke("hello")
    spend = await toll.ledger.spend(JOB)
    assert (spend.input_tokens, spend.cached_tokens, spend.output_tokens) == (3000, 2048, 40)
    assert (spend.micro_usd, spend.saved_micro_usd) == (370, 830 - 370)  # 2,048 at $0.025 per million, not at $0.25
    used = (await toll.ledger.parts(utc_now().date())).of(MODEL)
    assert used == {
        "gpt-5-mini": ItemSpend(
            micro_usd=370, input_tokens=3000, cached_tokens=2048, output_tokens=40, saved_micro_usd=460
        )
    }
    await agrees(toll, provider)


async def test_an_open_breaker_spares_the_provider_and_asks_the_fallback(
    provider: Provider, redis_client: Redis
) -> None:
    provider.behave = lambda _: 503
    with billing(Provider(content="from the other one")) as other:
        settings: Any = {"fallback_model": "gpt-5-mini", "fallback_base_url": other.url}
        async with gate(provider, redis_client, **settings) as toll:
            answer = await toll.charged().ainvoke("hello")
            asked = len(provider.requests)
            await toll.charged().ainvoke("hello")
            spend = await toll.ledger.spend(JOB)
    assert answer.content == "from the other one"
    assert len(provider.requests) == asked == 5
    assert spend.micro_usd == other.billed_micro_usd


async def test_an_open_breaker_spares_the_provider_whoever_waits_for_it(toll: Gate, provider: Provider) -> None:
    provider.behave = lambda _: 503
    for _ in range(3):
        with pytest.raises(ModelUnavailable):
            await toll.charged().ainvoke("hello")
    assert len(provider.requests) == 5


@pytest.mark.parametrize(("outage_s", "probes"), [(0.1, 1), (1.5, 5)])
async def test_an_outage_is_waited_for_and_one_probe_at_a_time_ends_the_wait_of_all(
    provider: Provider, redis_client: Redis, outage_s: float, probes: int
) -> None:
    over = time.monotonic() + outage_s
    provider.behave = lambda _: 503 if time.monotonic() < over else "answer"
    async with gate(provider, redis_client) as toll:
        patient = dataclasses.replace(toll.model.toll, breaker=Breaker(redis_client, "impatient", open_s=0.3))
        toll.model = toll.model.model_copy(update={"toll": patient})
        answers = await asyncio.gather(*(toll.charged(outage_s=90).ainvoke("hello") for _ in range(10)))
        spend = await toll.ledger.spend(JOB)
    assert [each.content for each in answers] == ["fine"] * 10
    assert spend.model_calls == len(provider.requests) <= 2 * 10 + probes + 10, (
        "two tries each before it opens, then probes"
    )
    assert spend.micro_usd == provider.billed_micro_usd


async def test_a_wait_that_the_job_has_no_time_for_is_told_as_such(toll: Gate, provider: Provider) -> None:
    provider.behave = lambda _: 429
    provider.retry_after = "7200"
    with pytest.raises(ModelUnavailable, match=r"asks to wait 7,200 s; the job has 3,\d\d\d s left"):
        await toll.charged().ainvoke("hello")
    assert len(provider.requests) == 1


async def test_a_plain_thread_pays_too(toll: Gate, provider: Provider) -> None:
    """Not asyncio's: no context, no config, no callbacks."""
    model = toll.charged()
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(model.invoke("hello")))
    thread.start()
    await asyncio.to_thread(thread.join)
    assert answers[0].content == "fine"
    await agrees(toll, provider)


async def test_a_dead_worker_s_reservation_is_charged_when_it_expires(
    toll: Gate, provider: Provider, redis_client: Redis
) -> None:
    await toll.ledger.reserve("of a dead worker", account(), 500, expires_in_s=-1)
    await toll.charged().ainvoke("hello")
    spend = await toll.ledger.spend(JOB)
    assert (spend.reserved_micro_usd, spend.micro_usd) == (0, provider.billed_micro_usd + 500)
    assert spend.estimated_micro_usd == 500
    assert isinstance(toll.ledger, Ledger)


class Asked(TypedDict):
    answer: str


async def test_a_node_that_an_interrupt_runs_again_pays_again(toll: Gate, provider: Provider) -> None:
    model = toll.charged()

    async def asks(state: Asked) -> Asked:
        await model.ainvoke("hello")
        return {"answer": interrupt("go on?")}

    graph = StateGraph(Asked).add_node("asks", asks).add_edge(START, "asks").compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke({"answer": ""}, config)
    await graph.ainvoke(Command(resume="yes"), config)
    assert len(provider.requests) == 2
    await agrees(toll, provider)


WORKER = """
import asyncio, sys
from redis.asyncio import Redis
from tests.billing_provider import Provider
from tests.graphs.gates import gate

async def main():
    async with gate(Provider(url=sys.argv[1]), Redis.from_url(sys.argv[2])) as toll:
        await asyncio.gather(*(toll.charged().ainvoke("hello") for _ in range(3)))

asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_killed_worker_s_calls_are_charged_as_the_provider_charges_them(
    toll: Gate, provider: Provider, redis_client: Redis, redis_url: str
) -> None:
    provider.behave = lambda number: "answer" if number == 0 else "hang"
    command = [sys.executable, "-c", WORKER, provider.url, redis_url]
    process = await asyncio.create_subprocess_exec(*command, cwd=Path(__file__).parents[3])
    while len(provider.requests) < 3 or not (await toll.ledger.spend(JOB)).output_tokens:
        assert process.returncode is None
    process.kill()
    await process.wait()
    held = await toll.ledger.spend(JOB)
    assert held.reserved_micro_usd == sum(provider.invoice[1:])
    later = Ledger(redis_client, ttl_seconds=600, now=lambda: datetime.now(UTC) + timedelta(minutes=5))
    assert await later.reap() == 2
    await agrees(toll, provider)


@pytest.mark.parametrize("answer", [429, 400, "cut_short", "broken_json", "no money"])
async def test_a_probe_that_says_nothing_against_the_provider_leaves_nobody_out(
    toll: Gate, provider: Provider, answer: Any
) -> None:
    later = datetime.now(UTC) + timedelta(seconds=30)
    provider.behave = lambda _: 503
    for _ in range(2):
        with pytest.raises(ModelUnavailable):
            await toll.charged().ainvoke("hello")
    toll.model.toll.breaker._now = lambda: later
    number = len(provider.requests)
    provider.behave = lambda at: answer if at == number and answer != "no money" else "answer"
    with contextlib.suppress(UnusableAnswer, ModelRefused, LimitReached):
        model = toll.charged(budget_micro_usd=1) if answer == "no money" else toll.charged()
        await model.with_structured_output(Colour, method="json_schema").ainvoke("hello")
    assert (await toll.charged().ainvoke("hello")).content == "fine"


async def test_a_failing_fallback_has_a_breaker_of_its_own(provider: Provider, redis_client: Redis) -> None:
    provider.behave = lambda _: 503
    with billing(Provider(behave=lambda _: 503)) as other:
        settings: Any = {"fallback_model": "gpt-5-mini", "fallback_base_url": other.url}
        async with gate(provider, redis_client, **settings) as toll:
            for _ in range(6):
                with pytest.raises(ModelUnavailable):
                    await toll.charged().ainvoke("hello")
    assert (len(provider.requests), len(other.requests)) == (5, 5)


async def test_what_was_never_sent_is_not_charged(toll: Gate, provider: Provider) -> None:
    model = toll.charged()
    assert model.http_async_client is not None
    model.http_async_client.event_hooks["request"].insert(0, _refuse)
    with pytest.raises(RuntimeError, match="stopped on the way"):
        await model.ainvoke("hello")
    assert provider.requests == []
    await agrees(toll, provider)


async def _refuse(_: Any) -> None:
    raise RuntimeError("stopped on the way")


async def test_usage_beyond_reason_is_charged_as_reserved(toll: Gate, provider: Provider) -> None:
    provider.output_tokens = 10**16
    await toll.charged().ainvoke("hello")
    spend = await toll.ledger.spend(JOB)
    assert spend.reserved_micro_usd == 0
    assert 0 < spend.micro_usd == spend.estimated_micro_usd < 10_000

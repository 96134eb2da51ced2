"""What is learned of one model's calls bounds its next ones, and shrinks to what money is left."""

import copy
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from graphs.errors import AnswerCut, LimitReached
from graphs.spending.sizes import MARGIN, MARK, SLACK, Sizes, items_of
from graphs.stop_reasons import StopReason
from tests.billing_provider import Provider
from tests.graphs.gates import JOB, Gate

Json = dict[str, Any]
WORDS = st.text('aé漢 19{}",', min_size=1, max_size=60)
STEPS = st.lists(st.tuples(st.sampled_from(["say", "say", "forget", "no tools", "anew", "die"]), WORDS), max_size=12)
PROMPT = {"role": "system", "content": "You are an agent."}
TOOLS = [{"type": "function", "function": {"name": f"tool_{each}", "parameters": {}}} for each in range(3)]


def _tokens(payload: Json, dense: int) -> int:
    """By a tokenizer that needs at most a token per byte of an item, most often fewer, and some around them."""
    items = [*payload["messages"], *payload.get("tools", ())]
    return 40 + sum(-(-len(json.dumps(each, ensure_ascii=False).encode()) // dense) for each in items)


def _after(payload: Json, step: str, words: str) -> Json:
    messages, tools = payload["messages"], payload["tools"]
    match step:
        case "say":
            messages = [*messages, {"role": "user", "content": words}]
        case "forget":
            messages = [messages[0], *({**each, "content": "[cleared]"} for each in messages[1:-1]), *messages[1:][-1:]]
        case "no tools":
            tools = tools[:1]
        case "anew":
            messages, tools = [PROMPT, {"role": "user", "content": words}], TOOLS
    return {**payload, "messages": messages, "tools": tools}


def _answer(mark: Json | None) -> AIMessage:
    return AIMessage("", response_metadata={MARK: mark})


@given(STEPS, st.integers(1, 8))
def test_no_request_has_more_tokens_than_its_bound(steps: list[tuple[str, str]], dense: int) -> None:
    sizes, payload, answers = Sizes(), {"model": "m", "messages": [PROMPT], "tools": TOOLS}, list[AIMessage]()
    for step, words in steps:
        payload = _after(payload, step, words)
        if step == "die":  # another process continues, with the answers so far
            sizes = Sizes()
        items = items_of(payload, "max_tokens", 8192)
        tokens, bound = _tokens(payload, dense), sizes.bound(items, answers)
        assert tokens <= bound <= items.total + MARGIN
        answers.append(_answer(sizes.learn(items, bound, "agent", tokens, 10)))
        assert sizes.bound(items) <= min(bound, tokens + SLACK)


def test_what_an_earlier_request_had_is_not_counted_by_its_bytes_again() -> None:
    sizes, said = Sizes(), {"role": "user", "content": "x" * 8000}
    before = items_of({"model": "m", "messages": [PROMPT, said]}, "max_tokens", 8192)
    sizes.learn(before, sizes.bound(before), "agent", 2000, 10)
    after = items_of(
        {"model": "m", "messages": [PROMPT, said, {"role": "user", "content": "y" * 100}]}, "max_tokens", 1
    )
    twice = items_of({"model": "m", "messages": [PROMPT, said, said]}, "max_tokens", 8192)
    assert sizes.bound(after) < 2000 + 200 + SLACK
    assert sizes.bound(twice) > 2000 + 8000


@pytest.mark.parametrize(
    ("changed", "knows"),
    [
        ({}, True),
        ({"tools": []}, True),
        ({"tools": TOOLS[:1]}, True),
        ({"messages": [PROMPT, {"role": "user", "content": "y" * 8000}]}, False),
        ({"messages": [PROMPT]}, False),
        ({"model": "another"}, False),
    ],
    ids=["continued", "without tools", "other tools", "another conversation", "a shorter one", "another model"],
)
def test_another_process_goes_by_the_mark_of_the_last_answer(changed: Json, *, knows: bool) -> None:
    sizes, said = Sizes(), {"role": "user", "content": "x" * 8000}
    request = {"model": "m", "messages": [PROMPT, said], "tools": TOOLS}
    items = items_of(request, "max_tokens", 8192)
    answer = _answer(sizes.learn(items, sizes.bound(items), "agent", 2000, 10))
    after = {**request, **changed}
    after["messages"] = [*after["messages"], {"role": "user", "content": "and then?"}]
    items = items_of(after, "max_tokens", 8192)
    assert Sizes().bound(items, [answer]) == pytest.approx(2100 if knows else items.total + MARGIN, abs=100)


@pytest.mark.parametrize("tokens", [10, 50_000])
def test_counts_that_cannot_be_whole_or_exceed_their_bound_are_not_relied_on(
    tokens: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A provider that leaves cached tokens out of its count, or counts more than there was."""
    sizes, said = Sizes(), {"role": "user", "content": "x" * 8000}
    items = items_of({"model": "m", "messages": [PROMPT, said]}, "max_tokens", 8192)
    with caplog.at_level(logging.WARNING):
        sizes.learn(items, sizes.bound(items), "agent", tokens, 10)
    assert sizes.bound(items) == items.total + MARGIN
    assert ("was billed as 50000" in caplog.text) is (tokens == 50_000)


async def test_a_model_of_another_process_continues_by_the_mark(toll: Gate, provider: Provider) -> None:
    """It reserves what the one that began the conversation would, not what its bytes may be."""
    provider.input_tokens = 2000
    reserved, said = list[int](), [HumanMessage("x" * 8000)]
    answer = await toll.charged().ainvoke(said)
    for sizes in (toll.model.sizes, Sizes()):
        for history in ([*said, answer], [*said, AIMessage(answer.content)]):
            before = (await toll.ledger.spend(JOB)).secured_micro_usd
            model = toll.charged().model_copy(update={"sizes": copy.deepcopy(sizes)})
            await model.ainvoke([*history, HumanMessage("and then?")])
            reserved.append((await toll.ledger.spend(JOB)).secured_micro_usd - before)
    ours, _, theirs, unmarked = reserved
    assert ours <= theirs < ours + 20 < unmarked


async def test_the_rest_of_a_budget_pays_for_shorter_answers_down_to_the_floor(toll: Gate, provider: Provider) -> None:
    provider.output_tokens, provider.input_tokens = 500, 150
    model = toll.charged(budget_micro_usd=6_500, answer_tokens=2000)

    async def until_refused() -> None:
        while True:
            await model.ainvoke("hello")

    with pytest.raises(LimitReached) as refused:
        await until_refused()
    asked = [request["max_tokens"] for request in provider.requests]
    assert refused.value.reason is StopReason.BUDGET
    assert asked[:3] == [1024] * 3
    assert 512 <= asked[-1] < 1024
    assert 6_500 - 1_250 < provider.billed_micro_usd <= 6_500


async def test_an_answer_that_was_cut_below_its_limit_is_asked_for_with_all_of_it(
    toll: Gate, provider: Provider
) -> None:
    provider.behave = lambda number: "cut_short" if number == 0 else "answer"
    assert (await toll.charged(answer_tokens=4000).ainvoke("hello")).content == "fine"
    assert [request["max_tokens"] for request in provider.requests] == [1024, 4000]


async def test_an_answer_that_money_cut_is_a_budget_reached_and_not_a_long_answer(
    toll: Gate, provider: Provider
) -> None:
    provider.behave = lambda _: "cut_short"
    with pytest.raises(LimitReached) as refused:
        await toll.charged(answer_tokens=4000, budget_micro_usd=7_000).ainvoke("hello")
    assert refused.value.reason is StopReason.BUDGET
    with pytest.raises(AnswerCut):
        await toll.charged(job="rich", answer_tokens=4000).ainvoke("hello")
    assert (await toll.ledger.spend(JOB)).micro_usd <= 7_000

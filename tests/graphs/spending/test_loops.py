"""The loop guard: no loop gets through in any wording, and no honest sequence is called a loop."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.spending.limits import Limits
from graphs.spending.loops import ToolCallRecord, in_handoffs, in_tool_calls
from graphs.state import HandoffRecord
from graphs.stop_reasons import StopReason

DEFAULTS = Limits()
MARKET = "Find what published sources say about this: {}"
SALES = "Answer from the company's own sales data: {}"
CLARIFICATIONS = [
    ("researcher", "Clarify which market the question means before the figures are given"),
    ("sales", "Please say which market is meant before figures are given"),
    ("researcher", "Before the figures are given, clarify again which market is meant"),
    ("sales", "Say once more which market you mean, then figures are given"),
    ("researcher", "Clarify please: which market does the question mean, before giving the figures?"),
]
REWORDED_SQL = [
    "SELECT country, sum(revenue) FROM sales GROUP BY country",
    "SELECT country, sum(revenues) FROM sales GROUP BY country",
    "SELECT sales.country, sum(revenue) FROM sales GROUP BY country",
    "SELECT country, sum(revenue_euro) FROM sales GROUP BY sales.country",
]


def handed(*asked: tuple[str, str, int]) -> list[HandoffRecord]:
    """Hand-offs of agent, objective and how much came of it, each a task of its own."""
    return [
        HandoffRecord(task=f"T{number}", agent=agent, objective=objective, fresh=fresh)
        for number, (agent, objective, fresh) in enumerate(asked, start=1)
    ]


def called(*calls: tuple[str, dict[str, Any], str | None]) -> list[ToolCallRecord]:
    return [ToolCallRecord(tool=tool, arguments=arguments, digest=digest) for tool, arguments, digest in calls]


def reason(handoffs: Sequence[HandoffRecord], limits: Limits = DEFAULTS) -> StopReason | None:
    loop = in_handoffs(handoffs, limits)
    return loop and loop.reason


def call_reason(calls: Sequence[ToolCallRecord], limits: Limits = DEFAULTS) -> StopReason | None:
    loop = in_tool_calls(calls, limits)
    return loop and loop.reason


AGENTS = st.sampled_from(["researcher", "sales", "analyst"])
FRESH = st.integers(0, 3)
WORDS = st.text() | st.sampled_from([objective for _, objective in CLARIFICATIONS])
HANDOFFS = st.lists(
    st.builds(
        HandoffRecord, task=st.sampled_from(["T1", "T2", "T3", "T4"]), agent=AGENTS, objective=WORDS, fresh=FRESH
    ),
    max_size=12,
)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
ARGUMENTS = st.dictionaries(st.text(max_size=5), LEAVES | st.lists(LEAVES, max_size=3), max_size=3)
CALLS = st.lists(
    st.builds(
        ToolCallRecord,
        tool=st.sampled_from(["sales__query", "analytics__growth"]),
        arguments=ARGUMENTS | st.just({"sql": REWORDED_SQL[0]}),
        digest=st.none() | st.sampled_from("abcd"),
    ),
    max_size=12,
)
LIMITS = st.builds(Limits, repeats=st.integers(2, 5), idle_handoffs=st.integers(2, 8))


@given(st.lists(st.tuples(st.sampled_from(["researcher", "sales"]), WORDS), min_size=5, max_size=8), st.booleans())
def test_hand_offs_between_two_agents_that_bring_nothing_end_in_any_wording(
    asked: list[tuple[str, str]], new_tasks: bool
) -> None:
    handoffs = handed(*((agent, objective, 0) for agent, objective in asked))
    if not new_tasks:
        handoffs = [HandoffRecord(**{**each, "task": "T1"}) for each in handoffs]
    assert in_handoffs(handoffs[:5], DEFAULTS) is not None


@given(st.lists(st.tuples(AGENTS, WORDS, st.integers(1, 9)), max_size=16), LIMITS)
def test_hand_offs_of_which_each_brings_something_are_no_loop(
    asked: list[tuple[str, str, int]], limits: Limits
) -> None:
    assert in_handoffs(handed(*asked), limits) is None


@given(HANDOFFS, LIMITS)
def test_a_loop_of_hand_offs_stays_one_however_it_goes_on(handoffs: list[HandoffRecord], limits: Limits) -> None:
    found = [in_handoffs(beginning, limits) for beginning in accumulate(([each] for each in handoffs), initial=[])]
    first = next((loop for loop in found if loop), None)
    at = found.index(first)
    assert found[at:] == [first] * (len(found) - at)


@given(HANDOFFS, LIMITS)
def test_the_limits_say_how_many_idle_hand_offs_there_may_be(handoffs: list[HandoffRecord], limits: Limits) -> None:
    idle = [HandoffRecord(**{**each, "fresh": 0}) for each in handoffs]
    assert (in_handoffs(idle, limits) is not None) or len(idle) < limits.idle_handoffs
    assert in_handoffs(idle[: min(limits.repeats, limits.idle_handoffs, 4) - 1], limits) is None


def test_the_same_objective_again_is_identical_whatever_its_case_and_punctuation() -> None:
    asked = ["Find the growth of revenue.", "find the  growth of revenue", "FIND THE GROWTH OF REVENUE!"]
    assert reason(handed(*(("sales", each, 0) for each in asked))) is StopReason.LOOP_IDENTICAL
    assert reason(handed(*(("sales", each, 0) for each in asked[:2]))) is None


def test_what_brought_something_in_between_does_not_hide_a_repetition() -> None:
    again = ("sales", "Find the growth of revenue", 0)
    other = ("researcher", "Find the number of charging points", 4)
    assert reason(handed(again, other, again, other, again)) is StopReason.LOOP_IDENTICAL


def test_asking_again_is_fine_while_it_brings_something() -> None:
    assert reason(handed(*[("sales", "Find the growth of revenue", 1)] * 6)) is None


def test_a_reworded_request_to_one_agent_is_named_so() -> None:
    asked = [(agent, objective, 0) for agent, objective in CLARIFICATIONS if agent == "researcher"]
    assert reason(handed(*asked)) is StopReason.LOOP_REWORDED


def test_two_agents_that_ask_each_other_are_named_so() -> None:
    loop = in_handoffs(handed(*((agent, objective, 0) for agent, objective in CLARIFICATIONS)), DEFAULTS)
    assert loop is not None
    assert loop.reason is StopReason.LOOP_PING_PONG
    assert "researcher and sales" in loop.detail


def test_ever_new_words_that_bring_nothing_are_no_progress() -> None:
    asked = ["Alpha beta", "Gamma delta", "Epsilon zeta", "Eta theta", "Iota kappa"]
    assert reason(handed(*(("sales", each, 0) for each in asked))) is StopReason.LOOP_NO_PROGRESS
    assert reason(handed(*(("sales", each, 0) for each in asked[:4]))) is None


def test_a_task_that_verification_sent_back_is_not_asked_twice() -> None:
    first = handed(("researcher", "Find the points of Germany", 0), ("sales", "Find revenue", 0))
    assert reason([*first, *first]) is None
    assert reason([*first[:1] * 4]) is None


def test_second_attempts_are_no_ping_pong() -> None:
    first = handed(("researcher", "Find the points of Germany", 0), ("sales", "Find revenue", 0), ("analyst", "Add", 2))
    then = handed(*[("sales", "Pad", 0)] * 3, ("researcher", "Read about prices", 0), ("sales", "Count returns", 0))[3:]
    assert reason([*first, *first[:2], *then]) is None


def test_second_attempts_at_what_brought_something_are_not_idle() -> None:
    fruitful = handed(
        *(("sales", f"Find the revenue of {each}", 3) for each in ("one", "two", "three", "four", "five"))
    )
    again = [HandoffRecord(**{**each, "fresh": 0}) for each in fruitful]
    assert reason([*fruitful, *again]) is None
    assert reason([*fruitful, *again, *again]) is StopReason.LOOP_NO_PROGRESS


@pytest.mark.parametrize("differing", [["Japan", "Korea", "Brazil"], ["in 2029", "in 2030", "in 2031"]])
def test_one_question_about_several_things_that_are_not_there_is_no_rewording(differing: list[str]) -> None:
    asked = [SALES.format(f"What was the revenue {each}") for each in differing]
    assert reason(handed(*(("sales", each, 0) for each in asked))) is None


def test_one_question_about_each_country_is_honest_work() -> None:
    countries = ["Germany", "France", "Italy", "Spain", "Norway", "Sweden", "the Netherlands", "the United Kingdom"]
    asked = [(agent, form.format(each), 2) for each in countries for agent, form in PAIR]
    assert reason(handed(*asked)) is None


PAIR = [("researcher", MARKET), ("sales", SALES)]

# What the agents did for the questions of the demo and the tests, and what came of it.
HONEST_JOBS = {
    "market": [("researcher", MARKET.format("How many public charging points does Germany have"), 6)],
    "sales": [
        ("sales", SALES.format("How did Acme's revenue in Germany develop from 2023 to 2025."), 5),
        ("analyst", "Compute on the tables of T1: the growth from period to period. What it is for: revenue", 3),
    ],
    "both": [
        ("researcher", MARKET.format("the French electric car market."), 9),
        ("sales", SALES.format("Compare Acme's revenue growth in France; forecast 2026 revenue there."), 8),
        ("analyst", "Compute on the tables of T2: the growth from period to period, a forecast, a comparison.", 7),
    ],
    "unanswerable": [("sales", SALES.format("What was Acme's revenue in Japan in 2024."), 1)],
    "unanswerable, asked elsewhere": [
        ("sales", SALES.format("What was Acme's revenue in Japan in 2024."), 1),
        ("researcher", MARKET.format("revenue of Acme in Japan in 2024"), 0),
        ("sales", SALES.format("List the countries that Acme sells in."), 0),
    ],
    "many countries": [
        ("researcher", MARKET.format("electric car registrations in Germany, France, Italy and Spain in 2024."), 7),
        ("sales", SALES.format("Compare revenue in Germany, France, Italy and Spain in 2024."), 4),
        ("analyst", "Compute on the tables of T2: the share of each country.", 2),
        ("researcher", MARKET.format("electric car registrations in Spain in 2024."), 0),
        ("researcher", MARKET.format("electric car sales in Spain, any year."), 0),
    ],
    "servers down": [("researcher", MARKET.format("the market."), 0), ("sales", SALES.format("the revenue."), 0)],
    "sent back": [
        ("researcher", MARKET.format("home charging subsidies."), 4),
        ("researcher", MARKET.format("battery pack prices."), 3),
        ("researcher", MARKET.format("wallbox prices in Germany."), 2),
        ("sales", SALES.format("Who are the top customers in the Netherlands."), 3),
    ],
    "two rounds of trouble": [
        ("sales", SALES.format("Which products are returned most."), 0),
        ("sales", SALES.format("Return rate of each product, from the tables returns and sales."), 4),
        ("analyst", "Compute on the tables of T2: the share of each product.", 0),
        ("analyst", "Draw the return rates of T2 as bars.", 1),
    ],
    "targets": [
        ("sales", SALES.format("Did we hit our targets in Italy in 2025."), 3),
        ("sales", SALES.format("Did we hit our targets in Spain in 2025."), 3),
        ("sales", SALES.format("Did we hit our targets in Norway in 2025."), 3),
        ("analyst", "Compute on the tables of T1: the growth from period to period.", 2),
    ],
}


@pytest.mark.parametrize("name", HONEST_JOBS)
def test_honest_jobs_are_no_loops(name: str) -> None:
    handoffs = handed(*HONEST_JOBS[name])
    assert in_handoffs(handoffs, DEFAULTS) is None
    # Verification may send every task back once, and the second attempts may all bring nothing.
    sent_back = [HandoffRecord(**{**each, "fresh": 0}) for each in handoffs if each["fresh"]]
    assert in_handoffs([*handoffs, *sent_back], DEFAULTS) is None


@given(CALLS, LIMITS)
def test_a_loop_of_calls_stays_one_however_it_goes_on(calls: list[ToolCallRecord], limits: Limits) -> None:
    found = [in_tool_calls(beginning, limits) for beginning in accumulate(([each] for each in calls), initial=[])]
    first = next((loop for loop in found if loop), None)
    at = found.index(first)
    assert found[at:] == [first] * (len(found) - at)


@given(st.lists(st.tuples(st.sampled_from(["sales__query", "sales__revenue_by"]), ARGUMENTS), max_size=16), LIMITS)
def test_calls_of_which_each_gives_something_new_are_no_loop(
    calls: list[tuple[str, dict[str, Any]]], limits: Limits
) -> None:
    fruitful = [(tool, arguments, str(number)) for number, (tool, arguments) in enumerate(calls)]
    assert in_tool_calls(called(*fruitful), limits) is None


@given(st.lists(st.tuples(st.sampled_from(["sales__query", "analytics__growth"]), ARGUMENTS), min_size=5, max_size=9))
def test_calls_that_only_fail_end_whatever_they_are(calls: list[tuple[str, dict[str, Any]]]) -> None:
    assert in_tool_calls(called(*((*each, None) for each in calls)), DEFAULTS) is not None


def test_the_same_call_for_the_third_time_is_identical_in_any_order_of_its_arguments() -> None:
    one: dict[str, Any] = {"dimensions": ["year"], "period": "2024"}
    turned = dict(reversed(one.items()))
    assert call_reason(called(*[("sales__revenue_by", each, "a") for each in (one, turned, one)])) is (
        StopReason.LOOP_IDENTICAL
    )
    assert call_reason(called(*[("sales__revenue_by", each, "a") for each in (one, turned)])) is None


def test_the_same_call_is_fine_while_its_answer_changes() -> None:
    assert call_reason(called(*[("jobs__status", {"id": 1}, str(number)) for number in range(9)])) is None


def test_reworded_calls_without_anything_new_are_named_so() -> None:
    calls = called(*[("sales__query", {"sql": sql}, None) for sql in REWORDED_SQL])
    assert call_reason(calls) is StopReason.LOOP_REWORDED
    assert call_reason(calls[:3]) is None


def test_a_statement_may_be_mended_twice() -> None:
    failed = [("sales__query", {"sql": sql}, None) for sql in REWORDED_SQL[:3]]
    assert call_reason(called(*failed, ("sales__query", {"sql": "SELECT 1"}, "a"), *failed[:1])) is None


def test_failures_between_successes_are_no_loop() -> None:
    words = ["one", "two", "three", "four", "five", "six"]
    pairs = [[("search", {"query": each}, None), ("read", {"id": each}, each)] for each in words]
    assert call_reason(called(*(call for pair in pairs for call in pair))) is None


def test_a_tool_that_gives_the_same_to_any_arguments_brings_no_progress() -> None:
    calls = called(
        *[("library__search", {"query": word}, "a") for word in ("one", "two", "three", "four", "five", "six")]
    )
    assert call_reason(calls) is StopReason.LOOP_NO_PROGRESS
    assert call_reason(calls[:5]) is None


GERMANY = {"series": {"evidence_id": "E2", "label_column": "year", "value_column": "revenue_eur"}}
HONEST_TASKS: dict[str, list[tuple[str, dict[str, Any], str | None]]] = {
    "researcher": [
        ("search", {"query": "compare revenue electric car registrations Germany 2024", "limit": 8}, "a"),
        ("search", {"query": "compare revenue electric car registrations Italy 2024", "limit": 8}, "b"),
        ("search", {"query": "compare revenue electric car registrations France 2024", "limit": 8}, "b"),
        ("read_document", {"id": "germany-electric-car-registrations"}, "c"),
        ("read_document", {"id": "italy-electric-cars-and-charging"}, "d"),
        ("read_document", {"id": "france-electric-car-registrations"}, "e"),
    ],
    "sales": [
        ("describe_schema", {}, "a"),
        ("revenue_by", {"dimensions": ["country", "year"], "filters": {"country": ["France"]}}, "b"),
        ("revenue_by", {"dimensions": ["country", "month"], "filters": {"country": ["France"]}}, "c"),
    ],
    "analyst": [
        ("growth", GERMANY, "a"),
        ("forecast", {**GERMANY, "horizon": 12}, "b"),
        ("chart", {**GERMANY, "kind": "line", "title": "Forecast of revenue"}, "c"),
    ],
    "reads the schema again": [("describe_schema", {}, "a"), ("query", {"sql": "SELECT 1"}, "b")] * 2,
    "asks for what is not there": [
        ("describe_schema", {}, "a"),
        *(
            ("revenue_by", {"dimensions": [], "filters": {"country": [each]}}, None)
            for each in ("Japan", "Korea", "Peru")
        ),
        ("revenue_by", {"dimensions": [], "filters": {"country": ["Brazil"]}}, None),
    ],
    "mends its statement, twice": [
        ("query", {"sql": REWORDED_SQL[0]}, None),
        ("query", {"sql": REWORDED_SQL[1]}, None),
        ("describe_schema", {}, "a"),
        ("query", {"sql": REWORDED_SQL[2]}, None),
        ("query", {"sql": REWORDED_SQL[3]}, "b"),
    ],
}


@pytest.mark.parametrize("name", HONEST_TASKS)
def test_honest_tasks_are_no_loops(name: str) -> None:
    assert in_tool_calls(called(*HONEST_TASKS[name]), DEFAULTS) is None

"""Where tokens are said to go, and when one agent is said to be enough."""

from typing import Any

import pytest

from evals.evaluators import Score
from evals.scoreboard import Answer, Results
from evals.tokens import (
    HANDOFFS,
    RESULTS,
    SCHEMAS,
    SINGLE,
    SYSTEM,
    TEAM,
    TURNS,
    Spent,
    enough,
    is_asked_again,
    sizes_of,
    tables,
)

CALL = {"id": "c1", "type": "function", "function": {"name": "sales__query", "arguments": "{}"}}
REQUEST: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "s" * 100},
        {"role": "user", "content": "u" * 200},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "t" * 400, "tool_call_id": "c1"},
    ],
    "tools": [{"type": "function", "function": {"name": "sales__query", "description": "d" * 800}}],
}


def test_each_part_counts_as_what_it_is() -> None:
    sizes = sizes_of(REQUEST)
    assert list(sizes) == [SYSTEM, HANDOFFS, TURNS, RESULTS, SCHEMAS]
    assert 100 < sizes[SYSTEM] < 200 < sizes[HANDOFFS] < 400 < sizes[RESULTS] < 800 < sizes[SCHEMAS] < 1000


def test_a_result_that_was_handed_over_is_no_tool_result() -> None:
    handed = {**CALL, "function": {"name": "transfer_to_sales", "arguments": "{}"}}
    messages = [*REQUEST["messages"][:2], {**REQUEST["messages"][2], "tool_calls": [handed]}, REQUEST["messages"][3]]
    assert RESULTS not in sizes_of({**REQUEST, "messages": messages})


@pytest.mark.parametrize(
    ("told", "again"),
    [
        ("Your last answer was refused: it is no JSON.", True),
        ('{"feedback": ["the number is not in E1"]}', True),
        ('{"feedback": []}', False),
        ("What did we sell?", False),
    ],
)
def test_what_is_asked_again_is_told(told: str, again: bool) -> None:
    assert is_asked_again({"messages": [{"role": "user", "content": told}]}) == again


def results(**single: float) -> Results:
    scores = {"accuracy": 0.8, "citations": 1.0, "refusal": 1.0, "cost_micro_usd": 1000, "seconds": 2}

    def answer(changed: dict[str, float]) -> tuple[Answer, ...]:
        return (Answer("q1", "sales", "job-1", tuple(Score(*each) for each in (scores | changed).items())),)

    return {TEAM: answer({}), SINGLE: answer(single)}


SPENT = {TEAM: {"q1": Spent(read=900, written=100)}, SINGLE: {"q1": Spent(read=1900, written=100)}}


@pytest.mark.parametrize(
    ("single", "told"),
    [
        (
            {},
            "sales: one agent is enough. One agent is as good, at 1.00 of the team's cost, 2.00 of its tokens and 1.00",
        ),
        (
            {"accuracy": 0.9, "cost_micro_usd": 900},
            "one agent is enough. One agent is as good, at 0.90 of the team's cost",
        ),
        ({"cost_micro_usd": 1100}, "take the team. One agent is as good, at 1.10 of the team's cost"),
        ({"accuracy": 0.7, "cost_micro_usd": 1}, "take the team. One agent is worse in accuracy"),
    ],
)
def test_one_agent_is_enough_if_it_is_as_good_and_costs_no_more(single: dict[str, float], told: str) -> None:
    [line] = enough(results(**single), SPENT)
    assert told in line


def test_the_tables_have_the_share_of_the_last_system() -> None:
    *_, by_kind = tables(results(), SPENT)
    assert [next(iter(each.cells)) for each in by_kind.columns if each.header == "tokens"] == ["0.50"]

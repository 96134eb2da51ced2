"""What the generic policy makes of single results and names: it says no more than they do."""

import pytest

from app.stand_in.packets import AgentInfo, SupervisorPacket
from app.stand_in.policy import decide
from app.stand_in.policy.agent import _CHANGES
from app.stand_in.policy.facts import CONDITION, Asked, facts
from app.stand_in.results import Result, number
from app.stand_in.turns import Answer
from app.stand_in.wire import Call
from app.stand_in.words import mentions


def claims(question: str, said: str, tool: str = "lookup", **arguments: str) -> list[str]:
    result = Result.of(Call("it__lookup", arguments), Answer("E1", said), tool)
    return [each.claim for each in facts(Asked.of(question), result)]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("What was the revenue of Acme?", '{"name": "Acme", "employees": 50, "revenue": null}'),
        ("What did Acme sell in 2024?", "company,year,headcount\nAcme,2024,50\n"),
        ("What are the capitals of France?", "Is Lyon one of the capitals of France?"),
        ("Who was Napoleon?", "\n"),
        ("What was the revenue of Acme in 2024?", "# Acme revenue 2024\n\nSubscribe to read 3 more paragraphs."),
        ("What is the population of Niger?", "country,population\nNigeria,220000000\n"),
    ],
)
def test_what_is_no_answer_is_not_quoted(question: str, said: str) -> None:
    assert claims(question, said) == []


def test_a_cell_stands_as_it_is_with_all_that_qualifies_it() -> None:
    versions = "package,version,stable\nNumpy,1.10.0,yes\n"
    assert claims("What is the version of Numpy?", versions) == ["Version for package Numpy, stable yes: 1.10.0"]
    orders = "region,product,channel,status,amount\nNorth,Bolt,Web,cancelled,100\n"
    [claim] = claims("What is the amount for Bolt in the North?", orders)
    assert claim == "Amount for region North, product Bolt, channel Web, status cancelled: 100"


@pytest.mark.parametrize("when", ["before 2020", "since 2019", "from 2019 to 2023", "between 2019 and 2023"])
def test_a_condition_of_time_is_noticed(when: str) -> None:
    assert CONDITION.search(f"What was the revenue {when}?")


@pytest.mark.parametrize("tool", ["user_delete", "purge_cache", "restart_server", "delete", "send_mail", "order_item"])
def test_a_tool_that_changes_something_is_known(tool: str) -> None:
    assert _CHANGES.search(tool)


@pytest.mark.parametrize("tool", ["list_orders", "get_order_status", "search", "created_items", "read_document"])
def test_a_tool_that_reads_is_known(tool: str) -> None:
    assert not _CHANGES.search(tool)


def test_a_name_has_its_forms_and_no_other_name() -> None:
    assert mentions("The Romans", "Roman")
    assert mentions("an Indian firm", "India")
    assert not mentions("Nigeria", "Niger")
    assert not mentions("Indiana", "India")


def test_a_number_beyond_all_bounds_is_none() -> None:
    assert number("1e999") is None


def test_a_plan_has_no_more_tasks_than_it_may() -> None:
    words = ["apples", "bread", "cheese", "dates", "eggs", "figs", "grapes", "honey", "icing", "jam", "kale", "limes"]
    words += ["melons", "nuts"]
    team = [AgentInfo(name=f"a{at}", does=f"Knows the price of {each}.") for at, each in enumerate(words)]
    question = "; ".join(f"What is the price of {each}?" for each in words)
    assert len(decide(SupervisorPacket(question=question, agents=team)).tasks) == 12

"""Single turns of the specialists, on tool results made up for the test."""

import json
from typing import Any

import pytest

from agents.base import AgentResult
from app.stand_in.roles import reply_to
from app.stand_in.wire import Call, ChatRequest
from sample.rules.unread import NO_SHARE_OF_MARKET

SCHEMA = """E1
# Tables and columns
table,column,type,description,values
sales,order_date,DATE,,2022-01-01 .. 2025-12-31
sales,order_id,BIGINT,,1 .. 9
sales,units,INTEGER,,1 .. 9
sales,country,VARCHAR,,Germany; UK
sales,channel,VARCHAR,,Car dealers; Online shop
sales,product,VARCHAR,,Voltbay Home 11; Voltbay Home 22
sales,category,VARCHAR,,home; workplace
sales,discount_pct,INTEGER,,0 .. 40
sales,revenue_eur,DECIMAL,,1 .. 9
order_lines,order_id,BIGINT,,1 .. 9
targets,target_eur,DECIMAL,,1 .. 9"""

MONTHLY = {
    "id": "E2",
    "tool": "revenue_by",
    "columns": ["country", "month", "revenue_eur", "units", "orders"],
    "rows": 48,
    "arguments": {"dimensions": ["country", "month"], "filters": {"country": ["UK"]}},
    "preview": "# Revenue\ncountry,month,revenue_eur,units,orders\nUK,2022-01,1,1,1\nUK,2022-02,2,1,1",
}


def turn(objective: str, tools: list[str], results: list[list[str]], **packet: Any) -> list[Call] | AgentResult:
    """What the specialist says after the tool results of each earlier round."""
    content = json.dumps({"question": objective, "task": {"id": "T1", "objective": objective}, **packet})
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    offered = [{"type": "function", "function": {"name": name}} for name in tools]
    for texts in [*results, []]:
        reply = reply_to(ChatRequest.model_validate({"model": "m", "messages": messages, "tools": offered}))
        if not reply.calls or not texts:
            return reply.calls or AgentResult.model_validate_json(reply.text)
        calls = [
            {"id": f"{len(messages)}.{index}", "function": {"name": call.name, "arguments": json.dumps(call.arguments)}}
            for index, call in enumerate(reply.calls)
        ]
        messages.append({"role": "assistant", "tool_calls": calls})
        messages += [
            {"role": "tool", "tool_call_id": call["id"], "content": text}
            for call, text in zip(calls, texts, strict=True)
        ]
    raise AssertionError("no last turn")


def sales(objective: str, *results: list[str], **packet: Any) -> list[Call] | AgentResult:
    tools = ["sales__describe_schema", "sales__revenue_by", "sales__query", "sales__top_customers"]
    return turn(objective, tools, [[SCHEMA], *results], **packet)


def only(calls: list[Call] | AgentResult) -> Call:
    assert isinstance(calls, list)
    [call] = calls
    return call


@pytest.mark.parametrize(
    ("objective", "filters"),
    [
        ("revenue of the home-11 in Britain in 2024", {"product": ["Voltbay Home 11"], "country": ["UK"]}),
        ("Home chargers sold in the online shop to German customers, revenue in 2024",
         {"category": ["home"], "channel": ["Online shop"], "country": ["Germany"]}),
        ("revenue through car dealers in 2024", {"channel": ["Car dealers"]}),
        ("revenue at home in 2024", {}),
    ],
)  # fmt: skip
def test_words_of_the_question_become_values_of_the_data(objective: str, filters: dict[str, list[str]]) -> None:
    arguments = only(sales(objective)).arguments
    assert arguments.get("filters", {}) == filters
    assert arguments["period"] == {"start": "2024-01", "end": "2024-12"}


def test_a_refused_call_is_a_gap_with_its_reason() -> None:
    result = sales("revenue in 2024", ["error: Error executing tool revenue_by: the disk is full"])
    assert isinstance(result, AgentResult)
    assert result.gaps == ["The sales data gave no answer: the disk is full."]


def test_an_exclusion_is_never_turned_into_a_filter() -> None:
    result = sales("revenue excluding Germany in 2024")
    assert isinstance(result, AgentResult)
    assert (result.findings, len(result.gaps)) == ([], 1)


def test_a_noun_in_lower_case_that_the_data_lacks_is_a_gap() -> None:
    result = sales("How many toasters did we sell in 2024?")
    assert isinstance(result, AgentResult)
    assert "is named toasters" in result.gaps[0]


def test_a_share_of_the_market_is_no_share_of_revenue() -> None:
    result = sales("What is the market share of Voltbay in the German market?")
    assert isinstance(result, AgentResult)
    assert result.gaps == [NO_SHARE_OF_MARKET]


def test_a_refused_finding_is_dropped_and_the_rest_kept() -> None:
    table = "E2\n# Revenue\nyear,revenue_eur,units,orders\n2024,1000,1,1\n2025,2000,1,1"
    refused = "'Voltbay's revenue was EUR 1,000 in 2024.': 1,000 is not in E2"
    result = sales("revenue in 2024 and 2025", [table], feedback=[refused])
    assert isinstance(result, AgentResult)
    assert [finding.period for finding in result.findings] == ["2025"]
    assert result.gaps == ["A statement that its evidence does not carry was left out."]


@pytest.mark.parametrize(
    ("when", "horizon"),
    [
        ("for 2026", 12),
        ("until March 2027", 15),
        ("for the next two quarters", 6),
        ("for the coming year", 12),
        ("", 12),
    ],
)
def test_a_forecast_reaches_as_far_as_was_asked(when: str, horizon: int) -> None:
    calls = turn(f"Forecast our UK revenue {when}", ["analytics__forecast"], [], evidence=[MONTHLY])
    series = {"evidence_id": "E2", "label_column": "month", "value_column": "revenue_eur"}
    assert only(calls) == Call("analytics__forecast", {"series": series, "horizon": horizon})


def test_a_forecast_into_the_far_future_is_not_made() -> None:
    result = turn("Forecast our revenue for 2031", ["analytics__forecast"], [], evidence=[MONTHLY])
    assert isinstance(result, AgentResult)
    assert result.gaps == ["A forecast more than three years ahead is not made: the past does not carry it."]


def test_nothing_is_computed_without_a_table() -> None:
    result = turn("Compute the growth", ["analytics__growth"], [], evidence=[])
    assert result == AgentResult(findings=[], gaps=["Not computed (growth): there is no table to compute on."])

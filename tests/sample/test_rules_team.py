"""Whole questions: the stand-in model on a socket, the real MCP servers, and the graph's own verification."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from agents.base import Finding
from mcp_servers.base.server import Server
from tests.app.offline_team import serving
from tests.sample.team import Answered, Team, team
from tests.sample.team import servers as servers_over

Gathered = Callable[[], AbstractAsyncContextManager[Team]]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.fixture(scope="module")
def servers(with_sales: Path) -> dict[str, Server]:
    return servers_over(with_sales)


@pytest.fixture
def gathered(url: str, servers: dict[str, Server]) -> Gathered:
    return lambda: team(url, servers)


async def answered(gathered: Gathered, question: str) -> Answered:
    """The answer, after checking what holds for every answer."""
    async with gathered() as agents:
        done = await agents.answer(question)
    assert done.ungrounded(question) == []
    assert done.findings or done.gaps
    return done


async def sql(gathered: Gathered, statement: str) -> list[list[str]]:
    """Rows of a query over the same data, by a path that the rules do not use."""
    async with gathered() as agents:
        result = await agents.sessions["sales"].call_tool("query", {"sql": statement})
    assert result.structuredContent is not None
    return [[str(cell) for cell in row] for row in result.structuredContent["rows"]]


def value(findings: list[Finding], *words: str) -> float:
    """The value of the one finding whose claim has all these words."""
    [found] = [each for each in findings if all(word in each.claim for word in words)]
    assert found.value is not None
    return found.value


async def test_a_market_question_quotes_sources_and_shows_that_they_disagree(gathered: Gathered) -> None:
    done = await answered(gathered, "How many public charging points does Germany have, and do sources agree?")
    assert done.agents == ["researcher"]
    assert {"152,332", "145,857", "161,686"} <= set(re.findall(r"\d{3},\d{3}", done.claims))
    assert "### Where sources disagree" in done.body
    assert "France" not in done.claims


async def test_revenue_by_channel_equals_what_sql_gives(gathered: Gathered) -> None:
    question = "How did Voltbay's revenue in Germany develop from 2023 to 2025, by channel?"
    done = await answered(gathered, question)
    statement = (
        "SELECT channel, year, sum(revenue_eur) FROM sales WHERE country = 'Germany' AND year >= '2023' GROUP BY ALL"
    )
    rows = await sql(gathered, statement)
    assert len(rows) == 12
    for channel, year, revenue in rows:
        assert value(done.findings, f"channel {channel} was", f"in {year}") == pytest.approx(float(revenue))
    assert any("rose by" in each.claim and "from 2023 to 2025" in each.claim for each in done.findings)


async def test_a_question_about_both_with_a_forecast(gathered: Gathered) -> None:
    question = (
        "Compare Voltbay's sales growth in France with the growth of the French electric car market, and forecast "
        "Voltbay's 2026 revenue there."
    )
    done = await answered(gathered, question)
    assert sorted(done.agents) == ["analyst", "researcher", "sales"]
    assert "ACEA" in done.claims
    total = next(each for each in done.findings if "forecast to reach" in each.claim)
    [forecast] = [each for each in done.evidence.values() if each.tool == "forecast"]
    assert forecast.arguments["horizon"] == 12
    assert total.period == "2026"
    assert ["total 2026", total.value] in [row[:2] for row in forecast.content["rows"]]
    assert re.search(r"\n!\[Chart of Voltbay's revenue in France\]\(E\d+\.svg\)", done.body)


async def test_top_customers_are_ranked(gathered: Gathered) -> None:
    done = await answered(gathered, "Who were our top customers in 2024?")
    rows = await sql(
        gathered,
        "SELECT customer, sum(revenue_eur) AS r FROM sales WHERE year = '2024' GROUP BY customer_id, customer "
        "ORDER BY r DESC LIMIT 5",
    )
    assert [each.value for each in done.findings[:5]] == [pytest.approx(float(row[1])) for row in rows]
    assert rows[0][0] in done.findings[0].claim


async def test_targets_are_told_with_the_verdict(gathered: Gathered) -> None:
    done = await answered(gathered, "Which countries missed their targets in 2024?")
    attained = [each.value or 0 for each in done.findings]
    assert len(attained) == 8
    assert attained == sorted(attained)
    assert all(("missed" in each.claim) == ((each.value or 0) < 100) for each in done.findings)


async def test_returns_are_ranked_and_the_rate_is_that_of_sql(gathered: Gathered) -> None:
    done = await answered(gathered, "Which products have the highest return rate?")
    [[product, rate]] = await sql(
        gathered,
        "SELECT product, round(100.0 * sum(coalesce(r.units, 0)) / sum(s.units), 2) AS rate FROM sales s "
        "LEFT JOIN returns r USING (line_id) GROUP BY product ORDER BY rate DESC LIMIT 1",
    )
    assert product in done.findings[0].claim
    assert done.findings[0].value == float(rate)


async def test_both_halves_of_a_question_are_answered(gathered: Gathered) -> None:
    done = await answered(gathered, "Revenue of Home 22 in Germany in 2024 and how many were returned?")
    [[revenue]] = await sql(
        gathered,
        "SELECT sum(revenue_eur) FROM sales WHERE product = 'Voltbay Home 22' AND country = 'Germany' "
        "AND year = '2024'",
    )
    assert value(done.findings, "revenue from Home 22 in Germany") == pytest.approx(float(revenue))
    assert "came back" in done.claims


@pytest.mark.slow
async def test_what_is_there_is_answered_and_what_is_not_is_a_gap(gathered: Gathered) -> None:
    done = await answered(gathered, "Show me units sold in Germany, France and Japan in 2021 and 2024")
    assert "Germany" in done.claims
    assert "Japan" not in done.claims
    assert any("no country Japan" in gap for gap in done.gaps)
    assert any("nothing for 2021" in gap for gap in done.gaps)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("question", "gap"),
    [
        ("What was Voltbay's revenue in Japan in 2024?", "The sales data has no country Japan; it has France, Germany"),
        ("How did the Voltbay Turbo 50 sell?", "segment of the sales data is named Turbo 50"),
        ("What was our revenue in 2019?", "covers 2022-01 to 2025-12, so it has nothing for 2019"),
        ("How many units did we sell in 2031?", "so it has nothing for 2031"),
        ("What is our profit margin in 2024?", "no column tells anything like 'profit'"),
        (
            "How many EV sales were there in Brazil in 2024?",
            "were there in Brazil in 2024",
        ),
        (
            "How many public charging points had Germany in 2011?",
            "had Germany in 2011",
        ),
        ("How many toasters did we sell in 2025?", "segment of the sales data is named toasters"),
        ("What is the market share of Voltbay in the German market?", "the company's share of a market"),
        ("Revenue excluding Germany in 2025", "does not read exclusions such as 'excluding Germany in 2025'"),
        ("How many orders over $10,000 did we have?", "The condition 'over $10,000' was not applied"),
    ],
)
async def test_what_cannot_be_answered_is_a_gap_and_nothing_is_invented(
    gathered: Gathered, question: str, gap: str
) -> None:
    done = await answered(gathered, question)
    assert done.findings == []
    assert any(gap in each for each in done.gaps)
    assert done.body.startswith("The question cannot be answered from the data at hand.")


@pytest.mark.slow
@pytest.mark.parametrize(
    "question",
    [
        "How did Voltbay's revenue in Germany develop in 2025, and how many public charging points are there?",
        "What share of revenue does the online shop have in 2024?",
        "What was Voltbay's revenue in Japan in 2024?",
    ],
)
async def test_alone_it_finds_and_misses_what_the_team_does(gathered: Gathered, question: str) -> None:
    async with gathered() as agents:
        together, alone = await agents.answer(question), await agents.answer_alone(question)
    assert alone.ungrounded(question) == []
    assert [name for name, _ in alone.calls] == [name for name, _ in together.calls]
    assert alone.claims == together.claims
    assert alone.gaps == list(dict.fromkeys(together.gaps))

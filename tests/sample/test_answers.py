"""The sample questions, end to end on real servers: different answers, right figures, every number carried."""

import asyncio
import csv
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import duckdb
import pytest
from redis.asyncio import Redis

from app.config.settings import Settings
from app.jobs.jobs import Jobs
from app.jobs.results import JobResult
from app.running.processes import Addresses
from app.running.runtime import opened
from evals.report_text import uncarried
from sample.truth import FACT_SHEET

pytestmark = pytest.mark.slow

MARKET = "How many public charging points does Germany have, and do sources agree?"
SALES = "How did Voltbay's revenue in Germany develop from 2023 to 2025?"
BOTH = (
    "Compare Voltbay's revenue growth in France with the French electric car market, and forecast 2026 revenue there."
)
UNANSWERABLE = [
    ("What was Voltbay's revenue in Japan in 2024?", "Japan"),
    ("How many units of the Voltbay Turbo 50 did we sell in 2024?", "Turbo 50"),
    ("What was Voltbay's revenue in Germany in 2031?", "2031"),
    ("How many electric cars were sold in Brazil in 2024?", "Brazil"),
]


@pytest.fixture
async def jobs(settings: Settings, redis_url: str, redis_client: Redis, addresses: Addresses) -> AsyncIterator[Jobs]:
    async with opened(settings, redis_url, addresses, lambda _: None) as ready:
        yield ready


async def ask(jobs: Jobs, settings: Settings, question: str) -> tuple[JobResult, str]:
    job_id = await jobs.create(question, settings.limits)
    result = await jobs.run(job_id, lambda _: None)
    assert result.report_path
    return result, await asyncio.to_thread(Path(result.report_path).read_text)


def fact(fact_id: str) -> str:
    with FACT_SHEET.open(encoding="utf-8") as lines:
        return next(row["value"] for row in csv.DictReader(lines) if row["id"] == fact_id)


def revenue(settings: Settings, country: str, year: int) -> float:
    """By SQL over the same data, without any code of the server."""
    # A copy, because DuckDB shares an open file within a process, with the settings of whoever opened it first.
    copied = shutil.copy(next(settings.data_dir.glob("sales/own-*.duckdb")), settings.data_dir / "by-sql.duckdb")
    with duckdb.connect(str(copied), read_only=True) as data:
        row = data.execute(
            "SELECT sum(revenue_eur) FROM sales WHERE country = ? AND year(order_date) = ?", [country, year]
        ).fetchone()
    assert row is not None
    return float(row[0])


def tools_used(result: JobResult) -> set[str]:
    return {each["server"] for each in result.evidence}


async def test_a_question_about_the_market_is_answered_from_documents(jobs: Jobs, settings: Settings) -> None:
    result, report = await ask(jobs, settings, MARKET)
    assert (result.status, result.stop_reason) == ("completed", "answered")
    assert tools_used(result) == {"knowledge_base"}
    for contradictory in ("EV-P10", "EV-P11", "EV-P12"):
        assert f"{int(fact(contradictory)):,}" in report
    assert "disagree" in report


async def test_a_question_about_sales_equals_sql(jobs: Jobs, settings: Settings) -> None:
    result, report = await ask(jobs, settings, SALES)
    assert "knowledge_base" not in tools_used(result)
    for year in (2023, 2024, 2025):
        assert f"{revenue(settings, 'Germany', year):,.0f}" in report


async def test_a_question_about_both_with_a_forecast(jobs: Jobs, settings: Settings) -> None:
    result, report = await ask(jobs, settings, BOTH)
    assert tools_used(result) == {"knowledge_base", "sales", "analytics"}
    growth = revenue(settings, "France", 2025) / revenue(settings, "France", 2024) - 1
    assert f"{abs(growth):.1%}" in report
    assert "290,614" in report or "317,501" in report or "363,000" in report
    assert re.search(r"2026.*95% interval", report)
    assert re.search(r"!\[.*\]\(evidence/E\d+\.svg\)", report)
    [chart] = [each["id"] for each in result.evidence if each["kind"] == "chart"]
    assert result.report_path
    assert (Path(result.report_path).parent / "evidence" / f"{chart}.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("question", [MARKET, SALES, BOTH])
async def test_every_number_is_carried_by_the_file_it_cites(jobs: Jobs, settings: Settings, question: str) -> None:
    result, report = await ask(jobs, settings, question)
    assert result.report_path
    assert uncarried(report, Path(result.report_path).parent) == []
    assert "*(not verified)*" not in report
    assert "rules, not a language model" in report


@pytest.mark.parametrize(("question", "unknown"), UNANSWERABLE)
async def test_what_is_not_in_the_data_is_said_and_not_invented(
    jobs: Jobs, settings: Settings, question: str, unknown: str
) -> None:
    result, report = await ask(jobs, settings, question)
    assert (result.status, result.stop_reason) == ("completed", "not_in_data")
    assert result.findings == []
    assert "The question could not be answered from the data." in report
    assert any(unknown in gap for gap in result.gaps), result.gaps

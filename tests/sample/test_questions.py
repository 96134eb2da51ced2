"""The questions are what they claim to be, and their expected answers come from the data that the agents see."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import duckdb
import pytest

from evals.comparison import read_baseline
from evals.questions import Kind, Question
from evals.run import SYSTEMS
from evals.scoreboard import VERSIONS
from mcp_servers.sales import own_data
from sample import BASELINE, DOCUMENTS, SALES
from sample import truth as known
from sample.questions import questions
from sample.truth import Truth

# It is generated once, in one process.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("truth")]

FINGERPRINT = "SELECT count(*), sum(revenue_eur), sum(hash(sales)) FROM sales WHERE year < '2026'"
LAST_YEAR = "2025"


@pytest.fixture(scope="module")
def truth() -> Iterator[Truth]:
    with known.truth() as opened:
        yield opened


@pytest.fixture(scope="module")
def asked(truth: Truth) -> tuple[Question, ...]:
    return questions(truth)


def test_there_are_sixty_and_about_ten_of_each_kind(asked: tuple[Question, ...]) -> None:
    kinds = Counter(each.kind for each in asked)
    assert kinds.keys() == set(get_args(Kind))
    assert all(10 <= number <= 12 for number in kinds.values())
    assert len({each.id for each in asked}) == len({each.text for each in asked}) == len(asked) >= 60


def test_a_contradiction_is_between_several_published_figures(asked: tuple[Question, ...]) -> None:
    for each in asked:
        if each.kind == "contradictory":
            assert len(each.expected) >= 2, each.id
            assert all(number.source.startswith("EV-") for number in each.expected), each.id


def test_each_expects_numbers_or_a_gap_that_it_names(asked: tuple[Question, ...]) -> None:
    for each in asked:
        assert bool(each.expected) != bool(each.gap), each.id
        assert bool(each.parts) != bool(each.gap), each.id
        assert all(number.tolerance > 0 and number.source for number in each.expected)
        if each.gap:
            assert any(word in each.text for word in each.gap), each.id


def test_market_answers_stand_in_the_briefs(asked: tuple[Question, ...]) -> None:
    sheet = "\n".join(path.read_text("utf-8") for path in DOCUMENTS.glob("*.md"))
    ids = [number.source for each in asked for number in each.expected if number.source.startswith("EV-")]
    assert len(ids) > 50
    assert [each for each in ids if f"- {each} (" not in sheet] == []


def test_a_scaled_fact_is_in_units_of_one(truth: Truth) -> None:
    assert (truth.fact("EV-P06").value, truth.fact("EV-P06").unit) == (3_500_000, "points")
    assert truth.fact("EV-S30").value == 88.9


def test_the_sales_are_those_that_the_server_serves(with_sales: Path, truth: Truth) -> None:
    served, _ = own_data.load(SALES, with_sales)
    with duckdb.connect(str(served), read_only=True) as data:
        expected = data.execute(FINGERPRINT).fetchall()
    assert truth.sales.execute(FINGERPRINT).fetchall() == expected


def test_a_year_more_changes_nothing_before_it(truth: Truth) -> None:
    assert truth.later.execute(FINGERPRINT).fetchall() == truth.sales.execute(FINGERPRINT).fetchall()
    assert truth.later.execute("SELECT count(DISTINCT month) FROM sales WHERE year = '2026'").fetchone() == (12,)


def test_last_year_again_is_no_forecast(truth: Truth, asked: tuple[Question, ...]) -> None:
    forecasts = [number for each in asked if each.kind == "forecast" for number in each.expected]
    assert len(forecasts) == 10
    for each in forecasts:
        last = truth.sold(each.source.replace("2026", LAST_YEAR), each.unit)
        assert abs(last.value - each.value) > each.tolerance


def test_no_expected_number_of_a_question_passes_for_another(asked: tuple[Question, ...]) -> None:
    for each in asked:
        for one in each.expected:
            others = [other for other in each.expected if other is not one and other.said_with == one.said_with]
            assert all(abs(one.value - other.value) > one.tolerance for other in others), each.id


def test_the_baseline_knows_every_question_of_both_systems(asked: tuple[Question, ...]) -> None:
    baseline = read_baseline(BASELINE)
    assert baseline.keys() == {VERSIONS, *SYSTEMS}
    for name in SYSTEMS:
        assert baseline[name].keys() == {each.id for each in asked}

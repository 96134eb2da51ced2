"""Known answers, worked out by hand, and what must hold for any series."""

import math
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.server.fastmcp.exceptions import ToolError

from mcp_servers.analytics import measures
from mcp_servers.analytics.series import Period, Series
from mcp_servers.base.results import Table

POSITIVE = st.floats(0.01, 1e9, allow_nan=False)
ANY = st.floats(-1e9, 1e9, allow_nan=False).map(lambda value: round(value, 3))


def series(*pairs: tuple[str, float]) -> Series:
    return Series.model_validate({"points": [{"label": label, "value": value} for label, value in pairs]})


def months(values: list[float], first: str = "2022-01") -> Series:
    start = int(first[:4]) * 12 + int(first[5:]) - 1
    return series(*((Period("month", start + at).label, value) for at, value in enumerate(values)))


def quarters(values: list[float]) -> Series:
    return series(*((Period("quarter", 2022 * 4 + at).label, value) for at, value in enumerate(values)))


def numbers(table: Table, column: str) -> list[float]:
    """A column without its empty cells."""
    at = table.columns.index(column)
    return [cast("float", row[at]) for row in table.rows if row[at] is not None]


def test_growth_against_the_period_before() -> None:
    table = measures.growth(series(("2023", 125), ("2022", 100), ("2024", 75)))
    assert table.columns == ["label", "value", "change", "change_pct"]
    assert table.rows == [["2022", 100, None, None], ["2023", 125, 25, 25], ["2024", 75, -50, -40]]
    assert "from 2022 to 2024: change -25.0 (-25.0 %)" in table.notes


def test_growth_gives_no_change_across_a_gap() -> None:
    table = measures.growth(series(("2024-01", 100), ("2024-03", 300), ("2024-04", 330)))
    assert table.rows[1:] == [["2024-03", 300, None, None], ["2024-04", 330, 30, 10]]
    assert "missing, so without a change in the period after: 2024-02" in table.notes


def test_growth_gives_no_percentage_on_zero_or_less() -> None:
    table = measures.growth(series(("2022", 0), ("2023", -4), ("2024", 2)))
    assert table.rows[1:] == [["2023", -4, -4, None], ["2024", 2, 6, None]]
    assert "no percentage is given on a value of zero or less" in table.notes


@given(st.lists(ANY, min_size=2, max_size=40))
def test_growth_inverts(values: list[float]) -> None:
    rows = measures.growth(months([round(value, 2) for value in values])).rows
    for before, row in pairwise(rows):
        _, value, change, percent = row
        assert cast("float", before[1]) + cast("float", change) == pytest.approx(value, abs=0.011)
        if percent is not None and cast("float", before[1]) >= 1:
            grown = cast("float", before[1]) * (1 + cast("float", percent) / 100)
            assert grown == pytest.approx(value, rel=1e-4, abs=0.0001 * cast("float", before[1]))


def test_cagr_over_years_quarters_and_months() -> None:
    assert measures.cagr(series(("2020", 100), ("2021", 7), ("2022", 121))).rows == [["2020", 100, "2022", 121, 2, 10]]
    assert measures.cagr(series(("2020-Q1", 100), ("2020-Q3", 121))).rows[0][4:] == [0.5, 46.41]
    assert measures.cagr(months([100, *[1] * 23, 144])).rows[0][4:] == [2, 20]


def test_cagr_says_what_weakens_it() -> None:
    notes = measures.cagr(series(("2020-Q1", 100), ("2020-Q3", 121))).notes
    assert any("single quarters, so seasonal effects" in note for note in notes)
    assert any("shorter than a year" in note for note in notes)
    assert not any("seasonal" in note for note in measures.cagr(series(("2020", 1), ("2022", 2))).notes)


@pytest.mark.parametrize(("start", "end"), [(0, 5), (-1, 5), (5, 0), (5, -1)])
def test_cagr_refuses_zero_and_negative_ends(start: float, end: float) -> None:
    with pytest.raises(ToolError, match=r"above zero.*use compare_periods"):
        measures.cagr(series(("2020", start), ("2022", end)))


def test_cagr_refuses_a_rate_beyond_all_numbers() -> None:
    with pytest.raises(ToolError, match="no yearly rate"):
        measures.cagr(series(("2020-01", 1e-12), ("2020-02", 1e15)))


@given(POSITIVE, POSITIVE, st.integers(1, 120))
def test_compounding_the_rate_returns_the_end(start: float, end: float, years: int) -> None:
    rate = measures.compound_rate(start, end, years)
    assert math.isclose(start * (1 + rate / 100) ** years, end, rel_tol=1e-6, abs_tol=start * 1e-9)


def test_market_share_is_sorted_with_the_total() -> None:
    table = measures.market_share(series(("Spain", 1), ("France", 5), ("Italy", 2)))
    assert table.rows == [["France", 5, 62.5], ["Italy", 2, 25], ["Spain", 1, 12.5]]
    assert table.notes[0] == "method: share of the sum 8.0 of all labels"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (series(("Spain", 1)), "at least 2 points"),
        (series(("Spain", 0), ("France", 0)), "every value is zero"),
        (series(("Spain", 2), ("France", -1)), "negative: France"),
    ],
)
def test_market_share_refuses_what_is_no_whole(values: Series, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        measures.market_share(values)


@given(st.lists(POSITIVE, min_size=2, max_size=40))
def test_shares_sum_to_100(values: list[float]) -> None:
    table = measures.market_share(series(*((f"c{at}", value) for at, value in enumerate(values))))
    assert sum(numbers(table, "share_pct")) == pytest.approx(100, abs=0.005 * len(values) + 1e-6)


def test_seasonality_of_a_pattern_without_trend_is_the_pattern() -> None:
    table = measures.seasonality(quarters([50, 100, 150, 100] * 3))
    assert table.rows == [["Q1", 50, 2], ["Q2", 100, 2], ["Q3", 150, 2], ["Q4", 100, 2]]
    assert "strongest Q3, weakest Q1" in table.notes


def test_seasonality_sees_through_a_trend() -> None:
    flat = measures.seasonality(months([100.0 + at for at in range(48)]))
    assert [row[0] for row in flat.rows] == [f"{month:02}" for month in range(1, 13)]
    assert numbers(flat, "index_pct") == [100] * 12


def test_seasonality_says_when_it_rests_on_little() -> None:
    assert any("single observation" in note for note in measures.seasonality(months([1.0] * 24)).notes)
    assert not any("single observation" in note for note in measures.seasonality(months([1.0] * 36)).notes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (series(*((str(year), 1.0) for year in range(2000, 2020))), "yearly values have no season"),
        (months([1.0] * 23), r"at least 2 full years \(24 points\), got 23"),
        (series(*(("2020-Q1", 1.0), ("2021-Q1", 2.0))), "skips 2020-Q2, 2020-Q3, 2020-Q4"),
        (quarters([1, 2, 3, -4] * 3), "zero or more"),
        (quarters([0.0] * 12), "all zero"),
        (months([1.0] * 6 + [0.0] * 12 + [1.0] * 6), "every value that counts is zero"),
    ],
)
def test_seasonality_refuses(values: Series, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        measures.seasonality(values)


@given(st.lists(POSITIVE, min_size=8, max_size=40))
def test_seasonal_indices_average_100(values: list[float]) -> None:
    indices = numbers(measures.seasonality(quarters(values)), "index_pct")
    assert sum(indices) / 4 == pytest.approx(100, abs=0.01)


def test_compare_periods_sums_years_and_quarters() -> None:
    values = months([1.0] * 12 + [2.0] * 12)
    assert measures.compare_periods(values, "2022", "2023").rows == [["2022", 12, "2023", 24, 12, 100]]
    assert measures.compare_periods(values, "2022-Q4", "2023-Q1").rows == [["2022-Q4", 3, "2023-Q1", 6, 3, 100]]
    assert measures.compare_periods(values, "2023-01", "2022-12").rows[0][4:] == [-1, -50]


def test_compare_periods_says_what_is_not_like_for_like() -> None:
    partial = measures.compare_periods(months([1.0] * 22), "2022", "2023")
    assert partial.rows[0][3] == 10
    assert "2023 is incomplete: 10 of 12 parts, without 2023-11, 2023-12" in partial.notes
    unequal = measures.compare_periods(months([1.0] * 24), "2022", "2023-Q1")
    assert any("differ in length" in note for note in unequal.notes)
    from_zero = measures.compare_periods(series(("2022", 0), ("2023", 3)), "2022", "2023")
    assert from_zero.rows[0][4:] == [3, None]
    assert any("2022 is zero or less" in note for note in from_zero.notes)


@pytest.mark.parametrize(
    ("period", "message"),
    [
        ("2030", "2030 is not in the series, which has 2022-Q1 to 2023-Q4"),
        ("last year", "'last year' is not a period; write it as"),
        ("2022-01", "finer than the series, which is quarterly"),
    ],
)
def test_compare_periods_refuses_what_is_not_there(period: str, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        measures.compare_periods(quarters([1.0] * 8), period, "2023")


def test_money_is_rounded_once_at_the_end() -> None:
    table = measures.compare_periods(months([0.104] * 12 + [10.0] * 12), "2022", "2023")
    assert table.rows[0][1] == 1.25

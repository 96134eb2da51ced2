"""Labels become periods, and a series that cannot be computed on is refused by name."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.server.fastmcp.exceptions import ToolError
from pydantic import ValidationError

from mcp_servers.analytics.series import (
    PER_YEAR,
    Frequency,
    Period,
    Series,
    missing_between,
    observe,
    observe_in_time,
    parse_period,
)

FREQUENCIES: list[Frequency] = ["year", "quarter", "month"]


def series(*pairs: tuple[str, float | None], **reference: object) -> Series:
    points = [{"label": label, "value": value} for label, value in pairs]
    return Series.model_validate({"points": points, **reference})


@pytest.mark.parametrize(
    ("label", "year", "season"),
    [("2024", 2024, ""), ("2024-Q3", 2024, "Q3"), ("2024-01", 2024, "01"), ("2024-12", 2024, "12")],
)
def test_a_period_label_has_a_year_and_a_season(label: str, year: int, season: str) -> None:
    period = parse_period(label)
    assert period is not None
    assert (period.year, period.season, period.label) == (year, season, label)


@pytest.mark.parametrize("label", ["2024-13", "2024-00", "2024-Q5", "24", "2024-1", "2024-01-01", "Q1 2024", ""])
def test_other_labels_are_categories(label: str) -> None:
    assert parse_period(label) is None


@given(st.sampled_from(FREQUENCIES), st.integers(1000, 9000), st.integers(-400, 400))
def test_a_moved_period_reads_back_from_its_label(frequency: Frequency, year: int, steps: int) -> None:
    moved = Period(frequency, year * PER_YEAR[frequency]).plus(steps)
    assert parse_period(moved.label) == moved


def test_a_year_is_made_of_its_months_and_quarters() -> None:
    year = Period("year", 2024)
    assert [each.label for each in year.parts("quarter")] == ["2024-Q1", "2024-Q2", "2024-Q3", "2024-Q4"]
    assert [each.label for each in year.parts("month")][::11] == ["2024-01", "2024-12"]
    assert year.parts("year") == [year]


def test_periods_are_sorted_in_time_and_categories_are_left_as_given() -> None:
    months = observe(series(("2024-02", 2), ("2023-12", 0), ("2024-01", 1)))
    assert months.labels == ["2023-12", "2024-01", "2024-02"]
    assert months.values == [0, 1, 2]
    countries = observe(series(("Spain", 1), ("France", 2)))
    assert countries.labels == ["Spain", "France"]
    assert countries.periods == []


def test_skipped_periods_are_named() -> None:
    assert missing_between(observe(series(("2023-11", 1), ("2024-02", 2))).periods) == ["2023-12", "2024-01"]


def test_the_notes_tell_the_source_and_the_extent() -> None:
    found = observe(
        series(
            ("2024-01", 1),
            ("2024-02", 2),
            evidence_id="E3",
            label_column="month",
            value_column="revenue_eur",
            where={"country": "Germany"},
        )
    )
    assert found.notes == [
        "computed on evidence E3 (revenue_eur by month, country = Germany): 2 points, first 2024-01, last 2024-02"
    ]


def test_totals_of_a_forecast_are_left_out_of_a_series_in_time() -> None:
    found = observe(series(("2026-01", 1), ("total 2026", 12)))
    assert found.labels == ["2026-01"]
    assert "left out, being sums of the other rows: total 2026" in found.notes


def test_a_category_may_be_called_total() -> None:
    assert observe(series(("Spain", 1), ("total 2026", 12))).labels == ["Spain", "total 2026"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (Series(evidence_id="E9"), "evidence E9 was not resolved"),
        (Series(), "has no points"),
        (series(), "has 0 points; check that `where`"),
        (series(("2023", 1), ("2024", 2), ("2023", 3)), "occur more often: 2023; use `where`"),
        (series(("2023", 1), ("2024", None)), "value of '2024' is missing"),
        (series(("2023", math.nan)), "value of '2023' is missing or not finite"),
        (series(("2023", math.inf)), "not finite"),
        (series(("2023", 1e16)), "beyond"),
        (series(("2023", 1e-20)), "beyond"),
    ],
)
def test_a_series_that_cannot_be_computed_on_is_refused(values: Series, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        observe(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (series(("Spain", 1), ("France", 2)), "'Spain' is not one"),
        (series(("2024", 1), ("2024-01", 2)), "they mix years, quarters and months"),
        (series(("2024", 1)), "at least 2 points and got 1; use monthly values"),
        (series(("2024-01", 1)), "at least 2 points and got 1$"),
    ],
)
def test_a_series_without_time_is_refused_where_time_counts(values: Series, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        observe_in_time(values)


def test_unknown_fields_and_too_many_points_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Series.model_validate({"points": [], "filter": {}})
    with pytest.raises(ValidationError, match="at most 2000"):
        series(*((str(number), 1.0) for number in range(2001)))


def test_many_wrong_points_make_one_error() -> None:
    with pytest.raises(ValidationError) as caught:
        Series.model_validate({"points": [{"label": "a", "value": "many"}] * 2000})
    assert caught.value.error_count() == 1


def test_numeric_labels_are_read_as_text() -> None:
    read = Series.model_validate({"points": [{"label": 2023, "value": 1}, {"label": 2024, "value": 2}]})
    assert observe(read).labels == ["2023", "2024"]


def test_small_numbers_keep_their_digits() -> None:
    assert observe(series(("a", 0.01234), ("b", 0.0))).rounded(0.012344) == 0.01234
    assert observe(series(("a", 12.0), ("b", 0.0))).rounded(0.012344) == 0.01

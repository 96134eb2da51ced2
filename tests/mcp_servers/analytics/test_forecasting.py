"""Forecasts: the right model, honest intervals, the same answer twice, and refusals."""

import math
import random
import time
from collections.abc import Callable
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp.server.fastmcp.exceptions import ToolError

from mcp_servers.analytics.forecasting import MIN_POINTS, forecast
from mcp_servers.analytics.series import PER_YEAR, Frequency, Period, Series
from mcp_servers.base.results import Table
from tests.examples import at_most

SLOW = settings(max_examples=at_most(8), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def series(values: list[float], frequency: Frequency = "month", first_year: int = 2020) -> Series:
    first = Period(frequency, first_year * PER_YEAR[frequency])
    points = [{"label": first.plus(at).label, "value": value} for at, value in enumerate(values)]
    return Series.model_validate({"points": points})


def noisy(count: int, seed: int, mean: Callable[[int], float], noise: float = 0.05) -> list[float]:
    source = random.Random(seed)
    return [mean(at) * (1 + source.gauss(0, noise)) for at in range(count)]


def seasonal(at: int) -> float:
    """A rising line times a yearly wave."""
    return (1000 + 12 * at) * (1 + 0.3 * math.sin(at * math.pi / 6))


def rows(table: Table) -> list[tuple[str, float, float, float]]:
    return [cast("tuple[str, float, float, float]", tuple(row)) for row in table.rows]


def note(table: Table, text: str) -> str:
    return next((each for each in table.notes if text in each), "")


def test_a_forecast_of_48_months_takes_little_time() -> None:
    values = series(noisy(48, 1, seasonal))
    forecast(values, 36, 95)
    began = time.thread_time()
    forecast(values, 36, 95)
    assert time.thread_time() - began < 0.5, "it takes 0.15 s on two cores; statsmodels took 2 s or more"


@pytest.fixture(scope="module")
def two_years_ahead() -> Table:
    return forecast(series(noisy(48, 1, seasonal)), 30, 95)


def test_rows_continue_the_labels_and_end_in_the_full_years(two_years_ahead: Table) -> None:
    labels = [label for label, *_ in rows(two_years_ahead)]
    assert two_years_ahead.columns == ["label", "forecast", "lower", "upper"]
    assert labels[:2] == ["2024-01", "2024-02"]
    assert labels[29:] == ["2026-06", "total 2024", "total 2025"]


def test_a_total_is_the_sum_of_its_months_with_a_tighter_interval(two_years_ahead: Table) -> None:
    months, total = rows(two_years_ahead)[:12], rows(two_years_ahead)[30]
    assert total[1] == pytest.approx(sum(row[1] for row in months), abs=0.1)
    assert sum(row[2] for row in months) < total[2] < total[1] < total[3] < sum(row[3] for row in months)


def test_notes_tell_the_method_the_fit_and_the_years(two_years_ahead: Table) -> None:
    assert note(two_years_ahead, "method: ETS(").endswith("5000 simulated futures with a fixed seed")
    assert note(two_years_ahead, "computed on inline points: 48 points, first 2020-01, last 2023-12")
    assert note(two_years_ahead, "without the last 12 points missed them by")
    assert note(two_years_ahead, "2026 has no total: only 6 of its 12 months are forecast")
    assert note(two_years_ahead, "observed total 2023:")
    assert note(two_years_ahead, "total 2024 against observed 2023:")


def test_the_comparison_with_the_last_year_is_right(two_years_ahead: Table) -> None:
    observed = float(note(two_years_ahead, "observed total 2023").split(": ")[1])
    percent = float(note(two_years_ahead, "against observed 2023").split(": ")[1].removesuffix(" %"))
    assert rows(two_years_ahead)[30][1] == pytest.approx(observed * (1 + percent / 100), rel=1e-4)


def test_the_season_is_forecast(two_years_ahead: Table) -> None:
    for at, (_, point, _, _) in enumerate(rows(two_years_ahead)[:24]):
        assert point == pytest.approx(seasonal(48 + at), rel=0.15)


@pytest.mark.slow
def test_the_same_series_gives_the_same_answer(two_years_ahead: Table) -> None:
    assert forecast(series(noisy(48, 1, seasonal)), 30, 95) == two_years_ahead


@pytest.mark.slow
def test_a_narrower_interval_lies_inside(two_years_ahead: Table) -> None:
    narrow = forecast(series(noisy(48, 1, seasonal)), 30, 50)
    for wide, inner in zip(rows(two_years_ahead), rows(narrow), strict=True):
        assert wide[1] == inner[1]
        assert wide[2] < inner[2] <= inner[1] <= inner[3] < wide[3]


@pytest.mark.slow
def test_intervals_hold_what_then_happens() -> None:
    """A back-test on five series: 95 % intervals must hold most months and most yearly totals."""
    months = totals = 0
    for seed in range(5):
        values = noisy(48, seed, seasonal)
        *ahead, total = rows(forecast(series(values[:36]), 12, 95))
        months += sum(low <= value <= high for value, (_, _, low, high) in zip(values[36:], ahead, strict=True))
        totals += total[2] <= sum(values[36:]) <= total[3]
    assert months >= 0.88 * 60
    assert totals >= 4


def test_a_trend_is_followed_with_growing_doubt() -> None:
    table = forecast(series(noisy(30, 3, lambda at: 100 + 10 * at, noise=0.02), "year", 1990), 10, 95)
    widths = [high - low for _, _, low, high in rows(table)]
    assert rows(table)[-1][1] > rows(table)[0][1] > 380
    assert all(later >= 0.97 * before for before, later in pairwise(widths))
    assert widths[-1] > widths[0]


def test_a_short_history_gets_a_damped_trend_and_says_that_it_has_no_season() -> None:
    table = forecast(series(noisy(12, 4, lambda at: 100 + 10 * at)), 3, 95)
    assert ",Ad,N)" in table.notes[0]
    assert note(table, "too short for a seasonal pattern")
    assert note(table, "without the last 2 points missed them by")
    assert not note(forecast(series(noisy(10, 4, seasonal), "year"), 3, 95), "seasonal pattern")


@pytest.mark.parametrize(("count", "season"), [(MIN_POINTS, "N"), (10, "AM"), (16, "AM")])
def test_quarters_get_a_season_as_soon_as_it_can_be_estimated(count: int, season: str) -> None:
    wave = [60.0, 100.0, 140.0, 100.0]
    table = forecast(series(noisy(count, 5, lambda at: wave[at % 4], noise=0.02), "quarter"), 4, 95)
    assert table.notes[0].split(")")[0][-1] in season


def test_the_years_of_quarters_are_summed_and_those_of_years_are_not() -> None:
    quarters = forecast(series(noisy(16, 6, lambda _: 100), "quarter"), 4, 95)
    assert [row[0] for row in quarters.rows][-1] == "total 2024"
    years = forecast(series(noisy(16, 6, lambda _: 100), "year", 2008), 2, 95)
    assert [row[0] for row in years.rows] == ["2024", "2025"]
    assert not note(years, "total")


def test_what_was_never_negative_is_not_forecast_below_zero() -> None:
    falling = [max(0.0, value) for value in noisy(24, 7, lambda at: 100 - 4 * at, noise=0.3)]
    table = forecast(series(falling, "year", 2000), 8, 95)
    assert all(0 <= low <= point <= high for _, point, low, high in rows(table))
    assert note(table, "cut at zero")


def test_negative_values_may_be_forecast() -> None:
    table = forecast(series([-value for value in noisy(24, 8, lambda _: 100)], "year", 2000), 2, 95)
    assert all(low < point < 0 for _, point, low, _ in rows(table))
    assert not note(table, "cut at zero")


@pytest.mark.slow
def test_a_long_history_is_fitted_to_its_last_part() -> None:
    table = forecast(series(noisy(300, 9, lambda _: 100), first_year=1990), 1, 95)
    assert note(table, "fitted to the last 240 points only")
    assert note(table, "300 points")


@pytest.mark.parametrize(
    ("values", "horizon", "message"),
    [
        (series([1.0, 2.0] * 3 + [3.0]), 1, f"at least {MIN_POINTS} points and got 7"),
        (series([1.0, 2.0] * 3 + [3.0], "year"), 1, "use monthly values if there are any"),
        (series([1.0, 2.0] * 4), 9, "8 points carry a horizon of at most 8"),
        (series([5.0] * 12), 1, "never changes"),
    ],
)
def test_forecast_refuses(values: Series, horizon: int, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        forecast(values, horizon, 95)


def test_forecast_refuses_gaps_and_names_them() -> None:
    points = (series(noisy(24, 1, seasonal)).points or [])[:10] + (series(noisy(24, 1, seasonal)).points or [])[12:]
    with pytest.raises(ToolError, match="skips 2020-11, 2020-12; every period"):
        forecast(Series(points=points), 3, 95)


@pytest.mark.slow
@SLOW
@given(
    st.lists(st.floats(0.01, 1e6).map(lambda value: round(value, 2)), min_size=8, max_size=30),
    st.sampled_from(["year", "quarter", "month"]),
    st.sampled_from([50.0, 80.0, 99.0]),
)
def test_any_positive_series_has_its_forecast_inside_finite_bounds(
    values: list[float], frequency: Frequency, percent: float
) -> None:
    values[0] += 1 if len(set(values)) == 1 else 0
    for _, point, low, high in rows(forecast(series(values, frequency), 6, percent)):
        assert 0 <= low <= point <= high < math.inf


def test_the_unit_of_the_values_does_not_matter() -> None:
    values = noisy(24, 11, lambda at: 100 + at)
    plain = forecast(series(values, "year", 2000), 3, 95)
    millions = forecast(series([value * 1e6 for value in values], "year", 2000), 3, 95)
    for (_, *before), (_, *after) in zip(rows(plain), rows(millions), strict=True):
        assert [value / 1e6 for value in after] == pytest.approx(before, rel=0.02)

"""Forecasts as a table: a row per period, a row per full calendar year, and notes on the method."""

import math
from itertools import groupby

from mcp.server.fastmcp.exceptions import ToolError

from mcp_servers.analytics.measures import percent_change, table
from mcp_servers.analytics.series import PER_YEAR, Observed, Period, Series, observe_in_time, refuse_gaps
from mcp_servers.base.results import Cell, Table

MIN_POINTS = 8
MAX_HORIZON = 36
# Older history is not used for the fit: it says little about the next months and costs time.
FITTED_POINTS = 240


def forecast(series: Series, horizon: int, interval_pct: float) -> Table:
    """Forecast the next `horizon` periods, and each calendar year that they complete.

    Raises ToolError for fewer than MIN_POINTS points, gaps, a constant series, and too long a horizon.
    """
    from mcp_servers.analytics import smoothing  # noqa: PLC0415  NumPy, which only a forecast needs

    observed = observe_in_time(series, at_least=MIN_POINTS)
    _refuse(observed, horizon)
    values = observed.values[-FITTED_POINTS:]
    try:
        fits = smoothing.fit(values, PER_YEAR[observed.periods[0].frequency])
    except smoothing.NoFitError as error:
        raise ToolError("no model fits this series; give more history, or use growth or cagr") from error
    likeliest, futures = fits[0].shape, smoothing.simulate(fits, horizon)
    cut = min(observed.values) >= 0 and futures.reaches_below_zero
    if cut:
        futures = futures.cut_at_zero()

    def row(label: str, first: int, last: int) -> list[Cell]:
        return [label, *(observed.rounded(each) for each in futures.interval(first, last, interval_pct))]

    ahead = [observed.periods[-1].plus(step) for step in range(1, horizon + 1)]
    rows = [row(each.label, at, at + 1) for at, each in enumerate(ahead)]
    totals = [row(f"total {year}", first, last) for year, first, last in _full_years(ahead)]
    notes = [
        f"method: {likeliest.name} exponential smoothing, averaged with {len(fits) - 1} less likely models; "
        f"{interval_pct:g} % interval from {smoothing.FUTURES} simulated futures with a fixed seed",
        *observed.notes,
        _held_out_note(smoothing.held_out_error(likeliest, values, MIN_POINTS)),
        "the trend is taken as straight or damped: a break in it is in no interval",
        *_year_notes(observed, ahead, totals),
    ]
    if likeliest.season == 1 and PER_YEAR[ahead[0].frequency] > 1:
        notes.append("the history is too short for a seasonal pattern: the forecast has none")
    if len(values) < len(observed.values):
        notes.append(f"fitted to the last {len(values)} points only")
    if cut:
        notes.append("all observed values are zero or more, so forecasts and bounds are cut at zero")
    columns = ["label", "forecast", "lower", "upper"]
    return table(f"Forecast of {observed.measure}", columns, rows + totals, notes)


def _refuse(observed: Observed, horizon: int) -> None:
    refuse_gaps(observed)
    if horizon > len(observed.values):
        raise ToolError(f"{len(observed.values)} points carry a horizon of at most {len(observed.values)}")
    if len(set(observed.values[-FITTED_POINTS:])) == 1:
        raise ToolError("the series never changes, so there is nothing to estimate an interval from")


def _held_out_note(check: tuple[int, float] | None) -> str:
    if check is None:
        return "fit: too little history to hold some of it back and test the model on it"
    held, percent = check
    return (
        f"fit: the likeliest model without the last {held} points missed them by {percent:.2f} % "
        "(sum of errors over sum of values)"
    )


def _by_year(periods: list[Period]) -> list[tuple[int, int, int]]:
    """Each calendar year, with the start and end of its slice."""
    spans = []
    for year, group in groupby(enumerate(periods), key=lambda item: item[1].year):
        at = [position for position, _ in group]
        spans.append((year, at[0], at[-1] + 1))
    return spans


def _full_years(periods: list[Period]) -> list[tuple[int, int, int]]:
    """The calendar years with all months or quarters; none for yearly periods."""
    length = PER_YEAR[periods[0].frequency]
    return [span for span in _by_year(periods) if length > 1 and span[2] - span[1] == length]


def _year_notes(observed: Observed, ahead: list[Period], totals: list[list[Cell]]) -> list[str]:
    """Notes on years without a total, and on the last observed year, for comparison."""
    frequency = ahead[0].frequency
    notes = [
        f"{year} has no total: only {last - first} of its {PER_YEAR[frequency]} {frequency}s are forecast"
        for year, first, last in _by_year(ahead)
        if last - first < PER_YEAR[frequency]
    ]
    known = _full_years(observed.periods)
    if not known:
        return notes
    year, first, last = known[-1]
    total = math.fsum(observed.values[first:last])
    notes.append(f"observed total {year}: {observed.rounded(total)}")
    if totals and (change := percent_change(total, float(totals[0][1] or 0))) is not None:
        notes.append(f"{totals[0][0]} against observed {year}: {round(change, 2)} %")
    return notes

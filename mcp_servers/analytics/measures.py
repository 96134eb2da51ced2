"""Growth, CAGR, shares, seasonality and comparisons, computed on unrounded values and rounded at the end."""

import math
from collections import defaultdict
from itertools import pairwise
from statistics import fmean

from mcp.server.fastmcp.exceptions import ToolError

from mcp_servers.analytics.series import (
    ADJECTIVE,
    PER_YEAR,
    PERIOD_FORMS,
    Observed,
    Period,
    Series,
    missing_between,
    observe,
    observe_in_time,
    parse_period,
    refuse_gaps,
    some,
)
from mcp_servers.base.results import Cell, Table

# Part of the cache key of every result: increment it when a method changes.
DATA_VERSION = "analytics-2"


def table(title: str, columns: list[str], rows: list[list[Cell]], notes: list[str]) -> Table:
    """A table without a row limit."""
    return Table(title=title, columns=columns, rows=rows, row_count=len(rows), notes=notes, data_version=DATA_VERSION)


def percent_change(before: float, after: float) -> float | None:
    """Change in percent of `before`; None, because it is meaningless, if `before` is zero or negative."""
    return (after - before) / before * 100 if before > 0 else None


def growth(series: Series) -> Table:
    """Change of each period against the previous one; empty after a gap."""
    observed = observe_in_time(series)
    first, last = observed.values[0], observed.values[-1]
    overall = observed.rounded(last - first)
    notes = [
        f"method: each {observed.periods[0].frequency} against the one before it",
        *observed.notes,
        f"from {observed.labels[0]} to {observed.labels[-1]}: change {overall}{_in_percent(first, last)}",
    ]
    if missing := missing_between(observed.periods):
        notes.append(f"missing, so without a change in the period after: {some(missing)}")
    if any(value <= 0 for value in observed.values[:-1]):
        notes.append("no percentage is given on a value of zero or less")
    columns = ["label", "value", "change", "change_pct"]
    return table(f"Growth of {observed.measure}", columns, _growth_rows(observed), notes)


def _growth_rows(observed: Observed) -> list[list[Cell]]:
    rows: list[list[Cell]] = [[observed.labels[0], observed.rounded(observed.values[0]), None, None]]
    steps = zip(observed.labels[1:], pairwise(observed.values), pairwise(observed.periods), strict=True)
    for label, (before, after), (earlier, later) in steps:
        row: list[Cell] = [label, observed.rounded(after), None, None]
        if later.index == earlier.index + 1:
            row[2:] = [observed.rounded(after - before), _rounded(percent_change(before, after))]
        rows.append(row)
    return rows


def compound_rate(start: float, end: float, years: float) -> float:
    """The yearly rate in percent from `start` to `end`. Raises ToolError if there is none."""
    if start <= 0 or end <= 0:
        raise ToolError(
            f"a compound rate needs a start and an end above zero, and these are {start} and {end}; "
            "use compare_periods for the plain change"
        )
    try:
        return (math.pow(end / start, 1 / years) - 1) * 100
    except OverflowError as error:
        raise ToolError(f"from {start} to {end} in {years:.2f} years is no yearly rate; give more years") from error


def cagr(series: Series) -> Table:
    """The compound annual growth rate from the first to the last label."""
    observed = observe_in_time(series)
    first, last = observed.periods[0], observed.periods[-1]
    years = (last.index - first.index) / PER_YEAR[first.frequency]
    rate = compound_rate(observed.values[0], observed.values[-1], years)
    notes = ["method: (end / start) ^ (1 / years) - 1, years by the distance of the labels", *observed.notes]
    if first.frequency != "year":
        notes.append(
            f"start and end are single {first.frequency}s, so seasonal effects are in the rate; "
            "yearly values give a cleaner one"
        )
    if years < 1:
        notes.append("the span is shorter than a year: the rate is what a whole year at this pace would give")
    start, end = observed.rounded(observed.values[0]), observed.rounded(observed.values[-1])
    row: list[Cell] = [first.label, start, last.label, end, round(years, 2), round(rate, 2)]
    columns = ["start_label", "start_value", "end_label", "end_value", "years", "cagr_pct"]
    return table(f"Compound annual growth of {observed.measure}", columns, [row], notes)


def market_share(series: Series) -> Table:
    """Each label's share of the sum, largest first."""
    observed = observe(series)
    if len(observed.values) < 2:
        raise ToolError("a share needs at least 2 points: the part and the rest of the whole")
    if below := [label for label, value in zip(observed.labels, observed.values, strict=True) if value < 0]:
        raise ToolError(f"shares need values of zero or more, and these are negative: {some(below)}")
    total = math.fsum(observed.values)
    if total == 0:
        raise ToolError("every value is zero, so there is nothing to share")
    ranked = sorted(zip(observed.labels, observed.values, strict=True), key=lambda pair: (-pair[1], pair[0]))
    rows: list[list[Cell]] = [
        [label, observed.rounded(value), round(value / total * 100, 2)] for label, value in ranked
    ]
    notes = [f"method: share of the sum {observed.rounded(total)} of all labels", *observed.notes]
    return table(f"Shares of {observed.measure}", ["label", "value", "share_pct"], rows, notes)


def seasonality(series: Series) -> Table:
    """The seasonal index of each month or quarter; 100 is average."""
    observed = observe_in_time(series)
    frequency = observed.periods[0].frequency
    length = PER_YEAR[frequency]
    if length == 1:
        raise ToolError("yearly values have no season; pass monthly or quarterly ones")
    refuse_gaps(observed)
    if len(observed.values) < 2 * length:
        raise ToolError(f"seasons need at least 2 full years ({2 * length} points), got {len(observed.values)}")
    if min(observed.values) < 0:
        raise ToolError("a seasonal index needs values of zero or more; this series has negative ones")
    ratios = _seasonal_ratios(observed, length)
    overall = fmean(fmean(each) for each in ratios.values())
    if overall == 0:
        raise ToolError("every value that counts is zero, so there is no season to see")
    index = {season: fmean(each) / overall * 100 for season, each in sorted(ratios.items())}
    rows: list[list[Cell]] = [[season, round(value, 2), len(ratios[season])] for season, value in index.items()]
    notes = [
        f"method: mean ratio to the centred moving average over {length} {frequency}s, scaled to average 100",
        *observed.notes,
        f"strongest {max(index, key=index.__getitem__)}, weakest {min(index, key=index.__getitem__)}",
    ]
    if any(len(each) == 1 for each in ratios.values()):
        notes.append("some seasons rest on a single observation: take the indices as rough")
    return table(f"Seasonality of {observed.measure}", ["season", "index_pct", "observations"], rows, notes)


def _seasonal_ratios(observed: Observed, length: int) -> dict[str, list[float]]:
    """Value over centred moving average, by season, without the first and last half year, which have none."""
    half = length // 2
    ratios: defaultdict[str, list[float]] = defaultdict(list)
    for at in range(half, len(observed.values) - half):
        window = observed.values[at - half : at + half + 1]
        average = (math.fsum(window) - (window[0] + window[-1]) / 2) / length
        if average <= 0:
            raise ToolError(f"the year around {observed.labels[at]} is all zero, so it has no seasonal pattern")
        ratios[observed.periods[at].season].append(observed.values[at] / average)
    return ratios


def compare_periods(series: Series, period_a: str, period_b: str) -> Table:
    """The sums of two periods and the change from the first to the second."""
    observed = observe_in_time(series, at_least=1)
    a, b = _asked(observed, period_a), _asked(observed, period_b)
    notes = [
        f"method: sum of the {ADJECTIVE[observed.periods[0].frequency]} values in each period",
        *observed.notes,
    ]
    value_a, value_b = _sum_within(observed, a, notes), _sum_within(observed, b, notes)
    if a.frequency != b.frequency:
        notes.append("the two periods differ in length: the change is not like for like")
    if value_a <= 0:
        notes.append(f"no percentage is given: {period_a} is zero or less")
    row: list[Cell] = [period_a, observed.rounded(value_a), period_b, observed.rounded(value_b)]
    row += [observed.rounded(value_b - value_a), _rounded(percent_change(value_a, value_b))]
    columns = ["period_a", "value_a", "period_b", "value_b", "change", "change_pct"]
    return table(f"{period_a} against {period_b}: {observed.measure}", columns, [row], notes)


def _asked(observed: Observed, label: str) -> Period:
    period = parse_period(label)
    if period is None:
        raise ToolError(f"'{label}' is not a period; write it as {PERIOD_FORMS}")
    frequency = observed.periods[0].frequency
    if PER_YEAR[period.frequency] > PER_YEAR[frequency]:
        raise ToolError(f"'{label}' is finer than the series, which is {ADJECTIVE[frequency]}")
    return period


def _sum_within(observed: Observed, period: Period, notes: list[str]) -> float:
    """The sum over a period; parts without data are listed in `notes`."""
    value_at = dict(zip(observed.labels, observed.values, strict=True))
    parts = [each.label for each in period.parts(observed.periods[0].frequency)]
    present = [label for label in parts if label in value_at]
    if not present:
        raise ToolError(f"{period.label} is not in the series, which has {observed.labels[0]} to {observed.labels[-1]}")
    if len(present) < len(parts):
        absent = some([label for label in parts if label not in value_at])
        notes.append(f"{period.label} is incomplete: {len(present)} of {len(parts)} parts, without {absent}")
    return math.fsum(value_at[label] for label in present)


def _in_percent(before: float, after: float) -> str:
    change = percent_change(before, after)
    return "" if change is None else f" ({round(change, 2)} %)"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)

"""The input of every tool: a series of labelled values, and the parsing of labels as periods."""

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

from mcp.server.fastmcp.exceptions import ToolError
from pydantic import BaseModel, ConfigDict, Field

Frequency = Literal["year", "quarter", "month"]

PER_YEAR: dict[Frequency, int] = {"year": 1, "quarter": 4, "month": 12}
ADJECTIVE: dict[Frequency, str] = {"year": "yearly", "quarter": "quarterly", "month": "monthly"}
PERIOD_FORMS = "2024, 2024-Q1 or 2024-01"
MAX_POINTS = 2000
# Inside these, ratios and sums of up to 2,000 values stay finite and precise.
LARGEST, SMALLEST = 1e15, 1e-12

_PERIOD = re.compile(r"(?P<year>\d{4})(?:-(?:Q(?P<quarter>[1-4])|(?P<month>0[1-9]|1[0-2])))?", re.ASCII)
_TOTAL = re.compile(r"total \d{4}", re.ASCII)


class Point(BaseModel):
    """One value under its label."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    label: str = Field(max_length=200, description=f"a period ({PERIOD_FORMS}) or the name of a category")
    value: float | None = Field(description="the number; a missing one (null) is refused by its label", examples=[12.5])


class Series(BaseModel):
    """Labelled values: by reference to evidence, or a short list of points."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "evidence_id": "E3",
                    "label_column": "month",
                    "value_column": "revenue_eur",
                    "where": {"region": "North"},
                },
                {"points": [{"label": "2023", "value": 12.5}, {"label": "2024", "value": 14.1}]},
            ]
        },
    )

    evidence_id: str | None = Field(
        default=None,
        max_length=20,
        description="the evidence that holds the values; the caller's gateway fills in the points from it",
    )
    label_column: str | None = Field(default=None, max_length=200, description="its column with the labels: name it")
    value_column: str | None = Field(default=None, max_length=200, description="its column with the numbers: name it")
    where: dict[str, str | int | float | bool] | None = Field(
        default=None,
        description="keep only the rows with these values, so that each label is left once",
        examples=[{"region": "North"}],
    )
    points: list[Point] | None = Field(
        default=None,
        max_length=MAX_POINTS,
        fail_fast=True,
        description=f"the values themselves, when they are in no evidence; at most {MAX_POINTS}",
    )


@dataclass(frozen=True)
class Period:
    """A calendar year, quarter or month. `index` counts periods of that frequency since the year 0."""

    frequency: Frequency
    index: int

    @property
    def year(self) -> int:
        return self.index // PER_YEAR[self.frequency]

    @property
    def season(self) -> str:
        """The part of the year: `01` to `12`, `Q1` to `Q4`, or empty for a year."""
        number = self.index % PER_YEAR[self.frequency] + 1
        return {"year": "", "quarter": f"Q{number}", "month": f"{number:02}"}[self.frequency]

    @property
    def label(self) -> str:
        return f"{self.year:04}-{self.season}".rstrip("-")

    def plus(self, count: int) -> "Period":
        return Period(self.frequency, self.index + count)

    def parts(self, frequency: Frequency) -> list["Period"]:
        """The periods of a finer or equal frequency in this one; none for a coarser frequency."""
        ratio = PER_YEAR[frequency] // PER_YEAR[self.frequency]
        return [Period(frequency, self.index * ratio + each) for each in range(ratio)]


@dataclass(frozen=True)
class Observed:
    """A checked series. `periods` are those of the labels, in time order; empty for categories.

    `name` names the values; `measure`, for titles, also says how they were selected.
    """

    labels: list[str]
    values: list[float]
    periods: list[Period]
    name: str
    measure: str
    notes: list[str]

    @cached_property
    def decimals(self) -> int:
        """Decimals to round to: 2, or more to keep 4 digits if all values are small."""
        biggest = max(abs(each) for each in self.values)
        return max(2, 3 - math.floor(math.log10(biggest))) if biggest else 2

    def rounded(self, value: float) -> float:
        return round(value, self.decimals)


def parse_period(label: str) -> Period | None:
    """The period that a label names, or None for a category."""
    found = _PERIOD.fullmatch(label)
    if found is None:
        return None
    year = int(found["year"])
    if found["quarter"]:
        return Period("quarter", year * 4 + int(found["quarter"]) - 1)
    if found["month"]:
        return Period("month", year * 12 + int(found["month"]) - 1)
    return Period("year", year)


def observe(series: Series) -> Observed:
    """Check the values. They are in time order if all labels are periods of one frequency, else as given.

    Raises ToolError for no points, duplicate labels, and missing, infinite or huge values.
    """
    pairs, dropped = _without_totals(_pairs(series))
    _refuse_duplicates([label for label, _ in pairs])
    periods = [period for label, _ in pairs if (period := parse_period(label))]
    in_time = len(periods) == len(pairs) and len({each.frequency for each in periods}) == 1
    if in_time:
        pairs = [pair for _, pair in sorted(zip(periods, pairs, strict=True), key=lambda both: both[0].index)]
        periods.sort(key=lambda each: each.index)
    labels = [label for label, _ in pairs]
    return Observed(
        labels=labels,
        values=[value for _, value in pairs],
        periods=periods if in_time else [],
        name=_name(series),
        measure=_measure(series),
        notes=[f"computed on {_source(series)}: {_extent(labels)}", *dropped],
    )


def observe_in_time(series: Series, *, at_least: int = 2) -> Observed:
    """Like `observe`, for tools that need time. Also raises ToolError for categories and too few points."""
    observed = observe(series)
    if not observed.periods:
        odd = next((each for each in observed.labels if parse_period(each) is None), None)
        found = f"'{odd}' is not one" if odd else "they mix years, quarters and months"
        raise ToolError(f"every label must be a period of one kind ({PERIOD_FORMS}), but {found}")
    if len(observed.values) < at_least:
        finer = "" if observed.periods[0].frequency == "month" else "; use monthly values if there are any"
        raise ToolError(f"this needs at least {at_least} points and got {len(observed.values)}{finer}")
    return observed


def missing_between(periods: list[Period]) -> list[str]:
    """The labels of the periods that a sorted series skips."""
    return [
        before.plus(step).label for before, after in pairwise(periods) for step in range(1, after.index - before.index)
    ]


def refuse_gaps(observed: Observed) -> None:
    """Raise ToolError if the series skips periods."""
    if missing := missing_between(observed.periods):
        raise ToolError(f"the series skips {some(missing)}; every period must be there, with 0 if nothing happened")


def some(labels: list[str]) -> str:
    """At most five labels as text, and the number of others."""
    rest = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
    return ", ".join(labels[:5]) + rest


def clean(text: str) -> str:
    """One line of printable characters."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def _pairs(series: Series) -> list[tuple[str, float]]:
    if series.points is None:
        where = f"evidence {clean(series.evidence_id)} was not resolved" if series.evidence_id else "it is empty"
        raise ToolError(
            f"the series has no points ({where}); name an evidence_id with its label_column and value_column "
            "through a gateway that fills in the points, or pass points as [{label, value}, ...]"
        )
    if not series.points:
        raise ToolError("the series has 0 points; check that `where` matches rows of the evidence")
    return [_pair(point) for point in series.points]


def _pair(point: Point) -> tuple[str, float]:
    label = clean(point.label)
    if point.value is None or not math.isfinite(point.value):
        raise ToolError(f"the value of '{label}' is missing or not finite; leave that row out or correct it")
    if point.value and not SMALLEST <= abs(point.value) <= LARGEST:
        raise ToolError(f"the value of '{label}' is beyond {SMALLEST:.0e} to {LARGEST:.0e}; use another unit")
    return label, point.value


def _without_totals(pairs: list[tuple[str, float]]) -> tuple[list[tuple[str, float]], list[str]]:
    """Drop the `total 2026` rows of a forecast, which are sums of other rows."""
    kept = [pair for pair in pairs if not _TOTAL.fullmatch(pair[0])]
    dropped = [label for label, _ in pairs if _TOTAL.fullmatch(label)]
    if not dropped or not kept or not all(parse_period(label) for label, _ in kept):
        return pairs, []
    return kept, [f"left out, being sums of the other rows: {some(dropped)}"]


def _refuse_duplicates(labels: list[str]) -> None:
    twice = [label for label, count in Counter(labels).items() if count > 1]
    if twice:
        raise ToolError(
            f"each label must occur once, but these occur more often: {some(twice)}; "
            "use `where` to keep one row per label, or evidence with one row per label"
        )


def _name(series: Series) -> str:
    return clean(series.value_column or "value")


def _measure(series: Series) -> str:
    """A description for titles: `revenue_eur by month, region = North`."""
    by = f" by {clean(series.label_column)}" if series.label_column else ""
    kept = "".join(f", {clean(column)} = {clean(str(value))}" for column, value in (series.where or {}).items())
    return _name(series) + by + kept


def _extent(labels: list[str]) -> str:
    return f"{len(labels)} points, first {labels[0]}, last {labels[-1]}"


def _source(series: Series) -> str:
    return f"evidence {clean(series.evidence_id)} ({_measure(series)})" if series.evidence_id else "inline points"

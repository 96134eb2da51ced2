"""Charts that code draws from the evidence which a report cites: a series or comparison that has no chart yet.

A table is drawn where one block of the report (a table, a list, a paragraph) has several numbers from one of its
columns, and every row has one label of its own. Anything else would have to be guessed, and is left out.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from markdown_it.token import Token

from app.reports.carriers import Carrier, carriers
from graphs.evidence import units
from graphs.evidence.store import Evidence, evidence_ids

MOST = 6
LEAST_CITED, LEAST_POINTS = 2, 3
SMALLEST, LARGEST = 1e-9, 1e15  # what an axis can show; not infinite
MOST_BARS, MOST_PERIODS, MOST_LINES = 15, 240, 5
FIGURE = "figure"  # a token: a drawn chart in its `meta`, the caption as its content
_PERIOD = re.compile(r"(?:19|20)\d\d(?:[-/](?:Q[1-4]|H[12]|\d\d))?", re.ASCII)
_SUM = re.compile(r"(?:grand )?(?:total|sum|all)\b", re.IGNORECASE)

Points = dict[str, float]


class Series(NamedTuple):
    """What is drawn: points by label, of each line or group; `note` is what all rows have in common."""

    evidence: str
    measure: str
    by: str
    note: str
    in_time: bool
    groups: dict[str, Points]

    @property
    def key(self) -> str:
        """Unique in a report."""
        return f"{self.evidence}.{self.measure}"

    @property
    def title(self) -> str:
        """What the chart shows, in one line."""
        by = "period" if self.in_time and self.by == "label" else _words(self.by).lower()
        return f"{_measured(self.measure)} by {by}{f' ({self.note})' if self.note else ''}"


def add_figures(tokens: list[Token], evidence: Mapping[str, Evidence], order: Sequence[str]) -> None:
    """Put charts into the report, each behind the block with most of its numbers. `order` is that of the sources."""
    drawn = {name for chart in _charts(tokens) if chart in evidence for name in evidence_ids(evidence[chart].arguments)}
    blocks = [(end, Counter((each.evidence, each.column) for each in found)) for end, found in _blocks(tokens)]
    chosen: dict[int, Series] = {}
    seen: list[list[float]] = []
    wanted = {key for _, counts in blocks for key, count in counts.items() if count >= LEAST_CITED and key[1] >= 0}
    for name, column in sorted(wanted):
        end, counts = max(blocks, key=lambda block: block[1][name, column])
        if name in drawn or end in chosen or len(chosen) == MOST:
            continue
        found = series_of(name, evidence[name], column)
        values = [value for points in found.groups.values() for value in points.values()] if found else []
        if found and counts and values not in seen:
            chosen[end] = found
            seen.append(values)
    for end in sorted(chosen, reverse=True):
        series = chosen[end]
        whence = f"source {order.index(series.evidence) + 1}" if series.evidence in order else series.evidence
        caption = f"{series.title}. Drawn from {whence}."
        tokens.insert(end, Token(FIGURE, "", 0, content=caption, block=True, meta={FIGURE: series}))


def series_of(name: str, evidence: Evidence, column: int) -> Series | None:
    """The column of a table as a series in time, several such, or a comparison; None if it is none of them."""
    if evidence.table is None or evidence.content.get("unreliable_rows"):
        return None
    columns, rows = evidence.table
    rows = [row for row in rows if _is_number(row[column])]
    if not all(value == 0 or SMALLEST < abs(value) < LARGEST for value in (row[column] for row in rows)):
        return None
    at = [index for index in range(len(columns)) if index != column and all(_is_label(row[index]) for row in rows)]
    same = [index for index in at if len({row[index] for row in rows}) == 1]
    note = ", ".join(f"{_words(columns[index]).lower()}: {rows[0][index]}" for index in same) if len(rows) > 1 else ""
    at = [index for index in at if index not in same]
    told = (name, columns[column])
    for index in at:
        dated = [row for row in rows if _PERIOD.fullmatch(str(row[index]))]
        if 2 * len(dated) > len(rows) and LEAST_POINTS <= len({row[index] for row in dated}) <= MOST_PERIODS:
            if groups := _in_time(dated, index, at, column):
                return Series(*told, columns[index], note, True, groups)
            return None
    for index in (each for each in at if all(isinstance(row[each], str) for row in rows)):
        kept = [row for row in rows if not _SUM.match(str(row[index]))]
        if LEAST_POINTS <= len({row[index] for row in kept}) == len(kept) <= MOST_BARS:
            return Series(*told, columns[index], note, False, {"": {str(row[index]): row[column] for row in kept}})
    return None


def _in_time(rows: list[list[Any]], time: int, at: list[int], column: int) -> dict[str, Points] | None:
    """The values by period, of each group if a column of names tells several apart."""
    rows = sorted(rows, key=lambda row: str(row[time]))
    if len({str(row[time]) for row in rows}) == len(rows):
        return {"": {str(row[time]): row[column] for row in rows}}
    for index in at:
        names = dict.fromkeys(str(row[index]) for row in rows)
        if index == time or len(names) > MOST_LINES or len({(row[time], row[index]) for row in rows}) < len(rows):
            continue
        groups = {name: {str(row[time]): row[column] for row in rows if str(row[index]) == name} for name in names}
        if len({tuple(points) for points in groups.values()}) == 1:
            return groups
    return None


def _charts(tokens: Iterable[Token]) -> Iterator[str]:
    """The charts that the report shows."""
    for token in tokens:
        if "chart" in token.meta:
            yield token.meta["chart"]
        yield from _charts(token.children or [])


def _blocks(tokens: Sequence[Token]) -> Iterator[tuple[int, list[Carrier]]]:
    """Each block at the top of the report: where it ends, and the places of its numbers."""
    begun = 0
    for end, token in enumerate(tokens, start=1):
        if token.level == 0 and token.nesting <= 0:
            yield end, list(dict.fromkeys(carriers(tokens[begun:end])))
            begun = end


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _is_label(cell: object) -> bool:
    return (isinstance(cell, str) and 0 < len(cell) <= 60) or (isinstance(cell, int) and not isinstance(cell, bool))


def _measured(name: str) -> str:
    """The name of a column in words, a unit at its end as one: `Revenue in EUR`."""
    what, _, last = _words(name).rpartition(" ")
    unit = units.of_name(last)
    return f"{what} in {unit}" if what and unit not in {None, units.COUNT} else _words(name)


def _words(name: str) -> str:
    words = " ".join(name.replace("_", " ").split())
    return words[:1].upper() + words[1:]

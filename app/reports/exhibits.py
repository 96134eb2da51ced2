"""Evidence as a document shows it: a table with the cells that carry numbers marked, or a text by its lines."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from app.reports.carriers import Carrier
from graphs.evidence.store import Evidence

BEFORE, AFTER = 2, 3  # rows or lines around a place, in an excerpt
EXCERPT_CHARS = 700  # of a line of text in it


class Cell(NamedTuple):
    """A cell: its text, `anchor` if a link leads to it, and its classes."""

    text: str
    anchor: str
    kind: str


class Column(NamedTuple):
    """The name of a column, and whether it has numbers only."""

    name: str
    num: bool


class Line(NamedTuple):
    """A line of a text, and `anchor` if a link leads to it."""

    text: str
    anchor: str


class Exhibit(NamedTuple):
    """Columns and rows, or lines; `more` says what was left out."""

    columns: list[Column]
    rows: list[list[Cell]]
    lines: list[Line]
    more: str


def exhibit(name: str, evidence: Evidence, carriers: Collection[Carrier], most_rows: int, most_chars: int) -> Exhibit:
    """The evidence, in these bounds."""
    if evidence.table is None:
        text = evidence.text
        more = f"{len(text)} characters in total; the HTML report has all of them" if len(text) > most_chars else ""
        found = [_line(Carrier(name, row), line, carriers) for row, line in enumerate(_begun(text, most_chars))]
        return Exhibit([], [], found, more)
    columns, rows = evidence.table
    shown = rows[:most_rows]
    numeric = [all(_is_number(row[at]) for row in shown if row[at] is not None) for at in range(len(columns))]
    cells = [
        [
            _cell(Carrier(name, row, at), each, carriers, num)
            for at, (each, num) in enumerate(zip(line, numeric, strict=True))
        ]
        for row, line in enumerate(shown)
    ]
    more = f"{len(rows) - most_rows} more rows" if len(rows) > most_rows else ""
    return Exhibit([Column(each, num) for each, num in zip(columns, numeric, strict=True)], cells, [], more)


def rows_around(shown: Exhibit, place: Carrier) -> list[list[Cell]]:
    """The rows of an excerpt: only the one at this place is marked."""
    return [
        [
            cell if cell.anchor == place.anchor else cell._replace(kind=cell.kind.replace("carries", "").strip())
            for cell in row
        ]
        for row in _around(shown.rows, place.row)
    ]


def lines_around(shown: Exhibit, place: Carrier) -> list[Line]:
    """The lines of an excerpt."""
    return [each._replace(text=cut(each.text, EXCERPT_CHARS)) for each in _around(shown.lines, place.row)]


def _around(rows: Sequence[Line] | Sequence[list[Cell]], row: int) -> list:  # type: ignore[type-arg]
    at = max(row, 0)
    return list(rows[max(0, at - BEFORE) : at + AFTER + 1])


def cut(text: str, most: int) -> str:
    """The text, or its beginning."""
    return text if len(text) <= most else f"{text[:most]}\u2026"


def _begun(text: str, most: int) -> list[str]:
    """The first lines of the text, as many as fit."""
    if len(text) <= most:
        return text.splitlines()
    cut = text[:most]
    lines, _, rest = cut.rpartition("\n")
    return (lines if len(rest) < most // 2 else cut).splitlines()


def _line(place: Carrier, text: str, carriers: Collection[Carrier]) -> Line:
    return Line(text, place.anchor if place in carriers else "")


def _cell(place: Carrier, value: object, carriers: Collection[Carrier], num: bool) -> Cell:
    kinds = ["num"] * num + ["carries"] * (place in carriers)
    return Cell("" if value is None else str(value), place.anchor if place in carriers else "", " ".join(kinds))


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)

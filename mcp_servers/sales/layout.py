"""Finds the table among the rows of a file or sheet: its header, titles above it, totals and remarks below it."""

import re
from collections import Counter
from collections.abc import Sequence

from mcp_servers.sales import dates, numbers
from mcp_servers.sales.settings import TableSettings

Row = Sequence[str]

ROWS_SEEN, MOST_FOOTERS, NARROW = 100, 10, 2
REMARK = re.compile(r"^[*\u00a9]|\w: \w|.{40}")
YEAR = re.compile(r"(19|20)\d\d")
TOTALS = {
    "total",
    "totals",
    "subtotal",
    "zwischensumme",
    "grand total",
    "sum",
    "summe",
    "gesamt",
    "gesamtsumme",
    "somme",
    "totale",
    "suma",
    "итого",
}


def header(rows: Sequence[Row], settings: TableSettings) -> tuple[int, list[str], list[str]]:
    """How many of the first rows precede the data, the names of the columns, and notes."""
    widths = Counter(len(row) for row in rows[:ROWS_SEEN] if _filled(row))
    if not widths:
        return len(rows), [], []
    width = max(widths, key=lambda each: (widths[each], each))
    at = _header_at(rows[:ROWS_SEEN], width) if settings.header_line is None else settings.header_line - 1
    if at is None or at < 0:
        first = next(number for number, row in enumerate(rows) if _filled(row))
        notes = [] if settings.header_line == 0 else ["no line has names of columns; say header_line = 1 if it has"]
        return (0 if at == -1 else first), _unique([""] * width), notes
    above = [" ".join(filter(None, row)) for row in rows[:at] if _filled(row)]
    notes = [f"{len(above)} lines above the header left out: {'; '.join(above)[:200]}"] if above else []
    names = list(rows[at]) if at < len(rows) else []
    return at + 1, _unique([*names, *[""] * (width - len(names))]), notes


def footer(rows: Sequence[Row], width: int, settings: TableSettings) -> tuple[int, list[str]]:
    """How many of the last rows are no data, and notes: remarks that fill one cell, and a total with empty cells."""
    count = settings.footer_lines
    notes = []
    if count is None:
        count = 0
        while count < min(MOST_FOOTERS, len(rows) - 1) and _is_remark(rows[-1 - count], width):
            count += 1
        last = rows[-1 - count] if len(rows) > count else []
        if _is_total(last) and _filled(last) < width:
            count += 1
        elif _is_total(last):
            notes.append(
                f"the last row looks like a total but counts as data; if it is one, say footer_lines = {count + 1}"
            )
    count = min(count, len(rows))
    left_out = [" ".join(filter(None, row)) for row in rows[len(rows) - count :] if _filled(row)]
    if left_out:
        notes.append(f"{len(left_out)} lines below the data left out: {'; '.join(left_out)[:200]}")
    return count, notes


def _header_at(rows: Sequence[Row], width: int) -> int | None:
    """The first row that names most columns, if it has no number or date among the names; a year may be a name."""
    for at, row in enumerate(rows):
        if 2 * _filled(row) > width:
            cells = [cell.strip() for cell in row if cell.strip()]
            data = [cell for cell in cells if (numbers.fits(cell) or dates.fits(cell)) and not YEAR.fullmatch(cell)]
            return at if not data and any(not YEAR.fullmatch(cell) for cell in cells) else None
    return None


def _filled(row: Row) -> int:
    return sum(bool(cell.strip()) for cell in row)


def _is_remark(row: Row, width: int) -> bool:
    """Whether it fills one cell, and is no row of which the rest is missing: shorter, or longer than a value."""
    said = "".join(row).strip()
    if width <= NARROW or _filled(row) > 1 or numbers.fits(said):
        return False
    return not said or len(row) < width or REMARK.search(said) is not None


def _is_total(row: Row) -> bool:
    return next((cell.strip().rstrip(":").lower() for cell in row if cell.strip()), "") in TOTALS


def _unique(names: Sequence[str]) -> list[str]:
    found: dict[str, str] = {}  # by what DuckDB takes for the same name
    for number, name in enumerate(names, start=1):
        plain = wish = name.strip() or f"column {number}"
        repeats = number
        while plain.casefold() in found:
            plain, repeats = f"{wish} ({repeats})", repeats + 1
        found[plain.casefold()] = plain
    return list(found.values())

"""Writes the rows of a spreadsheet or of SQLite as text, so that loose types are read as those of a CSV file."""

import csv
import sqlite3
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import date, datetime, time
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mcp_servers.sales import layout
from mcp_servers.sales.plain import quoted
from mcp_servers.sales.settings import TableSettings
from mcp_servers.sales.text_files import TextTable

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
LONG = 10**15  # from here on a spreadsheet's numbers are not exact


def sheets(file: Path) -> Iterator[tuple[str, Iterator[list[str]], list[str]]]:
    """The name and rows of each sheet of a spreadsheet, and notes. Raises any exception for a damaged file."""
    from python_calamine import CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum  # noqa: PLC0415

    with CalamineWorkbook.from_path(file) as book:
        for about in book.sheets_metadata:
            if about.typ == SheetTypeEnum.WorkSheet:
                sheet = book.get_sheet_by_name(about.name)
                merged = len(sheet.merged_cell_ranges or [])
                notes = ["a hidden sheet"] if about.visible != SheetVisibleEnum.Visible else []
                notes += [f"{merged} merged cells: only the first of each has the value"] if merged else []
                yield about.name, ([_text(cell) for cell in row] for row in sheet.iter_rows()), notes


def sheet_table(rows: Iterator[list[str]], told: Sequence[str], settings: TableSettings, scratch: Path) -> TextTable:
    """The table in a sheet, with what is told of it; without names it is empty."""
    head = list(islice(rows, layout.ROWS_SEEN))
    skip, names, notes = layout.header(head, settings)
    notes += told
    if not names:
        return TextTable(scratch)
    own = (row for row in chain(head[skip:], rows) if any(row))
    table = written(names, _without_footer(own, len(names), settings, notes), scratch)
    table.notes = notes
    return table


def _without_footer(
    rows: Iterable[list[str]], width: int, settings: TableSettings, notes: list[str]
) -> Iterator[list[str]]:
    last = deque[list[str]]()
    for row in rows:
        last.append(row)
        if len(last) > layout.MOST_FOOTERS + (settings.footer_lines or 0):
            yield last.popleft()
    count, told = layout.footer(list(last), width, settings)
    notes += told
    yield from islice(last, len(last) - count)


def sqlite_tables(database: sqlite3.Connection) -> list[str]:
    """The names of the tables and views, without those of SQLite itself and of its extensions."""
    found = database.execute("SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND type <> 'shadow'")
    return sorted(name for name, _ in found if not name.startswith("sqlite_"))


def sqlite_table(database: sqlite3.Connection, table: str, scratch: Path) -> TextTable:
    """One table or view. Raises sqlite3.Error if it cannot be read."""
    with closing(database.execute(f"SELECT * FROM {quoted(table)} LIMIT 0")) as empty:  # noqa: S608
        names = [str(name) for name, *_ in empty.description]
    seen = {name: Counter[str]() for name in names}

    def cleaned(row: Sequence[Any]) -> list[str]:
        return [_clean(cell, seen[name]) for name, cell in zip(names, row, strict=True)]

    rows = database.execute(f"SELECT * FROM {quoted(table)}")  # noqa: S608
    found = written(names, map(cleaned, rows), scratch)
    for name, kinds in seen.items():
        if kinds["binary"]:
            found.notes.append(f"{name}: {kinds['binary']} binary values left out")
            found.left_out |= {name} if not kinds["text"] else set()
        if kinds["invalid"]:
            found.notes.append(f"{name}: {kinds['invalid']} values have invalid characters, shown as {REPLACEMENT}")
    return found


def opened_sqlite(file: Path) -> sqlite3.Connection:
    """The database, read-only, with text as bytes. Raises sqlite3.Error."""
    database = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
    database.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    return database


def written(names: Sequence[str], rows: Iterable[Sequence[str]], scratch: Path) -> TextTable:
    """A text file of rows, and how to read it."""
    table = TextTable(scratch / "rows", names=list(names), parallel=False)
    with table.path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(row[: len(names)] for row in rows)
    return table


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < LONG else repr(cell)
    if isinstance(cell, datetime):
        return (cell.date() if cell.time() == time() else cell).isoformat()
    return cell.isoformat() if isinstance(cell, date | time) else str(cell)


def _clean(cell: object, seen: Counter[str]) -> str:
    if cell is None:
        return ""
    seen["binary" if isinstance(cell, bytes) else "text"] += 1
    if not isinstance(cell, str):
        return "" if isinstance(cell, bytes) else _text(cell)
    plain = cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\0", REPLACEMENT)
    seen["invalid"] += plain != cell
    return plain

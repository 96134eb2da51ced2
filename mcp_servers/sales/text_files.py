"""Finds out how a text file is written: delimiter, quotes, line ends; and where the table in it is."""

import csv
import gzip
import io
import re
import shutil
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import duckdb

from mcp_servers.base.serving import StartupError
from mcp_servers.sales import layout
from mcp_servers.sales.encoding import detected, unicode_of
from mcp_servers.sales.plain import literal
from mcp_servers.sales.settings import TableSettings

BLOCK, TAIL = 1024 * 1024, 16 * 1024
MOST_HEAD_LINES, SNIFFED = 200, 4096
LINE_BYTES = 16 * 1024 * 1024
BUFFER_BYTES = 2 * LINE_BYTES  # DuckDB would take sixteen times a line
NONE = "\x1f"  # of a table with one column
DELIMITERS = ",;\t|"
if TYPE_CHECKING:
    from _csv import Reader

csv.field_size_limit(LINE_BYTES)


@dataclass
class TextTable:
    """A table in a text file, and what of it was left out."""

    path: Path
    delimiter: str = ","
    quote: str = '"'
    line_end: str = "\\n"  # as DuckDB has it
    lines: int = 0
    skip: int = 0
    names: list[str] = field(default_factory=list)
    padded: bool = False
    parallel: bool = True
    rows: int | None = None
    is_empty: bool = False
    left_out: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    @property
    def relation(self) -> str:
        """The SQL that reads it, all columns as text."""
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in self.names)
        found = (  # a path, names and options: nobody else's text
            f"read_csv({literal(str(self.path))}, auto_detect = false, header = false, columns = {{{columns}}}, "
            f"delim = {literal(self.delimiter)}, quote = {literal(self.quote)}, escape = {literal(self.quote)}, "
            f"new_line = {literal(self.line_end)}, skip = {self.skip}, "
            f"null_padding = {self.padded}, parallel = {self.parallel}, "
            f"max_line_size = {LINE_BYTES}, buffer_size = {BUFFER_BYTES})"
        )
        return found if self.rows is None else f"(SELECT * FROM {found} LIMIT {self.rows})"  # noqa: S608


def text_table(
    connection: duckdb.DuckDBPyConnection, file: Path, settings: TableSettings, settings_file: Path, scratch: Path
) -> TextTable:
    """How to read the file; copies that are needed for it are made in `scratch`. Without names it is empty.

    Raises StartupError for what only the owner of the data can decide; it names the setting.
    """
    table = TextTable(file, quote='"' if settings.quote is None else settings.quote)
    _as_utf8(table, settings, settings_file, scratch)
    with table.path.open(encoding="utf-8-sig", newline="") as text:
        first, second = text.readline(), text.readline()
    told = re.match(r'"?sep=(.)"?\r?\n', first)
    if said := settings.delimiter or (told and told[1]):
        table.delimiter = said
    elif settings.header_line is None and re.fullmatch(r"\w+\r?\n", first) and second.strip():
        table.delimiter = NONE  # a word above text is no title: that has more words, or an empty line below
        if any(each in second for each in DELIMITERS):
            table.notes.append("read as one column; if its first line is a title, say header_line = 2")
    else:
        table.delimiter = _delimiter(connection, table)
    rows, ends = _first_rows(table)
    table.skip, table.names, notes = layout.header([[], *rows[1:]] if told else rows, settings)
    table.notes += notes
    if table.names:
        _cut_head(table, ends[table.skip - 1] if table.skip else 0, settings_file, scratch)
        _bound(connection, table, settings, settings_file)
    return table


def _cut_head(table: TextTable, lines: int, settings_file: Path, scratch: Path) -> None:
    """Leave out what precedes the data, in a copy if it has quotes: DuckDB skips to the end where it cannot parse."""
    if lines > MOST_HEAD_LINES:
        raise StartupError(f"{_told('unterminated quote on Line: 1', table)} in {settings_file}")
    with table.path.open("rb") as content:
        head = b"".join(content.readline() for _ in range(lines))
        table.is_empty = not content.read(BLOCK).strip()
        if table.quote and table.quote.encode() in head:
            content.seek(len(head))
            table.path = scratch / "body"
            with table.path.open("wb") as out:
                shutil.copyfileobj(content, out, BLOCK)
            table.skip, table.lines = 0, table.lines - lines


def _bound(
    connection: duckdb.DuckDBPyConnection, table: TextTable, settings: TableSettings, settings_file: Path
) -> None:
    """Leave out what stands below the data, and read in parallel if that finds the same rows. Raises StartupError.

    Read serially, DuckDB drops everything after a quote that is not closed, without an error; in parallel, it cannot
    read fields with line ends beside lines with too few fields.
    """
    count, notes = layout.footer(_last_rows(table), len(table.names), settings)
    try:
        together = _counted(connection, table)
    except duckdb.InvalidInputException as error:
        if (line := _short_line(error)) and not table.padded:
            if line <= table.lines - count:
                table.notes.append(f"some lines have too few fields, such as line {line}; the others are empty")
            table.padded = True
            _bound(connection, table, settings, settings_file)
            return
        if "does not support null_padding" not in str(error) or _count(table.path, table.quote) % 2:
            raise StartupError(f"{_told(str(error), table)} in {settings_file}") from error
        together = -1
    table.parallel = False
    rows = together if together + table.skip == table.lines else _counted(connection, table)
    if not rows and not table.is_empty:
        raise StartupError(f"no row was found below the header; say header_line, delimiter or quote in {settings_file}")
    table.notes += notes
    table.parallel = rows == together and not count
    table.rows = rows - count if count else None


def _counted(connection: duckdb.DuckDBPyConnection, table: TextTable) -> int:
    [(rows,)] = connection.execute(f"SELECT count(*) FROM {table.relation}").fetchall()  # noqa: S608
    return int(rows)


def _short_line(error: Exception) -> int:
    """The line that has too few fields, if that is the error; else 0."""
    found = re.search(r"on Line: (\d+)(?s:.)*Expected Number of Columns: (\d+) Found: (\d+)", str(error))
    return int(found[1]) if found and int(found[3]) < int(found[2]) else 0


def _told(error: str, table: TextTable) -> str:
    found = re.search(r"on Line: (\d+)", error)
    line = f"line {found[1]}" if found else "a line"
    if fields := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", error):
        more = f"{line} has {fields[2]} fields, the header has {fields[1]}"
        return f"{more}; correct it, or say delimiter, quote or header_line"
    if "unterminated quote" in error and table.quote:
        return f'{line} has a quote ({table.quote}) that is not closed; correct it, or say quote = ""'
    if "Maximum line size" in error:
        return f'{line} is longer than {LINE_BYTES // 2**20} MB, as after a quote that is not closed; say quote = ""'
    return f"{line} cannot be read ({error.splitlines()[0][:100]}); correct it, or say delimiter or quote"


def _last_rows(table: TextTable) -> list[list[str]]:
    """The last rows; none where they may begin within a field."""
    size = table.path.stat().st_size
    with table.path.open("rb") as content:
        content.seek(max(0, size - TAIL))
        tail = content.read().decode(errors="replace")
    if size > TAIL and table.quote in tail and table.quote:
        return []
    return list(_reader(io.StringIO(tail, newline=""), table))[table.skip if size <= TAIL else 1 :]


def _as_utf8(table: TextTable, settings: TableSettings, settings_file: Path, scratch: Path) -> None:
    """Put a copy in place of the file if it is packed, not in UTF-8, or has line ends of several kinds."""
    if table.path.suffix.lower() == ".gz":
        with gzip.open(table.path) as packed, (scratch / "unpacked").open("wb") as out:
            shutil.copyfileobj(packed, out, BLOCK)
        table.path = scratch / "unpacked"
    encoding = settings.encoding or unicode_of(table.path)
    if encoding is None:
        encoding = detected(table.path, settings_file)
        table.notes.append(f"its encoding was detected: {encoding}")
    if encoding != "utf-8":
        try:
            _copy(table, scratch / "text", encoding, newline="")
        except (UnicodeError, LookupError) as error:
            raise StartupError(
                f"it is not text in {encoding} ({error}); say in {settings_file} which encoding it has"
            ) from error
    table.lines, returns = _count(table.path, "\n"), _count(table.path, "\r\n")
    if 0 < returns < table.lines:
        _copy(table, scratch / "lines", "utf-8", newline=None)
        returns = 0
    table.line_end = "\\r\\n" if returns else "\\n" if table.lines else "\\r"


def _copy(table: TextTable, copy: Path, encoding: str, newline: str | None) -> None:
    with (
        table.path.open(encoding=encoding, newline=newline) as old,
        copy.open("w", encoding="utf-8", newline="") as new,
    ):
        shutil.copyfileobj(old, new, BLOCK)
    table.path = copy


def _count(file: Path, sign: str) -> int:
    """How often a character of ASCII, or a pair of them, is in the file."""
    count, last = 0, b""
    with file.open("rb") as content:
        while block := content.read(BLOCK):
            if sign[0].encode() in block or last:
                count += block.count(sign.encode()) + (last + block[:1] == sign.encode())
            last = block[-1:] if len(sign) > 1 and block[-1:] == sign[0].encode() else b""
    return count


def _delimiter(connection: duckdb.DuckDBPyConnection, table: TextTable) -> str:
    try:
        [(found,)] = connection.execute(
            "SELECT Delimiter FROM sniff_csv(?, all_varchar = true, null_padding = true, quote = ?)",
            [str(table.path), table.quote],
        ).fetchall()
    except duckdb.Error:  # it says so when no delimiter gives columns
        found = None
    with table.path.open(encoding="utf-8-sig", newline="") as text:
        head = text.read(SNIFFED)
    return str(found) if found and found in DELIMITERS and found in head else max(DELIMITERS, key=head.count)


def _first_rows(table: TextTable) -> tuple[list[list[str]], list[int]]:
    """The first rows, and the lines at which they end."""
    with table.path.open(encoding="utf-8-sig", newline="") as text:
        reader = _reader(text, table)
        found = [(row, reader.line_num) for row in islice(reader, layout.ROWS_SEEN)]
    return [row for row, _ in found], [end for _, end in found]


def _reader(lines: TextIO, table: TextTable) -> "Reader":
    if not table.quote:
        return csv.reader(lines, delimiter=table.delimiter, quoting=csv.QUOTE_NONE)
    return csv.reader(lines, delimiter=table.delimiter, quotechar=table.quote)

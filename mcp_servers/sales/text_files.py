"""Finds out how a text file is written: encoding, delimiter, quotes, line ends; and where the table in it is."""

import codecs
import csv
import gzip
import io
import re
import shutil
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import duckdb

from mcp_servers.base.serving import StartupError
from mcp_servers.sales import layout
from mcp_servers.sales.plain import literal
from mcp_servers.sales.settings import TableSettings

ENCODINGS = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
)
# By how much an encoding has to be likelier than the next, in charset-normalizer's measures.
LESS_CHAOS, MORE_COHERENCE = 0.05, 0.15
BLOCK, HEAD, TAIL, JUDGED = 1024 * 1024, 256 * 1024, 16 * 1024, 64 * 1024
LINE_BYTES = 16 * 1024 * 1024
BUFFER_BYTES = 2 * LINE_BYTES  # DuckDB would take sixteen times a line
NONE = "\x1f"  # of a table with one column
DELIMITERS = ",;\t|"
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
    table = TextTable(scratch / "text", quote='"' if settings.quote is None else settings.quote)
    _as_utf8(file, table, settings, settings_file)
    with table.path.open(encoding="utf-8-sig", newline="") as text:
        head = text.read(HEAD)
    told = re.match(r'"?sep=(.)"?\r?\n', head)
    one = re.match(r"\w+\r?\n.", head)  # a word above text: no title, which would have more words or an empty line
    table.delimiter = settings.delimiter or (told[1] if told else NONE if one else _delimiter(connection, table.path))
    rows = _rows(head, table)
    table.skip, table.names, notes = layout.header([[], *rows[1:]] if told else rows, settings)
    table.notes += notes
    if table.names:
        _bound(connection, table, settings, settings_file)
    return table


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
        table.parallel = False
    except duckdb.InvalidInputException as error:
        if (line := _short_line(error)) and not table.padded:
            if line <= table.lines - count:
                table.notes.append(f"some lines have too few fields, such as line {line}; the others are empty")
            table.padded = True
            _bound(connection, table, settings, settings_file)
            return
        if "does not support null_padding" not in str(error) or _count(table.path, table.quote) % 2:
            raise StartupError(f"{_told(error, table)} in {settings_file}") from error
        table.parallel, together = False, -1
    every_line = table.parallel is False and together + table.skip == table.lines
    rows = together if every_line else _counted(connection, table)
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


def _told(error: Exception, table: TextTable) -> str:
    found = re.search(r"on Line: (\d+)", str(error))
    line = f"line {found[1]}" if found else "a line"
    if fields := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", str(error)):
        more = f"{line} has {fields[2]} fields, the header has {fields[1]}"
        return f"{more}; correct it, or say delimiter, quote or header_line"
    return f'{line} has a quote ({table.quote}) that is not closed; correct it, or say quote = ""'


def _last_rows(table: TextTable) -> list[list[str]]:
    size = table.path.stat().st_size
    with table.path.open("rb") as content:
        content.seek(max(0, size - TAIL))
        tail = content.read().decode(errors="replace")
    return _rows(tail, table)[table.skip if size <= TAIL else 1 :]


def _as_utf8(file: Path, table: TextTable, settings: TableSettings, settings_file: Path) -> None:
    """Set the path to the file, or to a copy of it: unpacked, in UTF-8, with line ends of one kind."""
    copy = table.path
    if file.suffix.lower() == ".gz":
        with gzip.open(file) as packed, copy.with_suffix(".unpacked").open("wb") as out:
            shutil.copyfileobj(packed, out, BLOCK)
        file = copy.with_suffix(".unpacked")
    encoding = settings.encoding or _unicode(file)
    if encoding is None:
        encoding = _detected(file, settings_file)
        table.notes.append(f"its encoding was detected: {encoding}")
    table.path = file
    table.lines, returns = _count(file, "\n"), _count(file, "\r\n")
    mixed = 0 < returns < table.lines
    table.line_end = "\\r\\n" if returns and not mixed else "\\n" if table.lines else "\\r"
    if encoding == "utf-8" and not mixed:
        return
    table.path = copy
    try:
        with (
            file.open(encoding=encoding, newline=None if mixed else "") as old,
            copy.open("w", encoding="utf-8", newline="") as new,
        ):
            shutil.copyfileobj(old, new, BLOCK)
    except (UnicodeError, LookupError) as error:
        raise StartupError(
            f"it is not text in {encoding} ({error}); say in {settings_file} which encoding it has"
        ) from error


def _unicode(file: Path) -> str | None:
    """The Unicode encoding of the file, if it is in one."""
    with file.open("rb") as content:
        first = content.read(4)
        if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            decoder.decode(first)
            while block := content.read(BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return None
    return "utf-8"


def _count(file: Path, sign: str) -> int:
    """How often a character of ASCII, or a pair of them, is in the file."""
    count, last = 0, b""
    with file.open("rb") as content:
        while block := content.read(BLOCK):
            if sign[0].encode() in block or last:
                count += block.count(sign.encode()) + (last + block[:1] == sign.encode())
            last = block[-1:] if len(sign) > 1 and block[-1:] == sign[0].encode() else b""
    return count


def _detected(file: Path, settings_file: Path) -> str:
    """The likeliest encoding. Raises StartupError if another one that gives another text is nearly as likely."""
    from charset_normalizer import from_bytes  # noqa: PLC0415

    with file.open("rb") as content:
        telling = (line for line in content if not line.isascii())
        judged = b"".join(islice(telling, 1000))[:JUDGED]
    found = list(from_bytes(judged, cp_isolation=list(ENCODINGS)))
    best = found[0] if found else None
    rivals = [
        each
        for each in found[1:]
        if best
        and str(each) != str(best)
        and each.chaos <= best.chaos + LESS_CHAOS
        and each.coherence >= best.coherence - MORE_COHERENCE
    ]
    if best and not rivals:
        return next(name for name in ENCODINGS if name in best.could_be_from_charset)
    likely = " or ".join(f'"{each.encoding}" ({_glimpse(str(each))})' for each in [*found[:1], *rivals][:4])
    raise StartupError(
        f"it is not UTF-8; say in {settings_file} which encoding it has, or save it as UTF-8. "
        f"encoding = {likely or '...'}"
    )


def _glimpse(text: str) -> str:
    return next((word for word in re.findall(r"\w+", text) if not word.isascii()), "")[:20]


def _delimiter(connection: duckdb.DuckDBPyConnection, file: Path) -> str:
    try:
        [(found,)] = connection.execute(
            "SELECT Delimiter FROM sniff_csv(?, all_varchar = true, null_padding = true)", [str(file)]
        ).fetchall()
    except duckdb.Error:  # it says so when no delimiter gives columns
        return ","
    return str(found) if found and found in DELIMITERS else ","


def _rows(text: str, table: TextTable) -> list[list[str]]:
    lines = io.StringIO(text, newline="")
    if not table.quote:
        return list(csv.reader(lines, delimiter=table.delimiter, quoting=csv.QUOTE_NONE))
    return list(csv.reader(lines, delimiter=table.delimiter, quotechar=table.quote))

"""Infers what the columns of a table of text hold: numbers, amounts of a currency, dates, or just text.

A column gets a type only if all its values fit. Its first rows suggest how it may be read (1,234 as one thousand or
as a decimal; 03/04/2024 as April or as March); every such way is then tried on all values, in one scan of the table.
Where several fit, the other columns of the table decide, or the owner of the data: nothing is guessed.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

from duckdb import DuckDBPyConnection

from mcp_servers.sales import dates, numbers
from mcp_servers.sales.plain import literal, quoted
from mcp_servers.sales.settings import TableSettings

SAMPLED, EXAMPLES = 500, 100
AT_ONCE = 50  # columns examined in one scan
ROUNDS = 5
MOSTLY = 0.5  # of its values fit a type: a note says which do not
MISSING = ("-", "--", "?", "NA", "N/A", "#N/A", "NAN", "NONE", "NULL", "#VALUE!", "#REF!", "#DIV/0!")
UNDECIDED = {
    "dates": 'text, because its {} dates may have the day or the month first; say in {}: dates = "day-first" or '
    '"month-first"; or "year-first", if 23/12/31 is in 2023',
    "decimal": 'text, because 1,234 in its {} numbers may be a decimal or not; say in {}: decimal = "." or ","',
}

Way = numbers.Number | dates.Date
FAMILIES = (numbers, dates)


@dataclass(frozen=True)
class Reading:
    """How to read a column: an SQL expression, notes on the result, and the currency: one, or the expression for it."""

    expression: str
    notes: tuple[str, ...] = ()
    currency: str = ""
    currency_expression: str = ""


@dataclass
class _Column:
    """A column while it is examined. `ways`: those that may fit all its values; none: text."""

    name: str
    values: Counter[str] = field(default_factory=Counter)
    spaced: bool = False
    ways: Sequence[Way] = ()
    evident: bool = False
    told: dict[tuple[str, str], Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return f"trim({quoted(self.name)})" if self.spaced else quoted(self.name)

    def learn(self, cells: Iterable[str], missing: Sequence[str]) -> None:
        """Take note of values, without those that are missing."""
        for cell in cells:
            value = cell.strip()
            self.spaced |= value != cell
            if value and value.upper() not in missing:
                self.values[value] += 1

    @property
    def setting(self) -> str:
        """The setting that chooses between its ways; empty for text."""
        return "" if not self.ways else "dates" if isinstance(self.ways[0], dates.Date) else "decimal"

    def measured(self, way: Way) -> dict[str, Any]:
        """What was counted of one way."""
        return {name: value for (choice, name), value in self.told.items() if choice == way.choice}


def readings(
    connection: DuckDBPyConnection, relation: str, names: Sequence[str], settings: TableSettings, file: Path
) -> dict[str, Reading]:
    """How to read these columns of text of `relation`, by name. `file`: the settings file, for notes."""
    missing = tuple(dict.fromkeys((*MISSING, *(word.upper() for word in settings.missing))))
    columns = _sampled(connection, relation, names, missing)
    kept = {name for name, each in settings.columns.items() if each.text}
    unsettled = [each for each in columns if each.name not in kept]
    for _ in range(ROUNDS):
        unsettled = [each for each in unsettled if _suggest(each)]
        for start in range(0, len(unsettled), AT_ONCE):
            _count(connection, relation, unsettled[start : start + AT_ONCE], missing)
        unsettled = [each for each in unsettled if not _settle(each)]
        for each in unsettled:
            _look_closer(connection, relation, each, missing)
        unsettled = [each for each in unsettled if each.ways]
    for each in unsettled:
        each.ways = ()
    _decide(columns, settings, file)
    return {each.name: _reading(each) for each in columns}


def _sampled(
    connection: DuckDBPyConnection, relation: str, names: Sequence[str], missing: Sequence[str]
) -> list[_Column]:
    listed = ", ".join(map(quoted, names))
    cells = connection.execute(f"SELECT {listed} FROM {relation} LIMIT {SAMPLED}").fetchall()  # noqa: S608
    columns = [_Column(name) for name in names]
    for at, column in enumerate(columns):
        column.learn((str(row[at]) for row in cells if row[at]), missing)
    return columns


def _family(value: str) -> ModuleType | None:
    return next((each for each in FAMILIES if each.fits(value)), None)


def _suggest(column: _Column) -> bool:
    """Find the ways to read the known values. False: it is text."""
    families = {value: _family(value) for value in column.values}
    counts = {each: sum(column.values[value] for value in families if families[value] is each) for each in FAMILIES}
    family = max(FAMILIES, key=lambda each: counts[each])
    column.ways = ()
    if counts[family] < MOSTLY * column.values.total():
        return False
    column.ways = list(family.ways(column.text, [value for value, its in families.items() if its is family]))
    if not column.ways:
        what = "dates are day first, others month first" if family is dates else "numbers have . for decimals, others ,"
        column.notes.append(f"text, because some of its {what}")
    return bool(column.ways)


def _count(connection: DuckDBPyConnection, relation: str, columns: Sequence[_Column], missing: Sequence[str]) -> None:
    """What scans of all values tell of each way; the second scan is for values that are missing or do not fit."""
    for column in columns:
        column.told.clear()
    _scan(
        connection,
        relation,
        columns,
        {(at, *key): measure for at, column in enumerate(columns) for key, measure in _measures(at, column)},
    )
    doubtful = {
        (at, way.choice, "misfits"): f"count(*) FILTER ({_read(at, way)} IS NULL AND {_present(column, missing)})"
        for at, column in enumerate(columns)
        for way in column.ways
        if column.told[way.choice, "misfits"]
    }
    if doubtful:
        _scan(connection, relation, columns, doubtful)


def _scan(
    connection: DuckDBPyConnection, relation: str, columns: Sequence[_Column], asked: Mapping[tuple[int, str, str], str]
) -> None:
    reads = [f"{way.read} AS {_read(at, way)}" for at, column in enumerate(columns) for way in column.ways]
    [found] = connection.execute(
        f"SELECT {', '.join(asked.values())} FROM (SELECT *, {', '.join(reads)} FROM {relation})"  # noqa: S608
    ).fetchall()
    for (at, choice, name), value in zip(asked, found, strict=True):
        columns[at].told[choice, name] = value


def _read(at: int, way: Way) -> str:
    return quoted(f" {at} {way.choice}")


def _measures(at: int, column: _Column) -> Iterator[tuple[tuple[str, str], str]]:
    filled = f"count(*) FILTER ({quoted(column.name)} <> '')"
    yield ("all", "filled"), filled
    for way in column.ways:
        read = _read(at, way)
        yield (way.choice, "fitting"), f"count({read})"
        yield (way.choice, "misfits"), f"{filled} - count({read})"
        for name, measure in way.measures(read).items():
            yield (way.choice, name), measure
    for one, other in combinations(column.ways, 2):
        differ = f"{one.compared(_read(at, one))} <> {other.compared(_read(at, other))}"
        yield (one.choice, f"differs from {other.choice}"), f"count(*) FILTER ({differ})"


def _present(column: _Column, missing: Sequence[str]) -> str:
    text = f"trim({quoted(column.name)})"
    return f"{text} <> '' AND upper({text}) NOT IN ({', '.join(map(literal, missing))})"


def _settle(column: _Column) -> bool:
    """Keep the ways that fit all values; of several, one if they come to the same. False: none fits."""
    fitting = [way for way in column.ways if not column.told[way.choice, "misfits"]]
    column.evident = len(fitting) == 1
    told = [way for way in fitting[1:] if column.told[fitting[0].choice, f"differs from {way.choice}"]]
    column.ways = [*fitting[:1], *told] or column.ways
    return bool(fitting)


def _look_closer(connection: DuckDBPyConnection, relation: str, column: _Column, missing: Sequence[str]) -> None:
    """Learn from values that fit no way: they suggest others, or show that the column is text."""
    misfit = " AND ".join(f"{way.read} IS NULL" for way in column.ways)
    rows = connection.execute(
        f"SELECT DISTINCT {quoted(column.name)} FROM {relation} "  # noqa: S608
        f"WHERE {misfit} AND {_present(column, missing)} ORDER BY ALL LIMIT {EXAMPLES}"
    ).fetchall()
    examples = [str(value) for (value,) in rows]
    what = "date" if column.setting == "dates" else "number"
    unreadable = [
        value for value in map(str.strip, examples) if _family(value) is not (dates if what == "date" else numbers)
    ]
    count = min(column.told[way.choice, "misfits"] for way in column.ways)
    if unreadable:
        column.notes.append(
            f"text, because {count} of its {column.told['all', 'filled']} values are not a {what}, such as "
            f"{unreadable[0][:40]!r}; correct them, or name them as missing = [...] in the settings"
        )
        column.ways = ()
    column.learn(examples, missing)


def _decide(columns: Sequence[_Column], settings: TableSettings, file: Path) -> None:
    """Where a column can be read in two ways, let the owner decide, or the other columns."""
    for setting, doubt in UNDECIDED.items():
        ours = [each for each in columns if each.setting == setting]
        evident = {each.ways[0].choice for each in ours if each.evident} - {""}
        told = getattr(settings, setting)
        choice = told or (evident.pop() if len(evident) == 1 else None)
        for each in (each for each in ours if len(each.ways) > 1):
            each.ways = [way for way in each.ways if way.choice == choice]
            if not each.ways:  # nothing decides, or what does is not one of its ways
                each.notes.append(doubt.format(each.told["all", "filled"], file.name))
            elif not told:
                each.notes.append(f"{setting} read as {choice}, like those of other columns")


def _reading(column: _Column) -> Reading:
    text = f"nullif({quoted(column.name)}, '')"
    told = column.measured(column.ways[0]) if column.ways else {}
    if not told.get("fitting"):
        return Reading(text, tuple(column.notes) if column.values or not column.told else ("no values",))
    [way] = column.ways
    missing = column.told["all", "filled"] - told["fitting"]
    value, notes = way.typed(told | {"all fit": not missing})
    notes = [*column.notes, *notes]
    if missing:
        notes.append(f"{missing} missing values were written as words or spaces")
    units = set(told.get("units") or [])
    if isinstance(way, dates.Date) or not units - {""}:
        return Reading(value, tuple(notes))
    if numbers.PERCENT in units:
        if len(units) > 1:
            return Reading(text, (*column.notes, "text, because only some of its values have a percent sign"))
        return Reading(value, (*notes, "in percent"))
    currencies = {numbers.CURRENCIES[unit] for unit in units if unit}
    if len(currencies) > 1:
        notes.append(f"amounts in {', '.join(sorted(currencies))}: never add these up")
        return Reading(value, tuple(notes), currency_expression=way.currency)
    notes += ["some amounts are written without currency"] if "" in units else []
    return Reading(value, tuple(notes), currencies.pop())

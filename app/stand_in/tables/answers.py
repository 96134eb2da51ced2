"""What to ask of described tables next, what its result says, and what a question cannot be answered from."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from agents.base import Finding
from app.stand_in.results import Result, number
from app.stand_in.tables.marks import Values
from app.stand_in.tables.reading import KNOWN, Reading, read
from app.stand_in.tables.schema import Column, columns_of, is_look, look, looked_up, phrases
from app.stand_in.tables.select import select, short

CAN_DO = (
    "The offline stand-in is rules and no language model: it tells how many there are, totals, averages, highest and "
    "lowest values of a column, by other columns, in a period, the top n, for values named as in 'in X' or 'column X'. "
    "With OPENAI_API_KEY set, a language model answers."
)
LONGEST_LIST = 1000


@dataclass(frozen=True)
class Statement:
    """What to ask next: a look, or what the reading says; `why` there is nothing to ask."""

    sql: str = ""
    reading: Reading | None = None
    why: str = ""


def statement(text: str, results: Sequence[Result]) -> Statement:
    """A look for what the question may name, unless the results have it; then the statement that answers."""
    if not (columns := columns_of(results)):
        return Statement()
    said = phrases(text, KNOWN, columns)
    first = look(said, columns)
    done = [each for each in results if first in each.call.arguments.values()]
    if first and not done:
        return Statement(first)
    values = looked_up(done[0], columns) if done else {}
    tables = dict.fromkeys(each.table for each in columns)
    tried = [read(text, [each for each in columns if each.table == table], values) for table in tables]
    clear = [each for each in tried if not each.left and not each.problems]
    clear = [each for each in clear if each.names_table] or clear
    if len(clear) == 1:
        return Statement(select(clear[0]), clear[0])
    nearest = min(tried, key=lambda each: (len(each.left), len(each.problems)))
    problems = (
        [f"it may be one about {' or '.join(each.table for each in clear)}"]
        if clear
        else [*_left(nearest, values), *nearest.problems]
    )
    return Statement(why=f"{_sentence('; '.join(problems))} {CAN_DO} {_has(columns)}")


def is_lead(result: Result) -> bool:
    """Whether it tells of tables only what may be asked."""
    return bool(columns_of([result])) or is_look(result.table.columns)


def is_own(result: Result) -> bool:
    """Whether it answers a statement."""
    return "SELECT " in str(result.call.arguments)


def findings(text: str, results: Sequence[Result]) -> tuple[list[Finding], list[str]]:
    """What the answer to the statement says, and why there is none or it is not all."""
    last = statement(text, results)
    told = [each for each in results if last.reading and last.sql in each.call.arguments.values()]
    if not last.reading or not told:
        return [], [last.why] if last.why else []
    found = [claim for each in told for claim in _claims(each, last.reading)]
    notes = [note for each in told for note in each.table.notes if note.startswith("cut")]
    return found, notes if found else [_nothing(last.reading)]


def _claims(result: Result, reading: Reading) -> Iterator[Finding]:
    """One for each row: the figure, and what it is about."""
    assert reading.figure
    name = short(reading.figure.name)
    unit = reading.figure.column.currency if reading.figure.column else ""
    period = ", ".join(each.label for each in reading.periods)[:60]
    for row in result.table.rows:
        about = ", ".join(f"{_spoken(each)} {cell}" for each, cell in row.items() if each != name and cell)
        if (value := number(row.get(name, ""))) is not None:
            claim = (
                f"{_spoken(name).capitalize()}{about and f' for {about}'}: {_shown(row[name], value)} {unit}".rstrip()
            )
            yield Finding(
                claim=claim[:600],
                value=value,
                unit=unit,
                period=period,
                evidence=[result.evidence],
                confidence="medium",
            )


def _nothing(reading: Reading) -> str:
    """That no row is of what was chosen."""
    chosen = [f"{_spoken(column.name)} {' or '.join(values)}" for column, values in reading.filters.items()]
    chosen += [f"{_spoken(reading.time.name)} {each.label}" for each in reading.periods if reading.time]
    return f"No row of {reading.table} that has such a figure is of {' and '.join(chosen) or 'this'}."


def _left(reading: Reading, values: Values) -> Iterator[str]:
    """What of the question is not understood, and how to say it where it is a value."""
    left = " ".join(reading.left)
    for said, [(column, value), *_] in values.items():
        if not said.isdigit() and re.search(rf"(?<!\w){re.escape(said)}(?!\w)", left, re.IGNORECASE):
            yield f"'{value}' may be a value of {column.name}; then write '{_spoken(column.name)} {value}'"
            left = re.sub(rf"(?<!\w){re.escape(said)}(?!\w)", " ", left, flags=re.IGNORECASE)
    if words := left.split():
        unknown = [each for each in words if each.lower() not in KNOWN] or words
        yield f"no column is called so, and none holds just that: {', '.join(map(repr, unknown))}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _has(columns: Sequence[Column]) -> str:
    tables = dict.fromkeys(each.table for each in columns)
    told = (f"{table} ({', '.join(each.name for each in columns if each.table == table)})" for table in tables)
    return textwrap.shorten(f"The tables: {'; '.join(told)}.", LONGEST_LIST, placeholder=" ...")


def _spoken(name: str) -> str:
    return name.replace("_", " ").strip()


def _shown(cell: str, value: float) -> str:
    """The number with four decimals, or four digits where it is small."""
    if cell.lstrip("-").isdigit():
        return cell
    rounded = f"{value:.4f}" if abs(value) >= 1 or not value else format(Decimal(f"{value:.4g}"), "f")
    return rounded.rstrip("0").rstrip(".") if "." in rounded else rounded

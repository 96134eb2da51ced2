"""One SELECT for a question, from the columns that a schema tool told. A word that no column explains makes it none."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from app.stand_in.policy.facts import CONDITION, HIGH, LOW, Asked
from app.stand_in.results import Result
from app.stand_in.words import mentions, stems, years

MOST_ROWS = 50
_NUMERIC = re.compile(r"int|dec|num|float|double|real", re.IGNORECASE)
_KEY = re.compile(r"(?:^|_)(?:id|key|code|no|year|zip)$", re.IGNORECASE)
_NO_SUM = re.compile(r"price|rate|pct|percent|share|ratio|average|avg|score|age|temperature|level|margin")
_SAID = (("table", "table_name"), ("column", "column_name"), ("type", "data_type"))


class Column(NamedTuple):
    """A column of a table. `values` are all that it holds, where they were listed."""

    table: str
    name: str
    is_measure: bool
    is_time: bool
    values: list[str]


def columns_of(results: Iterable[Result]) -> list[Column]:
    """The columns that results describe. Names that need quotes are left out."""
    found: list[Column] = []
    for row in (row for result in results for row in result.table.rows):
        table, name, kind = (row.get(each, row.get(other, "")) for each, other in _SAID)
        if table.isidentifier() and name.isidentifier():
            is_measure = bool(_NUMERIC.search(kind)) and not _KEY.search(name)
            is_time = bool(re.search(r"date|time", kind, re.IGNORECASE)) or name == "year"
            listed = row.get("values", "..")
            values = [] if ".." in listed else [each.strip() for each in listed.split(";") if each.strip()]
            found.append(Column(table, name, is_measure, is_time, values))
    return found


def select(asked: Asked, columns: Sequence[Column]) -> tuple[str, str]:
    """The statement, or "" and why there is none."""
    tables = dict.fromkeys(each.table for each in columns)
    tried = [_of_table(asked, [each for each in columns if each.table == table]) for table in tables]
    sql, missing = min(tried, key=lambda each: len(each[1]), default=("", []))
    known = ", ".join(dict.fromkeys(each.name for each in columns))
    why = f"The data has nothing for {', '.join(map(repr, missing))}; its columns are {known}."
    return ("", why) if missing else (sql, "")


def _of_table(asked: Asked, columns: Sequence[Column]) -> tuple[str, list[str]]:
    """The statement over one table, and the words of the question that it does not account for."""
    table, left, wanted = columns[0].table, asked.sought, years(asked.text)
    unknown = [name for group in asked.named for name in group if name not in wanted] + CONDITION.findall(asked.text)
    shown: dict[str, str] = {}  # expression by name: filters are shown, too, so that the rows say what they are about
    where: list[str] = []
    for column in (each for each in columns if not each.is_measure):
        names = [each for each in column.values if any(mentions(each, name) for name in unknown)]
        if said := [each for each in column.values if each in names or frozenset() < stems(each) <= left]:
            shown[column.name] = column.name
            where.append(_is_in(column.name, said))
            unknown = [name for name in unknown if not any(mentions(each, name) for each in names)]
            left -= stems(" ".join(said))
    others = stems(" ".join(each.name for each in columns if not each.is_measure))
    is_amount = not left & others and re.search(r"\bhow (?:many|much)\b", asked.text, re.IGNORECASE)
    measures = [each.name for each in columns if each.is_measure]
    measures = [each for each in measures if stems(each) & left] or (measures[:2] if is_amount else [])
    counts = "how many" in asked.text.lower() and bool(stems(table) & left)
    left -= stems(table)
    left |= {"month" if len(wanted) == 1 else "year"} if asked.topic & stems("develop trend") else set()
    for time in [each.name for each in columns if each.is_time][:1]:
        for step, length in (("year", 4), ("month", 7)):
            start = f"substr(CAST({time} AS VARCHAR), 1, {length})"
            where += [_is_in(start, wanted)] if wanted else []
            shown |= {f"{time}_{step}": start} if step in left or wanted else {}
            left, wanted = left - {step}, []
    shown |= {each.name: each.name for each in columns if stems(each.name) & left and each.name not in measures}
    left -= stems(" ".join(each.name for each in columns))
    figures = [f"count(*) AS number_of_{table}"] if counts else [_figure(each, asked, shown) for each in measures]
    missing = [*unknown, *wanted, *sorted(left)] or ([] if figures else [asked.text.strip(" ?")])
    group = f" GROUP BY {', '.join(shown.values())}" if shown else ""
    condition = f" WHERE {' AND '.join(where)}" if where else ""
    ranks = asked.topic & (HIGH | LOW) or not any(name.endswith(("_year", "_month")) for name in shown)
    order = f"{len(shown) + 1}{'' if asked.topic & LOW else ' DESC'}" if ranks else ", ".join(shown)
    listed = ", ".join([*(f"{each} AS {name}" if each != name else name for name, each in shown.items()), *figures])
    return f"SELECT {listed} FROM {table}{condition}{group} ORDER BY {order} LIMIT {MOST_ROWS}", missing  # noqa: S608


def _figure(name: str, asked: Asked, shown: Mapping[str, str]) -> str:
    """Summed, where sums make sense; the average or an extreme, where it is asked for."""
    if _NO_SUM.search(name) or asked.topic & stems("average mean"):
        return f"round(avg({name}), 4) AS average_{name}"
    if not shown and asked.topic & (HIGH | LOW):
        return f"max({name}) AS highest_{name}" if asked.topic & HIGH else f"min({name}) AS lowest_{name}"
    return f"sum({name}) AS total_{name}"


def _is_in(expression: str, values: Sequence[str]) -> str:
    listed = ", ".join("'" + each.replace("'", "''") + "'" for each in values)
    return f"{expression} IN ({listed})"

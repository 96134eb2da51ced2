"""One SELECT for a question, from the columns that a schema tool told. A word that no column explains makes it none."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.stand_in.policy.facts import CONDITION, HIGH, LOW, Asked
from app.stand_in.results import Result
from app.stand_in.words import mentions, stems, years

MOST_ROWS = 50
_NAMED, _OF, _TYPED = ("column", "column_name", "field", "name"), ("table", "table_name"), ("type", "data_type")
_NUMERIC = re.compile(r"int|dec|num|float|double|real", re.IGNORECASE)
_DATE = re.compile(r"date|time", re.IGNORECASE)
_KEY = re.compile(r"(?:^|_)(?:id|key|code|no|year|zip)$", re.IGNORECASE)
_NO_SUM = re.compile(
    r"price|rate|pct|percent|share|ratio|average|avg|score|age|temperature|level|margin", re.IGNORECASE
)


@dataclass(frozen=True)
class Column:
    """A column of a table. `values` are all that it holds, where they were listed."""

    table: str
    name: str
    kind: str
    values: tuple[str, ...] = ()

    @property
    def is_measure(self) -> bool:
        return bool(_NUMERIC.search(self.kind)) and not _KEY.search(self.name)

    @property
    def is_time(self) -> bool:
        return bool(_DATE.search(self.kind)) or self.name.lower() == "year"

    @property
    def quoted(self) -> str:
        return self.name if re.fullmatch(r"[a-z_][a-z0-9_]*", self.name) else f'"{self.name}"'


def columns_of(result: Result) -> list[Column]:
    """The columns that a result describes; none where it describes none."""
    head = result.table.columns
    name, of, kind = (next((each for each in like if each in head), "") for like in (_NAMED, _OF, _TYPED))
    rows = result.table.rows if name and of else []
    return [Column(row[of], row[name], row.get(kind, ""), _all(row.get("values", ""))) for row in rows]


def select(asked: Asked, columns: Sequence[Column]) -> tuple[str, str]:
    """The statement, or "" and why there is none."""
    if match := CONDITION.search(asked.text):
        return "", f"The stand-in does not read '{match.group()}', so no figure is given."
    tables = dict.fromkeys(each.table for each in columns)
    tried = [_of_table(asked, [each for each in columns if each.table == table]) for table in tables]
    if sql := next((sql for sql, missing in tried if not missing), ""):
        return sql, ""
    missing = min((missing for _, missing in tried), key=len, default=["a table"])
    known = ", ".join(dict.fromkeys(each.name for each in columns))
    return "", f"The data has nothing for {', '.join(repr(each) for each in missing)}; its columns are {known}."


def _of_table(asked: Asked, columns: Sequence[Column]) -> tuple[str, list[str]]:
    """The statement over one table, and the words of the question that it does not account for."""
    table, left, where = columns[0].table, set(asked.sought), list[str]()
    shown: dict[str, str] = {}  # expression by name: filters are shown, too, so that the rows say what they are about
    missing: list[str] = []
    time = next((each for each in columns if each.is_time), None)
    year = f"substr(CAST({time.quoted} AS VARCHAR), 1, 4)" if time else ""
    for alternatives in asked.named:
        if set(alternatives) <= set(years(asked.text)):
            found = (f"{time.name}_year", year, list(alternatives)) if time else None
        else:
            found = _holding(alternatives, columns)
        if not found:
            missing += alternatives
            continue
        shown[found[0]] = found[1]
        where.append(f"{found[1]} IN ({', '.join(map(_literal, found[2]))})")
    for column in columns:
        if (said := [each for each in column.values if stems(each) and stems(each) <= left]) and not column.is_measure:
            where.append(f"{column.quoted} IN ({', '.join(map(_literal, said))})")
            shown[column.name] = column.quoted
            left -= stems(" ".join(said))
    measures = [each for each in columns if each.is_measure and stems(each.name) & (left or asked.amounts)]
    measures = measures or [each for each in columns if each.is_measure and stems(each.name) & asked.amounts]
    counted = "how many" in asked.text.lower() and bool(stems(table) & left)
    left -= stems(table) | asked.amounts
    for step, length in (("year", 4), ("month", 7)):
        if step in left and time:
            shown[f"{time.name}_{step}"] = f"substr(CAST({time.quoted} AS VARCHAR), 1, {length})"
            left -= {step}
    for column in columns:
        if stems(column.name) & left and (column not in measures or counted):
            shown[column.name] = column.quoted
        left -= stems(column.name)
    figures = [f"count(*) AS number_of_{table}"] if counted else [_figure(each, asked, shown) for each in measures[:2]]
    missing += sorted(left) or ([] if figures else [asked.text.strip(" ?")])
    ranks = asked.topic & (HIGH | LOW) or not any(name.endswith(("_year", "_month")) for name in shown)
    way = "ASC" if asked.topic & LOW else "DESC"
    order = f" ORDER BY {f'{len(shown) + 1} {way}' if ranks else 1} LIMIT {MOST_ROWS}"
    listed = ", ".join([*(f"{each} AS {name}" if each != name else name for name, each in shown.items()), *figures])
    group = f" GROUP BY {', '.join(shown.values())}" if shown else ""
    condition = f" WHERE {' AND '.join(where)}" if where else ""
    return f"SELECT {listed} FROM {table}{condition}{group}{order}", missing  # noqa: S608


def _figure(column: Column, asked: Asked, shown: dict[str, str]) -> str:
    """Summed, where sums make sense; the average or an extreme, where it is asked for."""
    how, name = ("avg", "average") if _NO_SUM.search(column.name) else ("sum", "total")
    if asked.topic & stems("average mean"):
        how, name = "avg", "average"
    elif not shown and asked.topic & (HIGH | LOW):
        how, name = ("max", "highest") if asked.topic & HIGH else ("min", "lowest")
    figure = f"{how}({column.quoted})"
    return f"{f'round({figure}, 4)' if how == 'avg' else figure} AS {name}_{re.sub(r'[^A-Za-z0-9_]', '_', column.name)}"


def _holding(names: Sequence[str], columns: Sequence[Column]) -> tuple[str, str, list[str]] | None:
    """The column whose values have these names: its name, its expression, the values."""
    for column in columns:
        found = [value for name in names for value in column.values if mentions(value, name)]
        if not column.is_measure and all(any(mentions(value, name) for value in column.values) for name in names):
            return column.name, column.quoted, list(dict.fromkeys(found))
    return None


def _all(listed: str) -> tuple[str, ...]:
    """The values, where the schema lists them all."""
    return tuple(each.strip() for each in listed.split(";")) if listed and ".." not in listed else ()


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"

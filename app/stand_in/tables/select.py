"""The SELECT of a reading. It shows all that was chosen, so that its rows say what they are about."""

from dataclasses import dataclass, field

from app.stand_in.tables.reading import Reading
from app.stand_in.tables.schema import Column, literal, quoted

EMPTY, RANK, LONGEST_NAME = "(empty)", "rank", 38
_LENGTHS = {"year": 4, "month": 7, "day": 10}  # of a time in ISO format


@dataclass
class _Parts:
    """Expressions by their name in the result: constants, and what rows are grouped by; conditions."""

    shown: dict[str, str] = field(default_factory=dict)
    grouped: dict[str, str] = field(default_factory=dict)
    where: list[str] = field(default_factory=list)

    def choose(self, name: str, conditions: dict[str, str], label: str, *, apart: bool) -> None:
        """Only rows that fit one of the conditions, which are told apart where they are several."""
        self.where.append(f"({' OR '.join(conditions.values())})")
        if apart and len(conditions) > 1:
            cases = (f"WHEN {each} THEN {literal(value)}" for value, each in conditions.items())
            self.grouped[name] = f"CASE {' '.join(cases)} END"
        elif name not in self.grouped:
            self.shown[name] = literal(label)


def select(asked: Reading) -> str:
    """The statement. What is ranked is of all values and periods together; otherwise each has its own row."""
    assert asked.figure
    parts, apart = _Parts(grouped={short(each.name): _filled(each) for each in asked.groups}), not asked.most
    for column, values in asked.filters.items():
        conditions = {each: f"{quoted(column.name)} = {literal(each)}" for each in values}
        parts.choose(short(column.name), conditions, " or ".join(values), apart=apart)
    if asked.time:
        _in_time(asked, asked.time, parts, apart=apart)
    other = asked.figure.column.other_currency if asked.figure.column else ""
    if other and other not in parts.shown:
        parts.grouped[short(other)] = quoted(other)
    return _written(asked, parts, other)


def short(name: str) -> str:
    """A name that a result can have."""
    return name[:LONGEST_NAME]


def _written(asked: Reading, parts: _Parts, other: str) -> str:
    assert asked.figure
    figure, order = asked.figure, f"{asked.figure.sql} {asked.order or 'DESC'}"
    listed = [f"{each} AS {quoted(name)}" for name, each in {**parts.shown, **parts.grouped}.items()]
    if asked.most:
        among = f"PARTITION BY {quoted(other)} " if short(other) in parts.grouped else ""
        listed.append(f"rank() OVER ({among}ORDER BY {order}) AS {quoted(RANK)}")
    listed.append(f"{figure.sql} AS {quoted(short(figure.name))}")
    sql = f"SELECT {', '.join(listed)} FROM {quoted(asked.table)}"  # noqa: S608
    sql += f" WHERE {' AND '.join(parts.where)}" if parts.where else ""
    sql += f" GROUP BY {', '.join(parts.grouped.values())}" if parts.grouped else ""
    sql += f" HAVING count({figure.of}) > 0"
    by = ", ".join(parts.grouped.values())
    if asked.most:
        sql = f"SELECT * FROM ({sql}) AS ranked WHERE {quoted(RANK)} <= {asked.most}"  # noqa: S608
        order, by = quoted(RANK), ", ".join(map(quoted, parts.grouped))
    return f"{sql} ORDER BY {by if asked.step and not asked.most else f'{order}, {by}'}" if by else sql


def _in_time(asked: Reading, time: Column, parts: _Parts, *, apart: bool) -> None:
    moment, name = f"CAST({quoted(time.name)} AS VARCHAR)", short(time.name)
    digits = 4 if time.is_number else 10
    if asked.periods:
        conditions = {}
        for each in asked.periods:
            bounds = ((">=", each.start), ("<", each.end))
            conditions[each.label] = " AND ".join(
                f"{moment} {sign} {literal(end[:digits])}" for sign, end in bounds if end
            )
        parts.choose(name, conditions, ", ".join(conditions), apart=apart)
    if asked.step == "quarter":
        cases = " ".join(
            f"WHEN substr({moment}, 6, 2) < '{month}' THEN '-Q{at}'" for at, month in enumerate(("04", "07", "10"), 1)
        )
        parts.grouped[short(f"{time.name}_quarter")] = f"substr({moment}, 1, 4) || CASE {cases} ELSE '-Q4' END"
    elif asked.step:
        parts.grouped[short(f"{time.name}_{asked.step}")] = f"substr({moment}, 1, {_LENGTHS[asked.step]})"


def _filled(column: Column) -> str:
    return f"coalesce(nullif(CAST({quoted(column.name)} AS VARCHAR), ''), '{EMPTY}')"

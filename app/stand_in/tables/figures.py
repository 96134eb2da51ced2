"""What is counted or computed of a column. In doubt it is nothing, and why."""

import re
from typing import NamedTuple

from app.stand_in.tables.marks import Mention
from app.stand_in.tables.schema import Column, quoted

SUM, AVERAGE, HIGHEST, LOWEST = "total", "average", "highest", "lowest"
_SQL = {SUM: "sum", AVERAGE: "avg", HIGHEST: "max", LOWEST: "min"}


class Figure(NamedTuple):
    """An expression, its name, and what it is of; the column and the way in which it is computed, if it is."""

    name: str
    sql: str
    of: str
    column: Column | None = None
    way: str = ""


def count(mention: Mention) -> Figure | str:
    """How many there are: different keys, rows, different values, or a sum of pieces; or why it cannot be told."""
    name = f"number_of_{_name(mention.said)}"
    counted = [each for each in mention.columns if each.is_key] or mention.groups
    if len(counted) == 1 and (counted[0].is_key or not mention.is_rows):
        of = f"DISTINCT {quoted(counted[0].name)}"
        return Figure(name, f"count({of})", of)
    if mention.is_rows and not counted:
        return Figure(name, "count(*)", "*")
    if len(mention.measures) == 1 and mention.measures[0].is_added_up:
        return compute(mention.measures[0], SUM)
    return f"it cannot tell what to count for '{mention.said}'"


def measure(mention: Mention, way: str) -> Figure | str:
    """The figure of the one measure that is meant. Without a way, the sum where sums make sense."""
    if len(mention.measures) != 1:
        names = ", ".join(each.name for each in mention.columns)
        return f"'{mention.said}' is not one column of numbers, but {names or 'the table'}"
    [column] = mention.measures
    if not way and not column.is_added_up:
        return f"say the average, highest or lowest {mention.said}" + (
            "" if column.is_added_up is False else ", or total"
        )
    if way == SUM and column.is_added_up is False:
        return f"{column.name} is nothing to add up; ask for the average, highest or lowest"
    return compute(column, way or SUM)


def compute(column: Column, way: str) -> Figure:
    """Sum, average or extreme of a column."""
    return Figure(
        f"{way}_{_name(column.name)}", f"{_SQL[way]}({quoted(column.name)})", quoted(column.name), column, way
    )


def _name(said: str) -> str:
    return re.sub(r"\W+", "_", said.lower()).strip("_")

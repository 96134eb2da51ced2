"""What tools return, in any form: tables as CSV, JSON or Markdown, and plain text."""

import csv
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.stand_in.turns import Answer, Rows, rows_of
from app.stand_in.wire import Call

LONG = 120  # characters from which a value is a text of its own
_HEAD = re.compile(r"[^\W\d][\w %/()€$£#-]{0,40}")
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")


@dataclass(frozen=True)
class Result:
    """What a call gave: rows, where it is a table, and prose. `tool` is what is said of the tool."""

    call: Call
    evidence: str
    table: Rows
    text: str
    title: str
    tool: str

    @classmethod
    def of(cls, call: Call, answer: Answer, tool: str) -> "Result":
        """Reads an answer that did not fail."""
        head = answer.text.partition("\n")[0]
        title = head.lstrip("# ") if head.startswith("# ") else ""
        return cls(call, answer.evidence, *read(answer.text), title, tool)


def read(text: str) -> tuple[Rows, str]:
    """The table of a text, without rows where there is none, and its prose: all that is no table, and long cells."""
    for form in (_from_json, _from_markdown, _from_csv):
        if table := form(text.strip()):
            return table, "\n\n".join(filter(None, map(_prose, table.rows)))
    return Rows([], [], []), text


def _prose(row: dict[str, str]) -> str:
    """The long cells of a row, under its short ones."""
    long = [cell for cell in row.values() if len(cell) > LONG or "\n" in cell]
    return "\n".join(["# " + " ".join(cell for cell in row.values() if cell not in long), *long]) if long else ""


def number(cell: str) -> float | None:
    """The number that a cell is, or None, as for one that is beyond all bounds."""
    found = float(cell.replace(",", "")) if _NUMBER.fullmatch(cell.strip()) else math.inf
    return found if math.isfinite(found) else None


def _from_json(text: str) -> Rows | None:
    try:
        said: Any = [json.loads(line) for line in text.splitlines()] if "\n{" in text else json.loads(text)
    except (ValueError, RecursionError):
        return None
    said = next(_lists(said), said)
    rows = [_flat(each) for each in (said if isinstance(said, list) else [said]) if isinstance(each, dict)]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return Rows(columns, [{name: row.get(name, "") for name in columns} for row in rows], []) if rows else None


def _lists(said: Any) -> Iterator[Any]:
    """The lists of objects in an object, the outermost first."""
    if isinstance(said, list) and len(said) == 1:
        yield from _lists(said[0])
    for value in said.values() if isinstance(said, dict) else ():
        if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            yield value
        yield from _lists(value) if isinstance(value, dict) else ()


def _flat(said: Any, path: str = "") -> dict[str, str]:
    if not isinstance(said, dict):
        shown = "; ".join(map(str, said)) if isinstance(said, list) else "" if said is None else str(said)
        return {path: shown}
    return {name: each for key, value in said.items() for name, each in _flat(value, f"{path} {key}".strip()).items()}


def _from_markdown(text: str) -> Rows | None:
    lines = [line.strip().strip("|") for line in text.splitlines() if "|" in line]
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    if len(cells) < 3 or not re.fullmatch(r"[\s:|-]*-[\s:|-]*", lines[1]):
        return None
    return Rows(cells[0], [dict(zip(cells[0], row, strict=False)) for row in cells[2:]], [])


def _from_csv(text: str) -> Rows | None:
    lines = [line for line in text.splitlines() if line and not line.startswith("# ")]
    for mark in (",", "\t", ";"):
        try:
            heads, *rows = csv.reader(lines, delimiter=mark) if lines else [[]]
        except csv.Error:
            return None
        is_even = bool(rows) and {*map(len, rows)} == {len(heads)} and (len(heads) > 1 or text.startswith("# "))
        if is_even and all(_HEAD.fullmatch(each) for each in heads):
            return Rows(heads, [dict(zip(heads, row, strict=True)) for row in rows], rows_of(text).notes)
    return None

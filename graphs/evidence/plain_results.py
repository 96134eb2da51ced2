"""The numbers in a result of unknown shape: text that may be JSON, CSV or prose, and any structured JSON."""

import csv
import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from graphs.evidence.numbers import numbers_in

_RULE = re.compile(r"[|:\s-]*-[|:\s-]*")
_GROUPED = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")


def numbers_of(text: str, structured: Any) -> frozenset[Decimal]:
    """All numbers in either. In JSON and CSV a comma ends a number; in prose it may group digits."""
    said = _json(text)
    leaves = [*_leaves([*_lines(text)] if said is None else said), *_leaves(structured)]
    measured = [each for each in leaves if isinstance(each, int | float) and not isinstance(each, bool)]
    finite = [number for each in measured if (number := abs(Decimal(str(each)))).is_finite()]
    return numbers_in(each for each in leaves if isinstance(each, str)) | frozenset(finite)


def table_of(text: str, structured: Any) -> tuple[list[str], list[list[Any]]] | None:
    """Columns and rows, if the result is a list of flat objects, CSV with a header, or has one table in Markdown."""
    for value in (structured, _json(text)):
        lists = [value, *(value.values() if isinstance(value, dict) else ())]
        rows = next((each for each in lists if isinstance(each, list) and each and all(map(_is_flat, each))), None)
        if rows:
            columns = list(dict.fromkeys(str(name) for row in rows for name in row))
            return columns, [[row.get(name) for name in columns] for row in rows]
    lines = _in_markdown(text) or _in_csv(text)
    if len(lines) < 2 or len(lines[0]) < 2 or any(len(row) != len(lines[0]) for row in lines):
        return None
    return lines[0], [[_cell(each) for each in row] for row in lines[1:]]


def _in_markdown(text: str) -> list[list[str]]:
    rows = [line.strip() for line in text.splitlines() if line.strip().startswith("|")]
    rules = [at for at, line in enumerate(rows) if _RULE.fullmatch(line)]
    if rules != [1]:
        return []
    return [[cell.strip(" *`") for cell in line.strip("|").split("|")] for at, line in enumerate(rows) if at != 1]


def _in_csv(text: str) -> list[list[str]]:
    try:
        return [row for row in csv.reader(text.splitlines()) if row]
    except csv.Error:  # a line beyond the module's limit, which is no table
        return []


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_flat(value: Any) -> bool:
    return isinstance(value, dict) and not any(isinstance(each, dict | list) for each in value.values())


def _cell(text: str) -> str | float:
    try:
        value = float(text.replace(",", "") if _GROUPED.fullmatch(text) else text)
    except ValueError:
        return text
    return value if math.isfinite(value) else text


def _lines(text: str) -> Iterator[str]:
    """Each line; also its cells, if it has as many as a header line above it. It may still be prose."""
    names = 0
    for line in text.splitlines():
        yield line
        cells = line.split(",")
        if names > 1 and len(cells) == names:
            yield from cells
        elif not any(cell.strip()[:1].isdigit() for cell in cells):
            names = len(cells)
        else:
            names = 0


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _leaves(each)
    else:
        yield value

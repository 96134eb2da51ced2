"""The numbers in a result of unknown shape: text that may be JSON, CSV or prose, and any structured JSON."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from graphs.evidence.numbers import numbers_in


def numbers_of(text: str, structured: Any) -> frozenset[Decimal]:
    """All numbers in either. In JSON and CSV a comma ends a number; in prose it may group digits."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = [*_lines(text)]
    leaves = [*_leaves(said), *_leaves(structured)]
    measured = [each for each in leaves if isinstance(each, int | float) and not isinstance(each, bool)]
    finite = [number for each in measured if (number := abs(Decimal(str(each)))).is_finite()]
    return numbers_in(each for each in leaves if isinstance(each, str)) | frozenset(finite)


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

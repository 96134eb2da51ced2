"""What is asked in an evaluation, and what a right answer holds."""

import pkgutil
from dataclasses import dataclass
from typing import Literal

from sample import EVAL_QUESTIONS

Kind = Literal["market", "sales", "both", "forecast", "unanswerable"]


@dataclass(frozen=True)
class Expected:
    """A number that the answer must state.

    `tolerance` is absolute, in `unit`. `said_with` are words that must stand by the number, for numbers that could be
    there for another reason. A unit of `% change` means that the sign counts: -8 must be told as a fall. Of a forecast
    the bounds of its interval do not count. `source` is the SQL or the id of the fact.
    """

    value: float
    unit: str
    tolerance: float
    said_with: tuple[str, ...]
    source: str
    is_forecast: bool = False


@dataclass(frozen=True)
class Question:
    """A question and what a right answer holds: the expected numbers, or, for what no data answers, one of the words
    in `gap`, and no number."""

    id: str
    kind: Kind
    text: str
    expected: tuple[Expected, ...] = ()
    gap: tuple[str, ...] = ()


def asked() -> tuple[Question, ...]:
    """The questions on the sample, with their expected answers, which are computed now."""
    found: tuple[Question, ...] = pkgutil.resolve_name(EVAL_QUESTIONS)()
    return found

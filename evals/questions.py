"""The questions of an evaluation, and what a right answer contains."""

import pkgutil
from dataclasses import dataclass
from typing import Literal

from sample import EVAL_QUESTIONS

Kind = Literal["market", "sales", "both", "forecast", "contradictory", "unanswerable"]


@dataclass(frozen=True)
class Expected:
    """A number that the answer must state.

    `tolerance` is absolute, in `unit`. `said_with` are words that must be near the number, for numbers that could occur
    for another reason. With the unit `% change` the sign counts: -8 must be reported as a fall. The bounds of a
    forecast's interval do not count. `source` is the SQL or the id of the fact.
    """

    value: float
    unit: str
    tolerance: float
    said_with: tuple[str, ...]
    source: str
    is_forecast: bool = False


@dataclass(frozen=True)
class Question:
    """A question and what a right answer contains: the expected numbers, or, if no data answers it, one of the words in
    `gap` and no number.

    Each of the `parts` is what one statement must be about: words that are all in it, `/` between alternatives.
    """

    id: str
    kind: Kind
    text: str
    expected: tuple[Expected, ...] = ()
    gap: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


def asked() -> tuple[Question, ...]:
    """The questions about the sample, with freshly computed expected answers."""
    found: tuple[Question, ...] = pkgutil.resolve_name(EVAL_QUESTIONS)()
    return found


def chosen(number: int, questions: tuple[Question, ...] | None = None) -> tuple[Question, ...]:
    """This many questions, spread over their kinds; of the sample's, unless others are given."""
    every = asked() if questions is None else questions
    return tuple(every[each * len(every) // number] for each in range(min(number, len(every))))

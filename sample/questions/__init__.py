"""The questions of `make evals`, a file for each kind. What counts as the right answer is computed, never typed."""

import functools

from evals.questions import Question
from sample.questions import both, contradictory, forecast, market, sales, unanswerable
from sample.truth import Truth, truth


@functools.cache
def asked() -> tuple[Question, ...]:
    """All of them, with what the data say. It takes three seconds, once per process."""
    with truth() as known:
        return questions(known)


def questions(known: Truth) -> tuple[Question, ...]:
    """All of them, by kind."""
    return (
        *market.questions(known),
        *sales.questions(known),
        *both.questions(known),
        *forecast.questions(known),
        *contradictory.questions(known),
        *unanswerable.questions(),
    )

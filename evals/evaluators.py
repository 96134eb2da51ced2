"""Scores of an answer: plain functions of a question and its job's output, the files and the `--json` document."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.questions import Expected, Question
from evals.report_text import Number, Statement, answer, numbers, share_carried, statements, uncarried

MICRO = 1_000_000
_FALLING = re.compile(
    r"\b(?:fell|fall|declin|decreas|drop|shr[aiu]nk|lower|down\b|less\b|below|minus)|[-\u2212]\d", re.IGNORECASE
)
_RISING = re.compile(r"\b(?:rose|ris(?:e|ing)|gr[eo]w|increas|higher|up\b|above|plus\b|gain)|\+\d", re.IGNORECASE)
_RANGE = re.compile(r"\b(?:interval|between|range|lower|upper|bound)", re.IGNORECASE)


@dataclass(frozen=True)
class Outcome:
    """A job's output.

    Args:
        result: the document that `tollgate run --json` prints.
        report: text of the report; empty if there is none.
        folder: the folder with the report and its `evidence/`.
        seconds: wall clock of the job.
    """

    result: dict[str, Any]
    report: str
    folder: Path
    seconds: float


@dataclass(frozen=True)
class Score:
    """One measure of one outcome. Qualities are 0 to 1; None means that there was nothing to measure."""

    key: str
    score: float | None
    comment: str = ""


Evaluator = Callable[[Question, Outcome], Score]


def read_outcome(result: dict[str, Any], seconds: float) -> Outcome:
    """The outcome that this document describes, with the report it names."""
    path = Path(result["report_path"]) if result["report_path"] else None
    return Outcome(result, path.read_text("utf-8") if path else "", path.parent if path else Path(), seconds)


def accuracy(question: Question, outcome: Outcome) -> Score:
    """The share of the expected numbers that the answer states, near the words that identify them."""
    if not question.expected:
        return Score("accuracy", None)
    said = list(statements(answer(outcome.report)))
    missing = [each for each in question.expected if not any(_states(one, each) for one in said)]
    share = 1 - len(missing) / len(question.expected)
    return Score("accuracy", share, "; ".join(f"no {each.value:,.2f} {each.unit}" for each in missing))


def citations(question: Question, outcome: Outcome) -> Score:
    """The share of the answer's numbers that are in the evidence files that their statement cites."""
    share = share_carried(outcome.report, outcome.folder, question.text)
    return Score("citations", share, "; ".join(uncarried(outcome.report, outcome.folder, question.text)))


def refusal(question: Question, outcome: Outcome) -> Score:
    """Whether an answerable question was answered, and any other refused: the gap named, and no number invented."""
    faults = list(
        _refused_wrongly(outcome) if question.kind != "unanswerable" else _answered_wrongly(question, outcome)
    )
    return Score("refusal", 0.0 if faults else 1.0, "; ".join(faults))


def cost(question: Question, outcome: Outcome) -> Score:  # noqa: ARG001
    """Micro-dollars at list price."""
    return Score("cost_micro_usd", round(outcome.result["cost_usd"] * MICRO))


def steps(question: Question, outcome: Outcome) -> Score:  # noqa: ARG001
    """Graph steps."""
    return Score("steps", outcome.result["steps"])


def model_calls(question: Question, outcome: Outcome) -> Score:  # noqa: ARG001
    """Model calls, including retries."""
    return Score("model_calls", outcome.result["model_calls"])


def tool_calls(question: Question, outcome: Outcome) -> Score:  # noqa: ARG001
    """Tool calls."""
    return Score("tool_calls", outcome.result["tool_calls"])


def latency(question: Question, outcome: Outcome) -> Score:  # noqa: ARG001
    """Wall-clock seconds."""
    return Score("seconds", round(outcome.seconds, 2))


EVALUATORS: tuple[Evaluator, ...] = (accuracy, citations, refusal, cost, steps, model_calls, tool_calls, latency)


def _states(statement: Statement, expected: Expected) -> bool:
    words = f"{statement.under} {statement.text}".lower()
    if not all(each.lower() in words for each in expected.said_with) or not _direction_fits(statement.text, expected):
        return False
    said = _points(statement) if expected.is_forecast else numbers(statement.text)
    return any(abs(each.value - abs(expected.value)) <= expected.tolerance for each in said)


def _points(statement: Statement) -> list[Number]:
    """The numbers of a forecast without its interval's bounds, one of which may be near the truth by chance."""
    said = numbers(_RANGE.split(statement.text)[0])
    return said[:1] if _RANGE.search(statement.under) else said


def _direction_fits(text: str, expected: Expected) -> bool:
    """Whether the direction matches: prose drops the sign and says `fell by 7.9%`."""
    if expected.unit != "% change":
        return True
    falling, rising = _FALLING.search(text), _RISING.search(text)
    return bool(falling) if expected.value < 0 else bool(rising or not falling)


def _refused_wrongly(outcome: Outcome) -> Iterator[str]:
    if not outcome.result["findings"]:
        yield f"no finding ({outcome.result['stop_reason']})"


def _answered_wrongly(question: Question, outcome: Outcome) -> Iterator[str]:
    if outcome.result["stop_reason"] != "not_in_data":
        yield f"ended with {outcome.result['stop_reason']} instead of not_in_data"
    if not any(word.lower() in gap.lower() for gap in outcome.result["gaps"] for word in question.gap):
        yield f"no gap names {' or '.join(question.gap)}"
    if outcome.result["findings"]:
        yield f"{len(outcome.result['findings'])} findings"
    asked = {each.value for each in numbers(question.text)}
    if invented := [each.text for each in numbers(answer(outcome.report)) if each.value not in asked]:
        yield f"numbers: {', '.join(invented)}"

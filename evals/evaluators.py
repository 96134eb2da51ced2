"""Scores of an answer: plain functions of a question and its job's output, the files and the `--json` document."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals import plan
from evals.questions import Expected, Question
from evals.report_text import Number, Statement, answer, numbers, share_carried, statements, uncarried
from evals.support import FALLING, RISING, share_supported, unsupported

MICRO = 1_000_000
_RANGE = re.compile(r"\b(?:interval|between|range|lower|upper|bound)", re.IGNORECASE)


@dataclass(frozen=True)
class Outcome:
    """A job's output.

    Args:
        result: the document that `tollgate run --json` prints.
        report: text of the report; empty if there is none.
        folder: the folder with the report and its `evidence/`.
        seconds: wall clock of the job.
        events: what the job told while it ran.
        problems: what the product's own check finds wrong with the report; None if it was not asked.
    """

    result: dict[str, Any]
    report: str
    folder: Path
    seconds: float
    events: Sequence[Mapping[str, Any]] = ()
    problems: Sequence[str] | None = None


@dataclass(frozen=True)
class Score:
    """One measure of one outcome. Qualities are 0 to 1; None means that there was nothing to measure."""

    key: str
    score: float | None
    comment: str = ""


Evaluator = Callable[[Question, Outcome], Score]


def read_outcome(result: dict[str, Any], seconds: float, **more: Any) -> Outcome:
    """The outcome that this document describes, with the report it names; `more` are other fields."""
    path = Path(result["report_path"]) if result["report_path"] else None
    return Outcome(result, path.read_text("utf-8") if path else "", path.parent if path else Path(), seconds, **more)


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


def support(question: Question, outcome: Outcome) -> Score:
    """The share of the answer's numbers whose cited evidence carries the statement around them as well."""
    share = share_supported(outcome.report, outcome.folder, question.text)
    return Score("support", share, "; ".join(unsupported(outcome.report, outcome.folder, question.text)))


def grounded(question: Question, outcome: Outcome) -> Score:  # noqa: ARG001
    """Whether the product's own check (`graphs.evidence.citations`) finds nothing wrong with the report."""
    if outcome.problems is None:
        return Score("grounded", None)
    return Score("grounded", 0.0 if outcome.problems else 1.0, "; ".join(outcome.problems))


def coverage(question: Question, outcome: Outcome) -> Score:
    """The share of the question's parts that a statement of the report, or a gap that it names, is about."""
    if not question.parts:
        return Score("coverage", None)
    said = [f"{each.under} {each.text}".lower() for each in statements(answer(outcome.report))]
    said += [each.lower() for each in outcome.result["gaps"]]
    missing = [each for each in question.parts if not any(_is_about(text, each) for text in said)]
    return Score(
        "coverage", 1 - len(missing) / len(question.parts), "; ".join(f"nothing on {each}" for each in missing)
    )


def plan_quality(question: Question, outcome: Outcome) -> Score:
    """Whether the sources were asked that the kind of question needs, and no others."""
    return Score("plan", *plan.matched(question.kind, (each["server"] for each in outcome.result["evidence"])))


def cost(question: Question, outcome: Outcome) -> Score:  # noqa: ARG001
    """Micro-dollars at list price."""
    return Score("cost_micro_usd", round(outcome.result["cost_usd"] * MICRO))


def over_reservation(question: Question, outcome: Outcome) -> Score:  # noqa: ARG001
    """What was reserved for all calls, each at its worst, by what they cost."""
    paid, secured = outcome.result["cost_usd"], outcome.result["secured_usd"]
    return Score("over_reservation", round(secured / paid, 3) if paid else None)


def escalations(question: Question, outcome: Outcome) -> Score:  # noqa: ARG001
    """How often a limit stopped the work: a human would be asked, unless the job is to end by itself."""
    stopped = [each for each in outcome.events if each["type"] == "budget" and each.get("stop_reason")]
    return Score("escalations", len(stopped), "; ".join(each["stop_reason"] for each in stopped))


def latency(question: Question, outcome: Outcome) -> Score:  # noqa: ARG001
    """Wall-clock seconds."""
    return Score("seconds", round(outcome.seconds, 2))


def _counted(key: str) -> Evaluator:
    def count(question: Question, outcome: Outcome) -> Score:  # noqa: ARG001
        return Score(key, outcome.result[key])

    return count


QUALITIES: tuple[Evaluator, ...] = (accuracy, citations, support, grounded, coverage, refusal, plan_quality)
COUNTS = ("steps", "model_calls", "tool_calls", "input_tokens", "output_tokens")
AMOUNTS: tuple[Evaluator, ...] = (cost, over_reservation, escalations, latency, *map(_counted, COUNTS))
EVALUATORS = (*QUALITIES, *AMOUNTS)


def _is_about(text: str, part: str) -> bool:
    return all(any(word in text for word in each.split("/")) for each in part.lower().split())


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
    falling, rising = FALLING.search(text), RISING.search(text)
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

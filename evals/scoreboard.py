"""A run's results: the tables and the file."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from evals.evaluators import MICRO, Score
from evals.intervals import Interval, bootstrap, wilson
from evals.questions import Kind

# 0 to 1, as the tables head them; and amounts.
QUALITIES = {
    "accuracy": "accuracy",
    "citations": "citations valid",
    "support": "citations support",
    "grounded": "grounded",
    "coverage": "coverage",
    "refusal": "refusal right",
    "plan": "plan",
}
AMOUNTS = {
    "cost_micro_usd": "USD",
    "over_reservation": "reserved / settled",
    "seconds": "seconds",
    "steps": "steps",
    "model_calls": "model calls",
    "tool_calls": "tool calls",
    "escalations": "escalations",
    "input_tokens": "tokens in",
    "output_tokens": "tokens out",
}

VERSIONS = "behaviour_versions"

Kept = Mapping[str, Any]  # by system, scores by question and name; under VERSIONS, versions by system


@dataclass(frozen=True)
class Answer:
    """One system's answer to one question, or the means of several."""

    question: str
    kind: Kind
    job_id: str
    scores: tuple[Score, ...]
    behaviour_version: str | None = None

    def score(self, key: str) -> float | None:
        """The score with this name; None if there was nothing to measure."""
        return next((each.score for each in self.scores if each.key == key), None)

    def comment(self, key: str) -> str:
        """What the evaluator with this name remarks."""
        return next((each.comment for each in self.scores if each.key == key), "")

    @property
    def comments(self) -> str:
        """The evaluators' comments, in one line."""
        return "; ".join(f"{each.key}: {each.comment}" for each in self.scores if each.comment)


Results = Mapping[str, Sequence[Answer]]


def by_question(answers: Iterable[Answer]) -> list[Answer]:
    """One answer per question: where it was asked several times, with the means, and the comments of the worst run."""
    runs: dict[str, list[Answer]] = {}
    for each in answers:
        runs.setdefault(each.question, []).append(each)
    return [_averaged(several) for several in runs.values()]


def tables(results: Results) -> Iterator[Table]:
    """Qualities, then amounts: a row for each kind and system, and one for all kinds. Each cell has the mean over the
    questions and below it the interval."""
    means = {name: by_question(answers) for name, answers in results.items()}
    yield _table("Qualities: mean, and 95 % interval (Wilson)", QUALITIES, means, wilson)
    yield _table("Amounts per question: mean, and 95 % interval (bootstrap)", AMOUNTS, means, bootstrap)


def mean(answers: Iterable[Answer], key: str) -> float | None:
    """The mean over the answers with this score; None if there are none."""
    scores = _scores(answers, key)
    return sum(scores) / len(scores) if scores else None


def document(results: Results) -> dict[str, Any]:
    """All scores and comments, as JSON. A question that was asked several times has its `runs` beside the means."""
    scores: dict[str, dict[str, dict[str, Any]]] = {}
    for name, answers in results.items():
        scores[name] = {
            each.question: {"kind": each.kind, "job_id": each.job_id, **_values(each), "comments": _comments(each)}
            for each in by_question(answers)
        }
        for question, entry in scores[name].items():
            runs = [each for each in answers if each.question == question]
            if len(runs) > 1:
                entry["runs"] = [{"job_id": each.job_id, **_values(each)} for each in runs]
    return {VERSIONS: versions(results), **scores}


def versions(results: Results) -> dict[str, str | None]:
    """The behaviour version of each system."""
    return {name: answers[-1].behaviour_version for name, answers in results.items() if answers}


def write_json(path: Path, content: object) -> None:
    """Write or overwrite the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def shown(key: str, value: float | None) -> str:
    """A value as the tables show it."""
    if value is None:
        return "-"
    if key == "cost_micro_usd":
        return f"{value / MICRO:.4f}"
    if key.endswith("_tokens"):
        return f"{value:,.0f}"
    return f"{value:.2f}" if key in {*QUALITIES, "over_reservation"} else f"{value:.1f}"


def _table(
    title: str,
    columns: Mapping[str, str],
    means: Results,
    interval: Callable[[Sequence[float]], Interval],
) -> Table:
    drawn = Table(title=title)
    for heading in ("questions", "n", "system", *columns.values()):
        is_name = heading in {"questions", "system"}
        drawn.add_column(heading, justify="left" if is_name else "right", no_wrap=is_name)
    kinds: list[Kind | None] = [*dict.fromkeys(each.kind for answers in means.values() for each in answers), None]
    for kind in kinds:
        for name, answers in means.items():
            chosen = [each for each in answers if kind in {None, each.kind}]
            cells = [_cell(key, _scores(chosen, key), interval) for key in columns]
            drawn.add_row(kind or "all", str(len(chosen)), name, *cells, end_section=name == list(means)[-1])
    return drawn


def _cell(key: str, scores: Sequence[float], interval: Callable[[Sequence[float]], Interval]) -> str:
    if not scores:
        return "-"
    return f"{shown(key, sum(scores) / len(scores))}\n{between(key, interval(scores))}"


def between(key: str, interval: Interval) -> str:
    """The bounds as the tables show them; `-` where there are none."""
    low, high = interval
    return f"{shown(key, low)} - {shown(key, high)}" if math.isfinite(high - low) else "-"


def _scores(answers: Iterable[Answer], key: str) -> list[float]:
    return [score for each in answers if (score := each.score(key)) is not None]


def _averaged(runs: Sequence[Answer]) -> Answer:
    if len(runs) == 1:
        return runs[0]
    scores = []
    for key in (each.key for each in runs[0].scores):
        measured = [each for each in runs if each.score(key) is not None]
        worst = min(measured or runs, key=lambda each: each.score(key) or 0)
        scores.append(Score(key, mean(measured, key), worst.comment(key)))
    return Answer(runs[0].question, runs[0].kind, runs[0].job_id, tuple(scores), runs[-1].behaviour_version)


def _values(answer: Answer) -> dict[str, float | None]:
    return {each.key: each.score for each in answer.scores}


def _comments(answer: Answer) -> dict[str, str]:
    return {each.key: each.comment for each in answer.scores if each.comment}

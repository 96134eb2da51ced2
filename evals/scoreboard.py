"""A run's results: the table, the file, and the comparison with the baseline."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from evals.evaluators import MICRO, Score
from evals.questions import Kind

QUALITIES = ("accuracy", "citations", "refusal")  # 0 to 1; none may fall on any question
AMOUNTS = ("cost_micro_usd", "steps")  # their sums may rise by GROWTH
GROWTH = 0.15
COLUMNS = {
    "accuracy": "accuracy",
    "citations": "citations valid",
    "refusal": "refusal right",
    "cost_micro_usd": "USD per question",
    "steps": "steps",
    "model_calls": "model calls",
    "seconds": "seconds",
}

VERSIONS = "behaviour_versions"

Baseline = Mapping[str, Any]  # by system, scores by question and name; under VERSIONS, versions by system


@dataclass(frozen=True)
class Answer:
    """One system's answer to one question."""

    question: str
    kind: Kind
    job_id: str
    scores: tuple[Score, ...]
    behaviour_version: str | None = None

    def score(self, key: str) -> float | None:
        """The score with this name; None if there was nothing to measure."""
        return next(each.score for each in self.scores if each.key == key)

    @property
    def comments(self) -> str:
        """The evaluators' comments, in one line."""
        return "; ".join(f"{each.key}: {each.comment}" for each in self.scores if each.comment)


Results = Mapping[str, tuple[Answer, ...]]


def table(results: Results) -> Table:
    """A row per kind of question and one for all, with the systems side by side in each cell."""
    drawn = Table(title=f"each cell: {' / '.join(results)}")
    for heading in ("questions", "", *COLUMNS.values()):
        drawn.add_column(heading, justify="left" if heading == "questions" else "right")
    kinds = list(dict.fromkeys(each.kind for answers in results.values() for each in answers))
    for kind in (*kinds, None):
        chosen = [[each for each in answers if kind in {None, each.kind}] for answers in results.values()]
        cells = [" / ".join(_shown(key, mean(answers, key)) for answers in chosen) for key in COLUMNS]
        drawn.add_row(kind or "all", str(len(chosen[0])), *cells, end_section=kind == kinds[-1])
    return drawn


def mean(answers: Iterable[Answer], key: str) -> float | None:
    """The mean over the answers with this score; None if there are none."""
    scores = [score for each in answers if (score := each.score(key)) is not None]
    return sum(scores) / len(scores) if scores else None


def document(results: Results) -> dict[str, Any]:
    """All scores and comments, as JSON."""
    scores = {
        name: {
            each.question: {
                "job_id": each.job_id,
                **{score.key: score.score for score in each.scores},
                "comments": {score.key: score.comment for score in each.scores if score.comment},
            }
            for each in answers
        }
        for name, answers in results.items()
    }
    return {VERSIONS: versions(results), **scores}


def baseline_of(results: Results) -> Baseline:
    """The baseline for later runs, by system and question."""
    scores = {
        name: {each.question: {key: each.score(key) for key in (*QUALITIES, *AMOUNTS)} for each in answers}
        for name, answers in results.items()
    }
    return {VERSIONS: versions(results), **scores}


def versions(results: Results) -> dict[str, str | None]:
    """The behaviour version of each system."""
    return {name: answers[-1].behaviour_version for name, answers in results.items() if answers}


def otherwise_made(results: Results, baseline: Baseline) -> list[str]:
    """One line for each system whose models, prompts, agents or limits are not those of the baseline."""
    before = baseline.get(VERSIONS, {})
    return [
        f"{name}: its behaviour version is {now}, the baseline's {before.get(name) or 'unknown'}"
        for name, now in versions(results).items()
        if now != before.get(name)
    ]


def fallen(results: Results, baseline: Baseline) -> list[str]:
    """One line for everything that is worse than the baseline."""
    found = []
    for name, answers in results.items():
        before = baseline.get(name, {})
        found += [line for each in answers for line in _worse(name, each, before.get(each.question))]
        found += [line for key in AMOUNTS if (line := _dearer(name, key, answers, before))]
    return found


def read_baseline(path: Path) -> Baseline:
    """The stored baseline; an empty one where none is stored."""
    stored: Baseline = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return stored


def write_json(path: Path, content: object) -> None:
    """Write or overwrite the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _worse(name: str, now: Answer, before: Mapping[str, float | None] | None) -> list[str]:
    """Qualities that fell. One that can no longer be measured has fallen too, as there is no answer."""
    if before is None:
        return [f"{name}: {now.question} is not in the baseline; write it with --update-baseline"]
    found = []
    for key in QUALITIES:
        was, score = before[key], now.score(key)
        if was is not None and (score is None or score < was - 1e-9):
            why = next(each.comment for each in now.scores if each.key == key)
            found.append(
                f"{name}: {key} of {now.question} fell from {_shown(key, was)} to {_shown(key, score)} ({why})"
            )
    return found


def _dearer(
    name: str, key: str, answers: Iterable[Answer], before: Mapping[str, Mapping[str, float | None]]
) -> str | None:
    """An amount that rose, over the questions that both runs have."""
    both = [each for each in answers if each.question in before]
    was = sum(before[each.question][key] or 0 for each in both)
    now = sum(each.score(key) or 0 for each in both)
    return f"{name}: {key} rose from {was:g} to {now:g} over all questions" if now > was * (1 + GROWTH) else None


def _shown(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    if key == "cost_micro_usd":
        return f"{value / MICRO:.4f}"
    return f"{value:.2f}" if key in QUALITIES else f"{value:.1f}"

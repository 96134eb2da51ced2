"""Compares a run with the stored baseline, which it may not fall below, or with an earlier run."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from rich.table import Table

from app.errors import BadInput
from evals.intervals import bootstrap
from evals.scoreboard import AMOUNTS, QUALITIES, VERSIONS, Answer, Kept, Results, between, by_question, shown, versions

# Their sums may rise by GROWTH. Seconds depend on the machine, and what is reserved on what a provider has cached.
GATED = ("cost_micro_usd", "steps", "model_calls", "tool_calls", "escalations", "input_tokens", "output_tokens")
GROWTH = 0.15
STORED = (*QUALITIES, *GATED)

_KEPT = TypeAdapter(dict[str, dict[str, dict[str, Any] | str | None]])
Before = Mapping[str, float | None]


def baseline_of(results: Results) -> Kept:
    """The baseline for later runs, by system and question."""
    scores = {
        name: {each.question: {key: each.score(key) for key in STORED} for each in by_question(answers)}
        for name, answers in results.items()
    }
    return {VERSIONS: versions(results), **scores}


def read_baseline(path: Path) -> Kept:
    """The stored baseline; an empty one where none is stored."""
    stored: Kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return stored


def otherwise_made(results: Results, baseline: Kept) -> list[str]:
    """One line for each system whose models, prompts, agents or limits are not those of the baseline."""
    before = baseline.get(VERSIONS, {})
    return [
        f"{name}: its behaviour version is {now}, the baseline's {before.get(name) or 'unknown'}"
        for name, now in versions(results).items()
        if now != before.get(name)
    ]


def fallen(results: Results, baseline: Kept) -> list[str]:
    """One line for everything that is worse than the baseline."""
    found = []
    for name, runs in results.items():
        answers, before = by_question(runs), baseline.get(name, {})
        if not before:
            found.append(f"{name} is not in the baseline; write it with --update-baseline")
            continue
        found += [line for each in answers for line in _worse(name, each, before.get(each.question))]
        found += [line for key in GATED if (line := _dearer(name, key, answers, before))]
    return found


def earlier(folder: Path, named: str) -> Kept:
    """An earlier run: this file, or the newest one in the folder that has a system of this behaviour version.

    Raises BadInput if there is none.
    """
    path = Path(named)
    if path.is_file():
        return _read(path)
    files = sorted(folder.glob("*.json"), reverse=True)
    for kept in map(_read, files):
        if any(version and version.startswith(named) for version in kept.get(VERSIONS, {}).values()):
            return kept
    raise BadInput(
        f"--against {named}: there is no such file, and none of the {len(files)} runs in {folder} has a system of this "
        "behaviour version"
    )


def differences(results: Results, before: Kept) -> Table:
    """By kind and system, how much higher each mean is than before, on the questions that both runs have, with the 95 %
    interval of the paired difference. A star marks an interval without zero."""
    drawn = Table(title="Now less before: mean difference on the same questions, and 95 % interval (bootstrap)")
    keys = {**QUALITIES, **AMOUNTS}
    for heading in ("questions", "n", "system", "score", "before", "now", "difference", "interval"):
        drawn.add_column(heading, justify="left" if heading in {"questions", "system", "score"} else "right")
    for name, answers in results.items():
        both = [each for each in by_question(answers) if each.question in before.get(name, {})]
        kinds = [*dict.fromkeys(each.kind for each in both), None]
        for kind in kinds if both else ():
            chosen = [each for each in both if kind in {None, each.kind}]
            for row in _changed(chosen, before[name], keys):
                drawn.add_row(kind or "all", str(len(chosen)), name, *row)
            drawn.add_section()
    return drawn


def _changed(answers: Sequence[Answer], before: Mapping[str, Before], keys: Mapping[str, str]) -> Iterator[list[str]]:
    for key, heading in keys.items():
        scores = [(before[each.question].get(key), each.score(key)) for each in answers]
        pairs = [(was, now) for was, now in scores if was is not None and now is not None]
        if any(was != now for was, now in pairs):
            gained = [now - was for was, now in pairs]
            low, high = bootstrap(gained)
            star = " *" if low > 0 or high < 0 else ""
            means = [sum(each) / len(pairs) for each in (*zip(*pairs, strict=True), gained)]
            yield [heading, *(shown(key, each) for each in means), between(key, (low, high)) + star]


def _read(path: Path) -> Kept:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} is no file of an evaluation: {error}") from error
    if not isinstance(kept, dict) or VERSIONS not in kept:
        raise BadInput(f"{path} is no file of an evaluation: it has no {VERSIONS}")
    try:
        return _KEPT.validate_python(kept)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise BadInput(f"{path} is no file of an evaluation: see {place}") from error


def _worse(name: str, now: Answer, before: Before | None) -> Iterator[str]:
    """Qualities that fell. One that can no longer be measured has fallen too, as there is no answer."""
    if before is None:
        yield f"{name}: {now.question} is not in the baseline; write it with --update-baseline"
        return
    for key in QUALITIES:
        was, score = before.get(key), now.score(key)
        if was is not None and (score is None or score < was - 1e-9):
            yield (
                f"{name}: {key} of {now.question} fell from {shown(key, was)} to {shown(key, score)} "
                f"({now.comment(key)})"
            )


def _dearer(name: str, key: str, answers: Iterable[Answer], before: Mapping[str, Before]) -> str | None:
    """An amount that rose over all questions. A part of them says nothing of it: what a call costs depends on how much
    of its prompt the provider has cached, and so on the questions before."""
    amounts = {each.question: each.score(key) or 0 for each in answers}
    if not before.keys() <= amounts.keys():
        return None
    was = sum(each.get(key) or 0 for each in before.values())
    now = sum(amounts[question] for question in before)
    return f"{name}: {key} rose from {was:g} to {now:g} over all questions" if now > was * (1 + GROWTH) else None

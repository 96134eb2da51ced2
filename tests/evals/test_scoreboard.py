"""What is worse than the baseline is named; what is as good or better is not."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console

from app.config.settings import Settings
from evals.comparison import baseline_of, fallen, otherwise_made, read_baseline
from evals.evaluators import Score
from evals.run import on_sample_data
from evals.scoreboard import Answer, document, tables, write_json

GOOD: dict[str, float | None] = {
    "accuracy": 0.5,
    "citations": 1.0,
    "refusal": 1.0,
    "cost_micro_usd": 1000,
    "steps": 10,
    "model_calls": 4,
    "seconds": 0.5,
}


def answers(**changed: float | None) -> dict[str, tuple[Answer, ...]]:
    scores = {**GOOD, **changed}
    made = Answer("q1", "sales", "job-1", tuple(Score(key, value, f"why {key}") for key, value in scores.items()))
    return {"team": (made,)}


BASELINE = baseline_of(answers())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("accuracy", 0.49),
        ("accuracy", None),
        ("citations", 0.9),
        ("refusal", 0),
        ("cost_micro_usd", 1151),
        ("steps", 12),
    ],
)
def test_what_fell_is_named(key: str, value: float | None) -> None:
    [line] = fallen(answers(**{key: value}), BASELINE)
    assert line.startswith("team")
    assert key in line


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("accuracy", 0.5),
        ("accuracy", 1),
        ("cost_micro_usd", 1150),
        ("cost_micro_usd", 1),
        ("steps", 11),
        ("seconds", 9),
    ],
)
def test_what_is_as_good_or_better_is_not(key: str, value: float) -> None:
    assert fallen(answers(**{key: value}), BASELINE) == []


def test_one_better_answer_does_not_hide_a_worse_one() -> None:
    def both(one: float, two: float) -> dict[str, tuple[Answer, ...]]:
        scores = {"q1": one, "q2": two}
        made = [
            Answer(
                name, "sales", "j", tuple(Score(key, value) for key, value in {**GOOD, "accuracy": accuracy}.items())
            )
            for name, accuracy in scores.items()
        ]
        return {"team": tuple(made)}

    [line] = fallen(both(1.0, 0.4), baseline_of(both(0.5, 0.5)))
    assert "q2" in line


def test_what_could_not_be_measured_before_may_be_now() -> None:
    assert fallen(answers(), baseline_of(answers(accuracy=None))) == []


def test_a_new_question_asks_for_a_new_baseline() -> None:
    assert "--update-baseline" in fallen(answers(), {"team": {}})[0]


def test_the_baseline_survives_its_file(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "baseline.json", BASELINE)
    assert read_baseline(tmp_path / "new" / "baseline.json") == BASELINE
    assert read_baseline(tmp_path / "none.json") == {}


def test_the_document_and_the_table_show_every_score() -> None:
    assert json.loads(json.dumps(document(answers())))["team"]["q1"]["comments"]["accuracy"] == "why accuracy"
    console = Console(width=160)
    with console.capture() as shown:
        for table in tables(answers(accuracy=None)):
            console.print(table)
    rows = [line for line in shown.get().splitlines() if "sales" in line or " all " in line]
    qualities, amounts = rows[:2], rows[2:]
    assert len(qualities) == len(amounts) == 2
    assert all("1.00" in row and " - " in row for row in qualities)
    assert all("0.0010" in row and "10.0" in row for row in amounts)


def test_own_data_does_not_change_what_is_measured(settings: Settings) -> None:
    own = settings.model_copy(update={"sales_data": SecretStr("ours.csv"), "knowledge_base_data": Path("docs")})
    measured = on_sample_data(own)
    assert (measured.sales_data, measured.knowledge_base_data) == (None, None)
    assert measured.limits.on_limit == "finish_partial"


def test_another_behaviour_than_the_baseline_s_is_told() -> None:
    def made(version: str) -> dict[str, tuple[Answer, ...]]:
        return {"team": (Answer("q1", "sales", "job-1", (), version),)}

    assert otherwise_made(made("a"), {"behaviour_versions": {"team": "a"}}) == []
    assert otherwise_made(made("b"), {"behaviour_versions": {"team": "a"}}) == [
        "team: its behaviour version is b, the baseline's a"
    ]
    assert "unknown" in otherwise_made(made("b"), {"team": {}})[0]

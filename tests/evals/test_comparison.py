"""Runs of a question are one observation, and a run is compared with an earlier one, question by question."""

from pathlib import Path

import pytest
from rich.console import Console

from app.errors import BadInput
from evals.comparison import baseline_of, differences, earlier, fallen
from evals.evaluators import Score
from evals.questions import Kind
from evals.scoreboard import VERSIONS, Answer, Results, by_question, document, mean, tables, write_json


def run(question: str, accuracy: float | None, micro_usd: int, kind: Kind = "sales", version: str = "v1") -> Answer:
    scores = (Score("accuracy", accuracy, f"accuracy was {accuracy}"), Score("cost_micro_usd", micro_usd))
    return Answer(question, kind, f"job-{question}-{micro_usd}", scores, version)


def printed(*shown: object) -> str:
    console = Console(width=180)
    with console.capture() as text:
        console.print(*shown)
    return text.get()


def test_runs_of_one_question_are_averaged_and_the_worst_is_explained() -> None:
    one, two = by_question([run("q1", 1, 100), run("q1", 0.5, 300), run("q2", None, 100)])
    assert (one.score("accuracy"), one.score("cost_micro_usd")) == (0.75, 200)
    assert one.comment("accuracy") == "accuracy was 0.5"
    assert two.score("accuracy") is None


def test_a_question_that_is_asked_more_often_does_not_count_more() -> None:
    answers = [run("q1", 1, 100), run("q1", 1, 100), run("q1", 1, 100), run("q2", 0, 100)]
    assert mean(by_question(answers), "accuracy") == 0.5


def test_repeating_makes_no_interval_narrower() -> None:
    once = [run("q1", 1, 100), run("q2", 0, 200), run("q3", 1, 300)]
    assert printed(*tables({"team": once})) == printed(*tables({"team": once * 3}))


def test_every_run_is_kept() -> None:
    kept = document({"team": [run("q1", 1, 100), run("q1", 0, 300), run("q2", 1, 100)]})["team"]
    assert [(each["accuracy"], each["cost_micro_usd"]) for each in kept["q1"]["runs"]] == [(1, 100), (0, 300)]
    assert (kept["q1"]["accuracy"], "runs" in kept["q2"]) == (0.5, False)


def test_a_mean_below_the_baseline_is_named() -> None:
    baseline = baseline_of({"team": [run("q1", 1, 100)]})
    assert fallen({"team": [run("q1", 1, 100), run("q1", 1, 120)]}, baseline) == []
    [line] = fallen({"team": [run("q1", 1, 100), run("q1", 0, 100)]}, baseline)
    assert "accuracy of q1 fell from 1.00 to 0.50 (accuracy was 0)" in line


def test_differences_are_paired_and_by_kind() -> None:
    before = {"team": [run(f"q{n}", 0, 1000 * n) for n in range(8)] + [run("m", 1, 500, "market")]}
    now: Results = {
        "team": [run(f"q{n}", n / 8, 1000 * n + 10) for n in range(8)] + [run("m", 1, 500, "market")],
        "other": [run("q1", 1, 1)],
    }
    text = printed(differences(now, document(before)))
    lines = [line for line in text.splitlines() if "accuracy" in line or "USD" in line]
    assert len(lines) == 4, "two scores changed, of one kind, and so of all"
    accuracy, cost, *_ = lines
    assert "0.44" in accuracy
    assert "*" in accuracy, "the interval of the difference is above zero"
    # Each is 10 micro-dollars dearer, however different they are: the interval of a paired difference is a point.
    assert "0.0000 - 0.0000 *" in cost
    assert "other" not in text
    text = printed(differences({"team": [run("q1", 1, 100)]}, document({"team": [run("q1", 0, 100)]})))
    assert "accuracy" in text
    assert "*" not in text, "a difference on one question tells nothing about others"


def test_an_earlier_run_is_found_by_its_file_and_by_the_version_of_a_system(tmp_path: Path) -> None:
    for name, version in {"1": "aaaa", "2": "bbbb", "3": "aaaa"}.items():
        write_json(tmp_path / f"{name}.json", document({"team": [run(f"q{name}", 1, 1, version=version)]}))
    assert "q1" in earlier(tmp_path, str(tmp_path / "1.json"))["team"]
    assert "q3" in earlier(tmp_path, "aaaa")["team"]
    assert "q2" in earlier(tmp_path, "bb")["team"]
    with pytest.raises(BadInput, match="none of the 3 runs"):
        earlier(tmp_path, "cccc")
    write_json(tmp_path / "other.json", {"no": "evaluation"})
    with pytest.raises(BadInput, match="is no file of an evaluation"):
        earlier(tmp_path, str(tmp_path / "other.json"))
    write_json(tmp_path / "other.json", {VERSIONS: {"team": "cccc"}, "team": ["q1"]})
    with pytest.raises(BadInput, match="see team"):
        earlier(tmp_path, "cccc")

"""`tollgate eval` as a user runs it: own questions on own data, and a second run beside the first."""

import json
from pathlib import Path

import pytest

from tests.app.command_line import tollgate
from tests.data import DOCUMENTS, SALES

REVENUE = {
    "id": "revenue",
    "kind": "sales",
    "text": "What was our revenue in 2024?",
    "expected": [{"value": 1, "unit": "EUR"}],
    "parts": ["revenue 2024"],
}
MARS = {"id": "mars", "kind": "unanswerable", "text": "What was our revenue on Mars in 2024?", "gap": ["Mars"]}


def dataset(folder: Path, **number: float) -> Path:
    path = folder / "own.jsonl"
    asked = {**REVENUE, "expected": [{"value": 1, "unit": "EUR", **number}]}
    path.write_text(f"{json.dumps(asked)}\n{json.dumps(MARS)}\n")
    return path


@pytest.mark.slow
def test_own_questions_are_scored_and_two_runs_compared(tmp_path: Path, beside: dict[str, str]) -> None:
    own = {**beside, "TOLLGATE_SALES_DATA": str(SALES), "TOLLGATE_KNOWLEDGE_BASE_DATA": str(DOCUMENTS)}
    asked = ("eval", "--dataset", str(dataset(tmp_path)), "--system", "team")
    first = tollgate(tmp_path, *asked, "--repeat", "2", **own)
    assert first.returncode == 0, first.stderr
    assert first.stderr.count("team, revenue: answered") == 2
    [kept] = (tmp_path / ".data" / "evals").iterdir()
    scores = json.loads(kept.read_text())
    assert str(kept.relative_to(tmp_path)) in first.stdout
    assert len(scores["team"]["revenue"]["runs"]) == len(scores["team"]["mars"]["runs"]) == 2
    assert (scores["team"]["revenue"]["accuracy"], scores["team"]["mars"]["refusal"]) == (0, 1)
    assert "below the baseline" not in first.stdout, "the baseline is for the sample's questions"
    dataset(tmp_path, tolerance=1e12)
    before = scores["behaviour_versions"]["team"]
    second = tollgate(tmp_path, *asked, "--against", before, "--model", "gpt-4.1-nano", **own)
    assert second.returncode == 0, second.stderr
    made = second.stdout.partition("behaviour versions: team ")[2].split()[0]
    assert made not in {"", before}, "another model is another behaviour"
    [line, *_] = [each for each in second.stdout.splitlines() if "accuracy" in each and "0.00" in each]
    assert "1.00" in line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--system", "crowd"], "--system crowd: there is team, single_agent"),
        (["--update-baseline", "--questions", "2"], "--update-baseline needs all questions of the sample"),
        (["--compare", "--dataset", "own.jsonl"], "use --against"),
        (["--dataset", "none.jsonl"], "none.jsonl cannot be read"),
        (["--dataset", "own.jsonl", "--against", "v9"], "--against v9: there is no such file"),
        (["--dataset", "own.jsonl", "--langsmith"], "set LANGSMITH_API_KEY"),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_is_started(
    tmp_path: Path, options: list[str], said: str
) -> None:
    dataset(tmp_path)
    ended = tollgate(tmp_path, "eval", *options)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_named_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data" / "evals").write_text("a file")
    refused = tollgate(tmp_path, "eval", "--dataset", str(dataset(tmp_path)))
    assert refused.returncode != 0
    assert "results cannot be kept in .data/evals" in refused.stderr
    assert "Traceback" not in refused.stderr

"""A user's own questions: what is read, and what is said about a file that cannot be."""

import json
from pathlib import Path

import pytest

from app.errors import BadInput
from evals.dataset import read_questions

REVENUE = {
    "id": "north",
    "kind": "sales",
    "text": "What did we sell in the North?",
    "expected": [{"value": 200, "unit": "EUR", "said_with": ["North"]}, {"value": 40, "unit": "%", "tolerance": 1}],
    "parts": ["revenue North", "share"],
}
MISSING = {"id": "mars", "kind": "unanswerable", "text": "What did we sell on Mars?", "gap": ["Mars"]}
CSV = """id,kind,text,value,unit,tolerance,said_with,gap,parts
north,sales,What did we sell in the North?,200,EUR,,North,,revenue North; share
north,,,40,%,1,,,
mars,unanswerable,What did we sell on Mars?,,,,,Mars,
"""


def written(folder: Path, *lines: object) -> Path:
    path = folder / "own.jsonl"
    path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines))
    return path


def test_both_forms_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(CSV)
    questions = read_questions(written(tmp_path, REVENUE, "", MISSING))
    assert read_questions(tmp_path / "own.csv") == questions
    north, mars = questions
    assert [(each.value, each.unit, each.tolerance) for each in north.expected] == [(200, "EUR", 1), (40, "%", 1)]
    assert (north.expected[0].said_with, north.parts, mars.gap) == (("North",), ("revenue North", "share"), ("Mars",))


def test_a_percentage_is_right_within_half_a_point(tmp_path: Path) -> None:
    share = {**REVENUE, "expected": [{"value": 40, "unit": "% change"}]}
    assert read_questions(written(tmp_path, share))[0].expected[0].tolerance == 0.5


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([REVENUE, "{"], "line 2 is no JSON"),
        ([{**REVENUE, "kind": "riddle"}], "line 1: kind: Input should be 'market', 'sales'"),
        ([{**REVENUE, "text": ""}], "line 1: text:"),
        ([{**REVENUE, "expected": [{"value": "many"}]}], "line 1: expected.0.value:"),
        ([{**REVENUE, "expcted": 1}], "line 1: expcted: Extra inputs"),
        ([{**REVENUE, "expected": [], "parts": []}], "line 1: an answerable question needs"),
        ([{**MISSING, "gap": []}], "line 1: an unanswerable question needs"),
        ([REVENUE, REVENUE], "line 2: there is a question north already"),
        (["[]"], "line 1: Input should be"),
        (["[" * 100_000], "line 1 is no JSON"),
        ([], "has no question"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, lines: list[object], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_questions(written(tmp_path, *lines))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_column_or_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("id,question\nnorth,What?\n")
    with pytest.raises(BadInput, match="there is no column question; use gap, id"):
        read_questions(tmp_path / "own.csv")
    with pytest.raises(BadInput, match=r"none\.csv cannot be read"):
        read_questions(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("north,sales,What did we sell in the North, in EUR?,200", "line 2 has more cells than there are columns"),
        (f"north,sales,{'x' * 200_000},200", "is no CSV: field larger than"),
    ],
)
@pytest.mark.usefixtures("usual_csv_limit")
def test_a_row_that_is_no_csv_is_named(tmp_path: Path, row: str, said: str) -> None:
    (tmp_path / "own.csv").write_text(f"id,kind,text,value\n{row}\n")
    with pytest.raises(BadInput) as refused:
        read_questions(tmp_path / "own.csv")
    assert said in str(refused.value)


def test_a_question_may_have_any_line_separator(tmp_path: Path) -> None:
    asked = json.dumps({**MISSING, "text": "Of\u2028Mars?"}, ensure_ascii=False)
    assert read_questions(written(tmp_path, asked))[0].text == "Of\u2028Mars?"

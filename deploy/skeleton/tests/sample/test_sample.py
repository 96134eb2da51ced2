"""The sample answers its own question, and its evaluation asks what the data can answer."""

from pathlib import Path

import sample
from evals.questions import asked
from tests.app.command_line import answered


def test_the_question_of_the_demo_is_answered(tmp_path: Path) -> None:
    code, result = answered(tmp_path, "run", sample.QUESTION)
    assert (code, result["status"]) == (0, "completed")
    claims = " ".join(each["claim"] for each in result["findings"])
    assert "16230" in claims.replace(",", "")
    assert "3 working days" in claims


def test_an_evaluation_asks_for_numbers_that_are_in_the_data() -> None:
    assert all(number.value > 0 for question in asked() for number in question.expected)

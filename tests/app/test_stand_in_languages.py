"""A question in another language is refused in it; one in English never is, whatever names it has."""

import pytest

from app.stand_in.languages import refusal_of
from tests.adversarial.cases import CASES, LANGUAGES


@pytest.mark.parametrize("question", LANGUAGES)
def test_the_refusal_is_in_the_language_of_the_question(question: str) -> None:
    said = refusal_of(question)
    assert said.startswith(LANGUAGES[question])
    assert said.endswith("ask in English, or set a key for a language model.")
    assert len(said) <= 200, "more is cut where refusals are read"


@pytest.mark.parametrize("question", ["ប្រទេសព័រទុយហ្គាល់មានសាឡាងប៉ុន្មាន?", "რამდენი ბორანი აქვს პორტუგალიას?"])
def test_other_scripts_are_refused_in_english(question: str) -> None:
    assert refusal_of(question).startswith("This stand-in reads English only")


@pytest.mark.parametrize(
    "question",
    [
        *(each.question for each in CASES),
        "Revenue Germany 2024",
        "What was our revenue in Zürich, São Paulo and Łódź?",
        "How many orders has Müller GmbH für Haus und Garten?",
        "What do Der Spiegel and Die Zeit report on Las Vegas Sands?",
        "average note by fach and klasse",
        "東京 revenue in 2024",
        "Umsatz 2024",
        "",
    ],
)
def test_english_is_not_refused(question: str) -> None:
    assert refusal_of(question) == ""

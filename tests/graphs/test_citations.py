"""A report's statement stands when the evidence it cites exists and holds its numbers."""

import pytest

from graphs.citations import cited, marked, numbered, problems, statements, with_chart_files
from graphs.evidence import Evidence


def evidence(text: str) -> Evidence:
    return Evidence(
        task="T1", server="s", tool="t", arguments={}, text=text, content={"kind": "document"}, duration_ms=1
    )


STORED = {"E1": evidence("17 million cars"), "E2": evidence("12.5% share")}


@pytest.mark.parametrize(
    "body",
    [
        "Sales passed 17 million [E1].",
        "Sales passed 17 million. [E1]",
        "Sales passed 17 million, a share of 12.5% [E1, E2].",
        "| Year | Cars |\n|---|---|\n| 2024 | 17 million [E1] |",
        "## Market\n\n- 17 million [E1]\n- no number here",
        "Up to 8 chargers were asked about.",
        "![Chart](E1.svg)",
    ],
)
def test_grounded(body: str) -> None:
    assert problems(body, STORED, ["What about 8 chargers?"]) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("Sales passed 17 million.", "17 million is not in any evidence cited"),
        ("Sales passed 18 million [E1].", "18 million is not in E1"),
        ("Sales passed 17 million [E2].", "17 million is not in E2"),
        ("Sales rose [E9].", "there is no evidence E9"),
        ("![Chart](E9.svg)", "there is no chart E9"),
        ("First 12.5% [E2]. Then 40 more [E1].", "40 is not in E1"),
    ],
)
def test_ungrounded(body: str, reason: str) -> None:
    assert [each.reason for each in problems(body, STORED, ["?"])] == [reason]


def test_statements_are_sentences_rows_and_items() -> None:
    body = "# Title\n\nOne is here. Two [E1]. Three.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n- item"
    assert statements(body) == ["# Title", "One is here.", "Two [E1].", "Three.", "| a | b |", "| 1 | 2 |", "- item"]


def test_citations_are_numbered_in_order_of_appearance() -> None:
    body = "B [E2]. A [E1, E2]. ![c](E3.svg)"
    assert cited(body) == ["E2", "E1", "E3"]
    assert numbered(body, cited(body)) == "B [1]. A [2, 1]. ![c](E3.svg)"
    assert with_chart_files("![c](E3.svg)", "evidence") == "![c](evidence/E3.svg)"


def test_a_statement_is_marked_wherever_it_stands_and_a_missing_chart_is_cut() -> None:
    body = "We made 99 euros. [E1]\n\n| a | 99 |\n\nAgain: we won.\n\n![c](E9.svg)\n\nWe made 99 euros. [E1]"
    found = problems(body, STORED, ["?"])
    assert marked(body, found, "(?)") == (
        "We made 99 euros. [E1] (?)\n\n| a | 99 (?) |\n\nAgain: we won.\n\n\n\nWe made 99 euros. [E1] (?)"
    )

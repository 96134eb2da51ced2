"""A report's statement stands when the evidence it cites exists and holds its numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.evidence.citations import cited, marked, numbered, problems, statements, with_chart_files
from graphs.evidence.store import Evidence


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
    told = ["# Title", "One is here.", "Two [E1].", "Three.", "| a | b |", "| 1 | 2 |", "- item"]
    assert [each.text for each in statements(body)] == told
    assert [body[each.start : each.end] for each in statements(body)] == told


def test_citations_are_numbered_in_order_of_appearance() -> None:
    body = "B [E2]. A [E1, E2]. ![c](E3.svg)"
    assert cited(body) == ["E2", "E1", "E3"]
    assert numbered(body, cited(body)) == "B [1]. A [2, 1]. ![c](E3.svg)"
    assert with_chart_files("![as (E3.svg) has it](E3.svg)", "evidence") == "![as (E3.svg) has it](evidence/E3.svg)"


def test_a_statement_is_marked_wherever_it_stands_and_a_missing_chart_is_cut() -> None:
    body = "We made 99 euros. [E1]\n\n| a | 99 |\n\nAgain: we won.\n\n![c](E9.svg)\n\nWe made 99 euros. [E1]"
    found = problems(body, STORED, ["?"])
    assert marked(body, found, "(?)") == (
        "We made 99 euros. [E1] (?)\n\n| a | 99 (?) |\n\nAgain: we won.\n\n\n\nWe made 99 euros. [E1] (?)"
    )


STANDING = [
    "It rose.",
    "Sales passed 17 million [E1].",
    "- no number",
    "## Market",
    "| a | b |",
    "|---|---|",
    "",
    "---",
]
FALLING = [  # each with what is behind the mark
    *(
        ("We made 99 euros.", ""),
        ("We made 99 euros", ""),
        ("- We made 99 euros.", ""),
        ("Again: We made 99 euros. [E1]", ""),
    ),
    *(("99", ""), ("# We made 99 euros", ""), ("See ![c](E1.svg) the 99 euros.", ""), ("We made 99", " ![c](E1.svg)")),
    *(
        ("| a | 99", " |"),
        ("  | a | 99 | b", " |"),
        ("| 99 | b ![c](E1.svg)", " |"),
        ("| a | 99", ""),
        ("> 99 [E1]", ""),
    ),
]
SENTENCES = st.sampled_from([("It rose.", False), ("We made 99 euros.", True), ("He said: We made 99 euros.", True)])
LINES = st.one_of(
    st.sampled_from([(each, each) for each in STANDING]),
    st.sampled_from([(f"{text}{rest}", f"{text} (?){rest}") for text, rest in FALLING]),
    st.lists(SENTENCES, min_size=1, max_size=4).map(
        lambda told: (
            " ".join(text for text, _ in told),
            " ".join(f"{text} (?)" * bad + text * (not bad) for text, bad in told),
        )
    ),
)


@given(st.lists(LINES, max_size=12))
def test_each_statement_that_falls_is_marked_once_at_its_end_and_nothing_else_changes(
    lines: list[tuple[str, str]],
) -> None:
    body = "\n".join(line for line, _ in lines)
    assert marked(body, problems(body, STORED, ["?"]), "(?)") == "\n".join(told for _, told in lines)


@pytest.mark.parametrize(
    ("table", "reasons"),
    [
        ("| Country | 2024 | 2025 |\n|---|---|---|\n| Norway | 17 million [E1] | |", []),
        ("| Part | Period | Cars |\n|---|---|---|\n| EU | 2024 | 17 million [E1] |", []),
        ("| Part | Cars |\n|---|---|\n| EU | 2030 [E1] |", ["2030 is not in E1"]),
        ("| Year | Cars |\n|---|---|\n| 2024 | 2030 [E1] |", ["2030 is not in E1"]),
        ("| Part | From | To |\n|---|---|---|\n| EU | *2024* | 2025 [E1] |", []),
    ],
)
def test_a_year_in_a_table_is_one_in_its_head_or_in_a_column_for_time(table: str, reasons: list[str]) -> None:
    assert [each.reason for each in problems(f"{table}\n\nIn all.", STORED, ["?"])] == reasons

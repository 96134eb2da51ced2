"""The judges, judged: on reports with a known fault each must find that fault and no other."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.evaluators import (
    EVALUATORS,
    Outcome,
    accuracy,
    citations,
    cost,
    coverage,
    escalations,
    grounded,
    over_reservation,
    plan_quality,
    read_outcome,
    refusal,
    support,
)
from evals.questions import Expected, Kind, Question
from evals.report_text import answer, numbers, statements, uncarried
from evals.scoreboard import AMOUNTS, QUALITIES

NOTICE = "*Written by the built-in stand-in model: rules, not a language model. Costs are 123 dollars.*"
REVENUE = Expected(19_460_242.01, "EUR", 97_301.0, (), "sql")
FALL = Expected(-7.89, "% change", 0.5, ("2024",), "sql")
FORECAST = Expected(24_224_958.0, "EUR", 1_211_247.0, ("2026",), "sql", is_forecast=True)


def asked(*expected: Expected) -> Question:
    return Question("q", "sales", "What was our revenue in Germany in 2024?", expected)


UNANSWERABLE = Question("u", "unanswerable", "What was our revenue in Japan in 2024?", gap=("Japan",))


def outcome(body: str, folder: Path = Path(), **result: Any) -> Outcome:
    report = (
        f"# A title with 77\n\n> The question of 88\n\n{NOTICE}\n\n{body}\n\n---\n\nJob `job-1` · completed · USD 0.99"
    )
    document = {"findings": [{}], "gaps": [], "stop_reason": "answered", "cost_usd": 0.0039, "report_path": None}
    document |= {"secured_usd": 0.0078, "evidence": []}
    document |= dict.fromkeys(("steps", "model_calls", "tool_calls", "input_tokens", "output_tokens"), 7)
    return Outcome({**document, **result}, report, folder, 1.5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "E1.md").write_text(
        "# E1\n```\nyear,revenue_eur,share\n2024,19460242.01,0.4001\n7,345,0.1\n```\n"
    )
    (tmp_path / "evidence" / "E2.md").write_text("The KBA counted 380,609 cars, 12.9 million worldwide.")
    return tmp_path


SOURCES = "\n\n## Sources\n\n1. `sales` ([E1](evidence/E1.md)) (evidence/E1.md)\n2. KBA (evidence/E2.md)"


@pytest.mark.parametrize(
    "said",
    ["It was EUR 19,460,242 in 2024 [1].", "EUR19.46 million.", "| Germany | 19460242.01 |", "About 19.5 million."],
)
def test_a_number_counts_however_it_is_written(said: str) -> None:
    assert accuracy(asked(REVENUE), outcome(said)).score == 1


@pytest.mark.parametrize(
    "said", ["It was EUR 19,260,242.", "EUR 19.46", "EUR 19.46 thousand", "About 20 million.", "USD 219,460,242", ""]
)
def test_a_wrong_number_does_not(said: str) -> None:
    judged = accuracy(asked(REVENUE), outcome(said))
    assert judged.score == 0
    assert "19,460,242.01 EUR" in judged.comment


@given(st.floats(-5, 5))
def test_the_tolerance_decides(off: float) -> None:
    said = round(100 + off, 6)
    expected = Expected(100, "units", 2, (), "sql")
    assert accuracy(asked(expected), outcome(f"There were {said:.6f} units.")).score == (abs(said - 100) <= 2)


def test_only_the_answer_counts_and_not_what_stands_around_it() -> None:
    gap = "Nothing.\n\n## What could not be answered\n\n- There is no EUR 19,460,242."
    assert accuracy(asked(REVENUE), outcome(gap)).score == 0
    for around in (77, 88, 123, 0.99):
        assert accuracy(asked(Expected(around, "EUR", 0.001, (), "sql")), outcome("Nothing.")).score == 0


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("Revenue fell by 7.9% in 2024.", True),
        ("Revenue changed by -7.9% in 2024.", True),
        ("## 2024\n\nA drop of 7.9%.", True),
        ("| Year | Change |\n| --- | --- |\n| 2024 | -7.9% |", True),
        ("Revenue rose by 7.9% in 2024.", False),
        ("Revenue fell by 7.9% in 2023.", False),
        ("Revenue fell by 7.9% in 2023. It rose in 2024.", False),
    ],
)
def test_a_change_needs_its_direction_and_its_year(said: str, right: bool) -> None:
    assert accuracy(asked(FALL), outcome(said)).score == right


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("EUR 24.1 million are expected in 2026 (95% interval: EUR 20,000,000 to EUR 28,000,000) [1].", True),
        ("EUR 21,383,576 are expected in 2026 (95% interval: EUR 16,912,938 to EUR 24,126,632) [1].", False),
        (
            "| Year | Forecast | Lower | Upper |\n| --- | --- | --- | --- |\n| 2026 | 21,383,576 | 1 | 24,126,632 |",
            False,
        ),
    ],
)
def test_the_bound_of_an_interval_is_no_forecast(said: str, right: bool) -> None:
    assert accuracy(asked(FORECAST), outcome(said)).score == right


def test_part_of_an_answer_is_part_of_the_score() -> None:
    assert accuracy(asked(REVENUE, FALL), outcome("It was EUR 19,460,242.")).score == 0.5


def test_a_carried_number_is_one_that_the_cited_file_holds(folder: Path) -> None:
    carried = (
        "We made EUR 19,460,242 [1]. 40.0% came online, 345 by post [1].\n\n- 380,609 of 12.9 million cars [2]."
        + SOURCES
    )
    assert citations(asked(), outcome(carried, folder)).score == 1
    assert uncarried(outcome(carried, folder).report, folder) == []


@pytest.mark.parametrize(
    "said",
    ["We made EUR 19,460,243 [1].", "We made EUR 19,460,242 [2].", "We made EUR 19,460,242.", "380,609 cars [3]."],
)
def test_a_number_elsewhere_or_nowhere_is_not_carried(folder: Path, said: str) -> None:
    judged = citations(asked(), outcome(f"There were 380,609 cars [2].\n\n{said}{SOURCES}", folder))
    assert judged.score == 0.5
    assert said.rstrip(".") in judged.comment


def test_numbers_of_the_question_and_labels_need_no_evidence(folder: Path) -> None:
    question = Question("q", "sales", "How many Acme Home 22 did we sell?")
    assert (
        citations(question, outcome("The Home 22 in 2024-Q3, by CO2 class, after 2023." + SOURCES, folder)).score == 1
    )
    assert citations(question, outcome("Nothing is known.", folder)).score is None


def test_an_answerable_question_needs_an_answer() -> None:
    assert refusal(asked(REVENUE), outcome("It was EUR 1.")).score == 1
    assert refusal(asked(REVENUE), outcome("No.", findings=[], stop_reason="not_in_data")).score == 0


def test_a_good_refusal_names_the_gap_and_no_number() -> None:
    refused: dict[str, Any] = {"stop_reason": "not_in_data", "findings": [], "gaps": ["There is no country Japan."]}
    body = "It cannot be answered.\n\n## What could not be answered\n\n- There is no Japan, but 8 others."
    assert refusal(UNANSWERABLE, outcome(body, **refused)).score == 1
    faults: list[tuple[str, dict[str, Any], str]] = [
        (body, {"stop_reason": "answered"}, "answered"),
        (body, {"findings": [{}]}, "findings"),
        (body, {"gaps": ["Not in the data."]}, "Japan"),
        ("It was EUR 5,000,000.", {}, "5,000,000"),
    ]
    for said, fault, named in faults:
        judged = refusal(UNANSWERABLE, outcome(said, **{**refused, **fault}))
        assert judged.score == 0
        assert named in judged.comment


def test_every_measure_has_a_name_of_its_own_and_money_is_whole_micro_dollars() -> None:
    left = outcome("x", steps=9, model_calls=4, tool_calls=2)
    scores = [evaluate(asked(REVENUE), left) for evaluate in EVALUATORS]
    assert len({each.key for each in scores}) == len(EVALUATORS)
    amounts = {"steps": 9, "model_calls": 4, "tool_calls": 2, "seconds": 1.5, "input_tokens": 7, "output_tokens": 7}
    assert {each.key: each.score for each in scores if each.key in amounts} == amounts
    assert {each.key for each in scores} == {*QUALITIES, *AMOUNTS}, "the tables show every measure"
    assert cost(asked(), left).score == 3900


def test_the_statement_around_a_carried_number_is_judged_as_well(folder: Path) -> None:
    said = f"We made EUR 19,460,242 in 2024 [1].{SOURCES}"
    assert (citations(asked(), outcome(said, folder)).score, support(asked(), outcome(said, folder)).score) == (1, 1)
    wrong = outcome(said.replace("EUR", "USD"), folder)
    assert (citations(asked(), wrong).score, support(asked(), wrong).score) == (1, 0)
    assert "not in USD" in support(asked(), wrong).comment


def test_the_check_of_the_product_counts_as_well() -> None:
    assert grounded(asked(), outcome("It was EUR 1.")).score is None
    assert grounded(asked(), replace(outcome("It was EUR 1."), problems=[])).score == 1
    judged = grounded(asked(), replace(outcome("It was EUR 1."), problems=["1 is not in E1"]))
    assert (judged.score, judged.comment) == (0, "1 is not in E1")


def test_each_part_needs_a_statement_or_a_gap() -> None:
    question = Question("q", "both", "Revenue, and cars?", parts=("revenue 2024/2025", "cars Freeland"))
    assert coverage(question, outcome("Revenue rose in 2025.")).score == 0.5
    assert coverage(question, outcome("Revenue rose.\n\nIt was 2025. Cars are many.")).score == 0
    both = outcome("## Revenue\n\nIt rose in 2024.\n\nFreeland has no cars.")
    assert coverage(question, both).score == 1
    gap = outcome("Revenue rose in 2025.", gaps=["Nothing is known of cars in Freeland."])
    assert coverage(question, gap).score == 1
    assert coverage(asked(REVENUE), both).score is None


@pytest.mark.parametrize(
    ("kind", "servers", "score", "said"),
    [
        ("sales", ["sales", "sales"], 1, ""),
        ("sales", ["sales", "analytics"], 1, ""),
        ("sales", ["sales", "knowledge_base"], 0.5, "not needed: knowledge_base"),
        ("sales", ["knowledge_base"], 0, "not asked: sales; not needed: knowledge_base"),
        ("both", ["knowledge_base"], 0.5, "not asked: sales"),
        ("forecast", ["sales", "analytics"], 1, ""),
        ("forecast", ["sales"], 0.5, "not asked: analytics"),
        ("unanswerable", ["sales"], 1, ""),
        ("unanswerable", [], 0, "no source was asked"),
    ],
)
def test_a_plan_asks_what_the_kind_needs(kind: Kind, servers: list[str], score: float, said: str) -> None:
    left = outcome("x", evidence=[{"server": each} for each in servers])
    judged = plan_quality(Question("q", kind, "?"), left)
    assert (judged.score, judged.comment) == (score, said)


def test_what_was_reserved_and_what_stopped_the_work_is_counted() -> None:
    assert over_reservation(asked(), outcome("x")).score == 2
    assert over_reservation(asked(), outcome("x", cost_usd=0)).score is None
    events = [{"type": "budget", "route": "assign"}, {"type": "budget", "route": "finish", "stop_reason": "step_limit"}]
    judged = escalations(asked(), replace(outcome("x"), events=events))
    assert (judged.score, judged.comment) == (1, "step_limit")


def test_a_job_without_a_report_answers_nothing(folder: Path) -> None:
    left = read_outcome({"report_path": None, "findings": [], "gaps": [], "stop_reason": "model_unavailable"}, 1)
    assert accuracy(asked(REVENUE), left).score == 0
    assert refusal(asked(REVENUE), left).score == 0
    assert citations(asked(REVENUE), left).score is None


def test_reading_keeps_table_heads_and_leaves_charts_out() -> None:
    text = "## Own\n\n| a | b |\n| --- | --- |\n| x | 5 |\n\n![Chart of 9](evidence/E9.svg)\n"
    assert next(each for each in statements(answer(text)) if "5" in each.text).under == "Own | a | b |"
    assert [each.value for each in numbers(answer(text))] == [5]

"""The report is made of the findings and of nothing else."""

import re
from typing import Any

from app.stand_in.packets import ReportPacket
from app.stand_in.policy.report import NO_ANSWER
from sample.rules.claims import finding, read_back, subject
from sample.rules.writer import write


def measure(year: str, amount: str, evidence: str = "E2") -> dict[str, Any]:
    fields = {"subject": subject("revenue", {"country": ["Spain"]}), "value": amount, "period": year}
    return finding("measure", [evidence], 1.0, "EUR", fields).model_dump()


def market(claim: str, evidence: str = "E5") -> dict[str, Any]:
    return {"agent": "researcher", "claim": claim, "evidence": [evidence], "value": None, "unit": "", "period": ""}


def body(**fields: Any) -> str:
    return write(ReportPacket.model_validate({"question": "How are sales in Spain?", **fields})).body


def test_every_claim_form_can_be_read_back() -> None:
    stated = read_back(measure("2024", "EUR 1,234")["claim"])
    assert stated is not None
    assert (stated.form, stated.theme) == ("measure", "own")
    assert stated.fields == {"subject": "Voltbay's revenue in Spain", "value": "EUR 1,234", "period": "2024"}


def test_a_quoted_source_is_not_taken_for_a_claim_of_ours() -> None:
    assert read_back("Zapmap's UK count was 73,699 in 2024.") is None


def test_findings_of_one_form_become_a_table_with_its_evidence_in_each_row() -> None:
    years = [("2022", "EUR 5"), ("2023", "EUR 10"), ("2024", "EUR 20")]
    text = body(findings=[*(measure(*each) for each in years), measure("2025", "EUR 30", "E3")])
    assert "Voltbay's revenue in Spain was EUR 30 in 2025 [E3]." in text.splitlines()[0]
    assert "| Period | Value | Source |" in text
    assert "| 2024 | EUR 20 | [E2] |" in text
    assert "| 2025 | EUR 30 | [E3] |" in text


def test_the_answer_comes_first_and_each_theme_has_its_section() -> None:
    years = [measure(year, amount) for year, amount in (("2022", "EUR 5"), ("2023", "EUR 10"), ("2024", "EUR 20"))]
    text = body(findings=[*years, *(market(f"Sales rose by {n}% in Spain.") for n in (3, 4, 5))])
    assert text.index("EUR 20") < text.index("## Own sales") < text.index("## Market")
    assert "- Sales rose by 4% in Spain [E5]." in text


def test_a_series_opens_with_its_first_and_last_time() -> None:
    years = [(str(year), f"EUR {year - 2000}") for year in range(2021, 2026)]
    opening = body(findings=[measure(*each) for each in years]).splitlines()[0]
    assert re.findall(r"in (20\d\d)", opening) == ["2021", "2025"]


def test_a_ranking_of_times_opens_with_the_best() -> None:
    months = [("May 2024", "EUR 9"), ("July 2023", "EUR 8"), ("June 2022", "EUR 7"), ("April 2025", "EUR 6")]
    opening = body(findings=[measure(*each) for each in months]).splitlines()[0]
    assert "May 2024" in opening
    assert "April 2025" not in opening


def test_the_opening_goes_from_the_past_over_the_market_to_the_forecast() -> None:
    of = {"subject": "Voltbay's revenue in Spain", "value": "EUR 9", "period": "2026"}
    total = finding("forecast total", ["E7"], 9, "EUR", of | {"interval": "95%", "low": "EUR 8", "high": "EUR 10"})
    grown = finding(
        "growth between", ["E6"], 5, "%", of | {"moved": "rose", "value": "5%", "start": "2023", "end": "2025"}
    )
    last = measure("December 2025", "EUR 2")
    text = body(findings=[total.model_dump(), measure("2025", "EUR 8"), last, grown.model_dump(), market("Cars: 3.")])
    opening = text.splitlines()[0]
    assert [opening.index(each) for each in ("rose by", "in 2025", "Cars", "forecast")] == sorted(
        opening.index(each) for each in ("rose by", "in 2025", "Cars", "forecast")
    )
    assert "December" not in text


def test_a_section_that_would_only_repeat_the_opening_is_left_out() -> None:
    text = body(findings=[measure("2025", "EUR 8"), *(market(f"Sales rose by {n}% in Spain.") for n in (3, 4, 5))])
    assert "## Own sales" not in text
    assert text.count("EUR 8") == 1


def test_sources_that_contradict_one_another_are_shown_as_such() -> None:
    disputed = finding("disagreement", ["E5"], 1.0, "", {"statement": "A counts 1 and B counts 2"}).model_dump()
    text = body(findings=[market(f"Spain has {n} chargers.") for n in (1, 2, 3, 4)] + [disputed])
    section = text[text.index("### Where sources disagree") :]
    assert "- A counts 1 and B counts 2 [E5]." in section


def test_without_findings_it_says_so_and_states_no_number() -> None:
    text = body(findings=[], gaps=["The sales data has no country Japan.", "The sales data has no country Japan."])
    assert text.startswith(NO_ANSWER)
    assert text.count("no country Japan") == 1
    assert not any(character.isdigit() for character in text)


def test_a_forecast_that_is_missing_is_said_to_be_missing() -> None:
    packet = ReportPacket.model_validate(
        {"question": "What will our revenue be?", "findings": [measure("2024", "EUR 20")]}
    )
    assert write(packet).body.startswith("The forecast that was asked for could not be made. Voltbay's revenue")


def test_charts_are_shown_by_their_id() -> None:
    assert "![Chart of Voltbay's revenue in Spain](E9.svg)" in body(findings=[measure("2024", "EUR 20")], charts=["E9"])


def test_feedback_drops_the_statement_it_quotes_and_keeps_the_others() -> None:
    refused, kept = measure("2023", "EUR 10"), measure("2024", "EUR 20")
    feedback = [f"'{refused['claim'].rstrip('.')} [E2].': EUR 10 is not in E2"]
    text = body(
        findings=[refused, kept], gaps=["It has nothing for 17."], feedback=[*feedback, "It has nothing for 17."]
    )
    assert "EUR 10" not in text
    assert "EUR 20" in text
    assert "17" not in text


def test_a_long_question_gives_a_title_that_fits() -> None:
    report = write(ReportPacket(question="word " * 200))
    assert len(report.title) <= 160
    assert report.title.endswith("...")

"""Sources in words: what was asked of which data and when, or which document it is."""

from typing import Any

import pytest

from app.reports.document import FINDINGS
from app.reports.sources import arguments_in_words, in_words, source
from graphs.evidence.store import Evidence
from tests.app.reports.made import BEGAN, evidence, finding, made, table

AT = "2026-11-30 14:02 UTC"


def told(known: dict[str, Evidence], name: str = "E1", numbers: dict[str, int] | None = None) -> Any:
    refs = {key: each.reference(key) for key, each in known.items()}
    return source(refs[name], known[name], "sales", refs, numbers or {})


def test_data_says_what_was_asked_of_which_server_and_when() -> None:
    found = told({"E1": table(["year"], [2024], title="Revenue by year")}, numbers={"E1": 2})
    assert (found.number, found.words) == (2, f"Sales: Revenue by year, asked {AT}")
    assert dict(found.call) == {
        "Asked by": "sales, task T1",
        "Tool": "sales.chart",
        "Arguments": "{}",
        "Result": "1 row: year",
        "Call": f"called at {BEGAN.isoformat()}, 1 ms, 77 bytes",
        "Evidence": "E1",
    }


def test_a_result_without_a_title_is_told_by_its_tool_and_arguments() -> None:
    asked = {"country": ["X", "Y"], "filters": {"segment": "home"}, "limit": None}
    plain = evidence(kind="text").model_copy(update={"server": "price_list", "tool": "find_offers", "arguments": asked})
    words = f"country = X, Y; filters (segment = home), asked {AT}"
    assert told({"E1": plain}).words == f"Price list: Find offers, for {words}"
    titled = plain.model_copy(update={"tool_title": "Offers of dealers"})
    assert told({"E1": titled}).words == f"Price list: Offers of dealers, for {words}"


def test_what_was_computed_names_what_it_rests_on() -> None:
    chart = evidence(kind="chart", svg="<svg>", title="Trend").model_copy(
        update={"arguments": {"a": {"evidence_id": "E2"}}}
    )
    known = {"E1": chart, "E2": table(["year"], title="Revenue by year")}
    assert told(known).words == f"Sales: Chart: Trend, computed on E2 (Revenue by year), asked {AT}"
    assert "computed on source 7 (" in told(known, numbers={"E2": 7}).words


@pytest.mark.parametrize("flags", [[], ["override"]])
def test_a_document_has_its_publisher_and_an_address_unless_it_is_doubtful(flags: list[str]) -> None:
    page = {"title": "The market", "publisher": "The Union", "date": "2026-01-27", "url": "https://a.example/"}
    read = evidence(kind="document", untrusted=True, retrieved="2026-11-30", **page).model_copy(update={"flags": flags})
    found = told({"E1": read})
    words = "Document: The market, The Union, 2026-01-27, "
    if flags:
        assert (found.words, found.address) == (f"{words}https://a.example/, read 2026-11-30", "")
        assert found.doubts == ["from outside, not verified", "reads like instructions (override)"]
    else:
        assert (found.words, found.address) == (f"{words}read 2026-11-30", "https://a.example/")


def test_names_and_arguments_are_words() -> None:
    assert in_words("knowledge_base") == "Knowledge base"
    assert arguments_in_words({"a_b": [1, 2], "c": {"d": "x\ny"}}) == "a b = 1, 2; c (d = x y)"


def test_of_many_findings_the_surest_are_listed_each_with_its_source() -> None:
    many = {f"E{number}": evidence() for number in range(1, FINDINGS + 2)}
    told = [finding(f"claim {name}", name, confidence="low") for name in many]
    told[-1]["confidence"] = "high"
    report = made("Nothing.", many, *told, raw=False)
    listed = next(each.tokens for each in report.sections if each.title == "Verified findings")
    shown = " ".join(each.content for each in listed if each.type == "inline")
    assert shown.index(f"claim E{FINDINGS + 1} [1]") < shown.index("claim E1 [2]")
    assert f"claim E{FINDINGS} " not in shown

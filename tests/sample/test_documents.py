"""The sample briefs against the fact sheet they were written from."""

import csv
import re
from decimal import Decimal

import pytest

import sample
from mcp_servers.base.formats import read_file
from mcp_servers.knowledge_base.documents import CONFIDENCES, SourceDocument
from sample.truth import FACT_SHEET
from tests.mcp_servers.knowledge_base.answers import library_of

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
WORDS_OF_NO_ONE = {"the", "reported", "accounts", "report", "cited", "market", "group", "guide", "energy", "article"}

with FACT_SHEET.open(encoding="utf-8", newline="") as _file:
    FACTS = {row["id"]: row for row in csv.DictReader(_file)}
LIBRARY = library_of(sample.DOCUMENTS)
BRIEF = pytest.mark.parametrize("brief", LIBRARY.documents.values(), ids=LIBRARY.documents.keys())


def numbers(text: str) -> set[Decimal]:
    return {Decimal(each.replace(",", "")) for each in NUMBER.findall(text)}


def body_of(brief: SourceDocument) -> str:
    """The brief without its links: lists of ids and addresses are checked apart."""
    return "\n".join(each.text for each in brief.sections if each.title not in {"Sources", "See also"})


def facts_of(brief: SourceDocument) -> list[dict[str, str]]:
    return [FACTS[each] for each in re.findall(r"^- (EV-[A-Z]\d\d) ", brief.text, re.MULTILINE)]


def carries(sentence: str, fact: dict[str, str]) -> bool:
    """Whether the sentence gives the fact's number with its year and someone to name as its source."""
    years = re.findall(r"\d{4}", fact["period"])
    sources = re.findall(r"\w{3,}", f"{fact['publisher']} {fact['source_title']}".lower())
    names = set(sources) - WORDS_OF_NO_ONE
    return (
        Decimal(fact["value"]) in numbers(sentence)
        and (not years or any(year in sentence for year in years))
        and any(re.search(rf"\b{re.escape(name)}\b", sentence.lower()) for name in names)
    )


def test_there_are_about_forty_briefs_and_none_is_unreadable() -> None:
    assert 38 <= len(LIBRARY.documents) <= 45
    assert LIBRARY.skipped == ()
    assert len(LIBRARY.documents) == len(list(sample.DOCUMENTS.glob("*.md")))


def test_every_fact_is_used() -> None:
    used = {fact["id"] for brief in LIBRARY.documents.values() for fact in facts_of(brief)}
    assert used == FACTS.keys()


@BRIEF
def test_front_matter_is_complete(brief: SourceDocument) -> None:
    metadata = read_file(sample.DOCUMENTS / f"{brief.id}.md").metadata
    assert list(metadata) == ["id", "title", "publisher", "date", "url", "confidence", "topics", "regions"]
    assert metadata["id"] == brief.id
    assert re.fullmatch(r"20\d\d-\d\d(-\d\d)?", brief.date)
    assert "2022" <= brief.date <= "2026-11-21"
    assert brief.url in {fact["url"] for fact in facts_of(brief)}
    assert metadata["confidence"] in CONFIDENCES


@BRIEF
def test_confidence_is_high_only_when_every_fact_is(brief: SourceDocument) -> None:
    all_high = all(fact["confidence"] == "high" for fact in facts_of(brief))
    assert (brief.confidence == "high") == all_high


@BRIEF
def test_every_number_is_in_the_facts_the_brief_cites(brief: SourceDocument) -> None:
    known = numbers(" ".join(f"{value} " for fact in facts_of(brief) for value in fact.values()))
    assert numbers(f"{brief.title} {body_of(brief)}") <= known


@BRIEF
def test_every_fact_stands_in_a_sentence_with_its_year_and_a_name(brief: SourceDocument) -> None:
    sentences = re.findall(r"^- (.+)$", body_of(brief), re.MULTILINE)
    for fact in facts_of(brief):
        if fact["value"]:
            assert any(carries(sentence, fact) for sentence in sentences), fact["id"]


@BRIEF
def test_sources_are_the_facts_own(brief: SourceDocument) -> None:
    sources = next(each.text for each in brief.sections if each.title == "Sources").splitlines()
    for line, fact in zip(sources, facts_of(brief), strict=True):
        assert line.startswith(f"- {fact['id']} ({fact['confidence']} confidence): {fact['publisher']}, ")
        assert line.endswith(f"<{fact['url']}>")
        assert fact["source_title"].strip("[]") in line
        assert ("page described as" in line) == fact["source_title"].startswith("[")


@BRIEF
def test_sentences_are_not_the_fact_sheets(brief: SourceDocument) -> None:
    body = " ".join(re.findall(r"\w+", body_of(brief).lower()))
    for fact in facts_of(brief):
        words = re.findall(r"\w+", fact["statement"].lower())
        runs = {" ".join(words[start : start + 14]) for start in range(len(words) - 13)}
        assert not [run for run in runs if run in body]


@BRIEF
def test_see_also_names_other_briefs(brief: SourceDocument) -> None:
    names = [each.text for each in brief.sections if each.title == "See also"]
    linked = set(re.findall(r"^- (.+)$", "\n".join(names), re.MULTILINE))
    assert linked <= LIBRARY.documents.keys() - {brief.id}


DISAGREEMENTS = (
    "S05/S06 S07/S08 S10/S11 S21/S22 S24/S25 S34/S35 S36/S37 P02/P03 P06/P07/P08 P10/P11 H01/H02 C03/C04 C07/C08"
    " C10/C11 C13/C14 C17/C18 M01/M02/M03/M04 M05/M06/M07 M08/M09 M10/M11 M12/M13 M14/M15/M16 M17/S04 T01/T05"
    " T06/T07 T09/T10 E02/E03 E04/E05"
)


@pytest.mark.parametrize("group", DISAGREEMENTS.split())
def test_contradictory_estimates_stand_side_by_side(group: str) -> None:
    wanted = [FACTS[f"EV-{each}"] for each in group.split("/")]
    for brief in LIBRARY.documents.values():
        cited = {fact["id"] for fact in facts_of(brief)}
        if {fact["id"] for fact in wanted} <= cited:
            texts = [each.text for each in brief.sections if each.title == "Where sources disagree"]
            assert {Decimal(fact["value"]) for fact in wanted} <= numbers(" ".join(texts))
            return
    pytest.fail(f"no brief holds {group}")

"""The Word form: what was written can be read again, and whatever a model writes is text."""

import io

import docx
from docx.document import Document as Word
from hypothesis import given, settings
from hypothesis import strategies as st

from app.reports.document import Document
from app.reports.pdf import Typesetter
from app.reports.word import pictures_of, word
from tests.app.reports.made import SVG, evidence, finding, made, table
from tests.app.reports.test_figures import BODY, COLUMNS, YEARS
from tests.app.reports.test_page import PIECES
from tests.examples import at_most


def read(document: Document, pictures: dict[str, bytes] | None = None) -> Word:
    return docx.Document(io.BytesIO(word(document, pictures or {})))


def headings(document: Word) -> list[str]:
    return [each.text for each in document.paragraphs if (each.style.name if each.style else "").startswith("Heading")]


def rows(document: Word) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for table in document.tables for row in table.rows]


def test_sections_tables_and_citations_are_there() -> None:
    source = evidence(kind="document", url="https://a.example/", title="The market", publisher="Union", date="2026")
    known = {"E1": table(COLUMNS, *YEARS), "E2": source}
    shown = read(made(f"## Sales\n\n{BODY} **It** ended [2]. <https://a.example/>", known, finding("It rose.", "E1")))
    assert shown.paragraphs[0].text == shown.core_properties.title == "Revenue"
    assert headings(shown)[:6] == ["Sales", "Confidence and gaps", "Verified findings", "Sources", "Method", "Evidence"]
    assert ["2022", "18.9", "[1]"] in rows(shown)
    assert ["North", "2023", "21.1", "4"] in rows(shown)
    xml = shown.element.xml
    assert 'w:anchor="E1"' in xml
    assert 'w:bookmarkStart w:id="1" w:name="E1"' in xml
    outside = [each.target_ref for each in shown.part.rels.values() if each.is_external]
    assert outside == ["https://a.example/"]
    chart = "Revenue in EUR by year (region: North). Drawn from source 1. The chart is in the HTML and PDF forms"
    assert any(each.text.startswith(chart) for each in shown.paragraphs)


async def test_charts_are_pictures_with_a_description() -> None:
    chart = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="9" height="9"/></svg>'
    known = {"E1": table(COLUMNS, *YEARS), "E2": evidence(kind="chart", svg=chart)}
    document = made(f"{BODY}\n\n![a trend](evidence/E2.svg)", known)
    pictures = await Typesetter().pictures(pictures_of(document), "a")
    assert [each[:4] for each in pictures.values()] == [b"\x89PNG"] * 2
    shown = read(document, pictures)
    assert len(shown.inline_shapes) == 2
    assert 'descr="a trend"' in shown.element.xml


@settings(max_examples=at_most(20))
@given(st.lists(PIECES | st.text(max_size=8) | st.just("\0"), max_size=20).map("".join))
def test_whatever_a_model_writes_can_be_read(text: str) -> None:
    known = {"E1": evidence(text, kind="chart", svg=SVG, title=text), "E2": table([text, "n"], [text, 7])}
    shown = read(made(text, known, finding(f"{text} 7", "E2"), title=text or "x", question=text, flags=[text]))
    assert headings(shown)[-3:] == ["Evidence", *headings(shown)[-2:]]
    assert not [each for each in shown.part.rels.values() if each.is_external]

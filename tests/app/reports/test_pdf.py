"""The PDF of a report: all of it is there, and nothing that a model wrote in it is markup, runs or leads anywhere."""

import asyncio
import contextlib
import io
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pypdf import PageObject, PdfReader

from app.errors import NotTypeset, OperatorMustAct
from app.reports import pdf
from app.reports.pdf import EVIDENCE_CHARS, Typesetter
from graphs.evidence.store import Evidence
from tests.app.reports.made import SVG, evidence, made, table
from tests.app.reports.test_figures import BODY, COLUMNS, YEARS
from tests.app.reports.test_page import PIECES
from tests.examples import at_most

REPORT = """> By how much?

**Twice**[^1] as `much` [E1](evidence/E1.md), [they say](https://acea.example/) and [others](https://evil.example/).

1. First
   - within
2. Second

| year | revenue |
| ---- | ------: |
| 2024 |      38 |

![growth](evidence/E1.svg)
"""
PARTIAL: dict[str, Any] = {"status": "partial", "stop_reason": "budget_reached"}
TYPST = ['#read("/etc/passwd")', "#eval(", "$x^2$", "#import", "@E1", "<E1>", "#{", "]", "\\", "*", "= ", "~", "\0"]


async def _pdf(text: str, known: dict[str, Evidence] | None = None, title: str = "Revenue") -> PdfReader:
    return PdfReader(io.BytesIO(await Typesetter().pdf(made(text, known, title=title), "a")))


def _text(document: PdfReader) -> str:
    return " ".join(" ".join(page.extract_text() for page in document.pages).split())


def _addresses(document: PdfReader) -> set[str]:
    """What leaves the document."""
    notes = [note.get_object() for page in document.pages for note in page.get("/Annots", [])]
    return {str(note["/A"]["/URI"]) for note in notes if "/URI" in note.get("/A", {})}


def _commands_with(word: bytes) -> list[Path]:
    """Command lines of living processes; one may end while it is looked at."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += [each] if word in each.read_bytes() else []
    return found


async def test_all_of_a_report_is_in_it() -> None:
    source = evidence(kind="chart", svg=SVG, url="https://acea.example/")
    document = await _pdf(REPORT, {"E1": source}, title="Revenue *rose*")
    told = _text(document)
    for part in ("Revenue *rose*", "By how much?", "Twice", "First", "within", "Second", "38 < 40", "sales.chart"):
        assert part in told
    assert "year revenue 2024 38" in told
    assert "year,revenue 2024,38" in told, "the evidence is behind it"
    assert "1 ms, 126 bytes" in told
    assert document.metadata
    assert document.metadata.title == "Revenue *rose*"
    assert _addresses(document) == {"https://acea.example/"}
    notes = [note.get_object() for page in document.pages for note in page.get("/Annots", [])]
    assert len(notes) == 3, "and two that lead to the evidence, from the text and from its sources"


async def test_it_is_tagged_has_bookmarks_and_its_charts_are_drawn_not_painted() -> None:
    document = await _pdf(f"## Sales\n\n{BODY}", {"E1": table(COLUMNS, *YEARS)})
    root: Any = document.root_object
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    kinds = {str(each.get("/S")) for each in _elements(root["/StructTreeRoot"])}
    assert {"/H1", "/H2", "/Table", "/TH", "/TD", "/Link", "/Figure"} <= kinds
    assert b"pdfuaid:part>1<" in root["/Metadata"].get_data().replace(b"\n", b"")
    assert _bookmarks(document.outline)[:4] == ["Revenue", "Sales", "Confidence and gaps", "Sources"]
    resources: list[Any] = [page["/Resources"] for page in document.pages]
    fonts = [each.get_object() for found in resources for each in found["/Font"].values()]
    descriptors = [each["/DescendantFonts"][0]["/FontDescriptor"] for each in fonts if "/DescendantFonts" in each]
    assert descriptors
    assert all({"/FontFile2", "/FontFile3"} & set(each) for each in descriptors)
    assert not [image for page in document.pages for image in page.images]
    assert "21.1" in _text(document).partition("The end.")[0], "what is in the chart can be read"


def _bookmarks(outline: Any) -> list[str]:
    return [title for each in outline for title in (_bookmarks(each) if isinstance(each, list) else [each["/Title"]])]


def _elements(node: Any) -> Iterator[Any]:
    """All elements of the structure."""
    kids = node.get("/K", [])
    for each in kids if isinstance(kids, list) else [kids]:
        found = each.get_object()
        if isinstance(found, dict):
            yield found
            yield from _elements(found)


async def test_a_partial_report_says_so_and_has_the_same_sections() -> None:
    whole = await _pdf(BODY, {"E1": table(COLUMNS, *YEARS)})
    part = PdfReader(io.BytesIO(await Typesetter().pdf(made(BODY, {"E1": table(COLUMNS, *YEARS)}, **PARTIAL), "a")))
    assert "This report is partial: the rest of the budget does not pay for another call" in _text(part)
    assert "This report is" not in _text(whole)
    assert _text(part).count("Confidence and gaps") == _text(whole).count("Confidence and gaps") == 1
    assert _bookmarks(part.outline) == _bookmarks(whole.outline)


@settings(max_examples=at_most(40))
@given(st.lists(PIECES | st.sampled_from(TYPST) | st.text(max_size=8), max_size=20).map("".join))
@example("> " * 60 + "deep")
@example("- " * 60 + "deep")
@example("*a **b " * 40 + "** *" * 40)
@example("|a|\n|-|\n" + "|" * 50)
@example("# \n\n## \n\n1. \n\n- \n\n> \n\n[](evidence/E1.md)![](evidence/E1.svg)")
@example("*" * 100 + "a" + "*" * 100)
@example("0. a\n\n999999999. b")
async def test_whatever_a_model_writes_is_typeset(text: str) -> None:
    document = await _pdf(text, {"E1": evidence(text, kind="chart", svg=SVG), "E2": evidence("", url=text)})
    assert _addresses(document) <= {text}


async def test_what_is_markup_to_the_typesetter_is_text() -> None:
    told = _text(await _pdf('#read("/etc/passwd") $x^2$ @E1 \\<E1> #{ panic() }', {"E1": evidence("#panic()")}))
    assert '#read("/etc/passwd") $x^2$ @E1 <E1> #{ panic() }' in told
    assert "#panic()" in told


async def test_of_long_evidence_the_beginning_is_in_it() -> None:
    rows = "\n".join(f"row {number}" for number in range(10_000))
    told = _text(await _pdf("# x", {"E1": evidence(rows)}))
    assert f"{len(rows)} characters in total; the HTML report has all of them" in told
    assert "row 9999" not in told
    assert len(told) < 2 * EVIDENCE_CHARS
    assert _text(await _pdf("# x", {"E1": evidence("word " * 10_000)})).count("word") == EVIDENCE_CHARS // 5


LONG = "x" * 300
ADDRESS = f"https://acea.example/{'segment' * 40}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        LONG,
        f"- a\n  - {LONG}",
        f"# {LONG}",
        f"> {LONG}",
        f"`{LONG}`",
        f"```\n{LONG}\n```",
        f"| a | b |\n|---|---|\n| {LONG} | c |",
        f"{'| a ' * 12}|\n{'|---' * 12}|\n{'| Westvlaanderen ' * 11}| {LONG} |",
        f"{'| a ' * 40}|\n{'|---' * 40}|\n{'| 19,460,242.17 ' * 39}| {LONG} |",
    ],
)
async def test_no_word_runs_out_of_the_page_or_its_cell(text: str) -> None:
    document = await _pdf(text)
    for page in document.pages:
        shown = sorted(_pieces(page))
        assert all(right < page.mediabox.right for _, _, right in shown)
        for (y, _, right), (next_y, left, _) in pairwise(shown):
            assert y != next_y or right <= left + 1
    assert "".join(page.extract_text() for page in document.pages).count("x") == len(LONG)


def _pieces(page: PageObject) -> list[tuple[float, float, float]]:
    """Of each piece of text: how high it is, where it begins, and where it ends at least, in points."""
    found: list[tuple[float, float, float]] = []

    def seen(text: str, at: list[float], _: Any, font: Any, size: float) -> None:
        if text.strip():
            found.append((at[5], at[4], at[4] + 0.35 * size * len(text.strip())))

    page.extract_text(visitor_text=seen)
    return found


async def test_what_is_broken_is_copied_whole() -> None:
    document = await _pdf(f"See {ADDRESS} there.")
    assert f"See {ADDRESS} there." in "".join(document.pages[0].extract_text().split("\n"))


async def test_what_no_font_has_is_told_to_the_reader_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    told = _text(await _pdf("Sales rose\u0378.", {"E1": evidence("\u0379 38")}))
    assert "Missing characters: U+0378, U+0379." in told
    assert "U+0378, U+0379" in caplog.text


async def test_what_a_chart_cannot_show_is_told() -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><text y="9">\u0378</text></svg>'
    assert "U+0378" in _text(await _pdf("![x](evidence/E1.svg)", {"E1": evidence(kind="chart", svg=svg)}))


async def test_of_many_characters_that_are_missing_some_are_named() -> None:
    told = _text(await _pdf("".join(map(chr, range(0x50000, 0x50020)))))
    assert "U+50000, U+50001, " in told
    assert "and 20 more." in told


async def test_where_all_is_shown_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert "missing" not in _text(await _pdf(REPORT, {"E1": evidence(kind="chart", svg=SVG)}))
    assert not caplog.text


@pytest.mark.parametrize("svg", ["no chart", "<svg", '<svg xmlns="http://www.w3.org/2000/svg">' + "<g>" * 100_000])
async def test_what_cannot_be_typeset_says_so(svg: str) -> None:
    with pytest.raises(NotTypeset, match="something that cannot be typeset"):
        await Typesetter().pdf(made("![x](evidence/E1.svg)", {"E1": evidence(kind="chart", svg=svg)}), "a")


@pytest.mark.slow
async def test_a_typesetter_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "_COMMAND", ("/bin/sh", "-c", "exit 1"))
    with pytest.raises(OperatorMustAct, match="does not work"):
        await Typesetter().pdf(made(f"```\n{'x' * 200_000}\n```", {}), "a")


@pytest.mark.slow
async def test_who_waits_too_long_for_others_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "WAIT_S", 0.1)
    monkeypatch.setattr(pdf, "_COMMAND", ("/bin/sh", "-c", "cat && sleep 0.5"))
    typesetter = Typesetter()
    first = asyncio.create_task(typesetter.pdf(made("# 1", {}), "a"))
    with pytest.raises(OperatorMustAct, match="the typesetter is busy"):
        await asyncio.gather(typesetter.pdf(made("# 2", {}), "a"), typesetter.pdf(made("# 3", {}), "a"))
    assert await first


async def test_what_is_nested_without_end_says_so() -> None:
    with pytest.raises(NotTypeset, match="nested too deeply"):
        await Typesetter().pdf(made("*" * 8000 + "a" + "*" * 8000, {}), "a")


@pytest.mark.slow
async def test_one_that_takes_too_much_memory_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "SECONDS", 100)
    with pytest.raises(NotTypeset, match="something that cannot be typeset"):
        await Typesetter().pdf(made("a *b* c\n\n" * 20_000, {}), "a")


async def test_of_a_tenant_one_is_made_at_a_time_and_of_another_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    heavy = f"mkdir {tmp_path}/busy && until test -e {tmp_path}/go; do sleep 0.02; done && rmdir {tmp_path}/busy"
    command = f'read -r report; case "$report" in *heavy*) {heavy};; esac && printf made'
    monkeypatch.setattr(pdf, "_COMMAND", ("/bin/sh", "-c", command))
    typesetter = Typesetter()
    many = [asyncio.create_task(typesetter.pdf(made("heavy", {}), "a")) for _ in range(3)]
    while not (tmp_path / "busy").exists():  # noqa: ASYNC110  another process makes it
        await asyncio.sleep(0.01)
    others = [await typesetter.pdf(made("light", {}), tenant) for tenant in ("b", "c")]
    (tmp_path / "go").touch()
    assert [*others, *await asyncio.gather(*many)] == [b"made"] * 5


async def test_one_that_takes_too_long_is_given_up_and_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "SECONDS", 0.5)
    monkeypatch.setattr(pdf, "_COMMAND", ("sleep", "61.25"))
    with pytest.raises(NotTypeset, match=r"longer than 0\.5 s"):
        await Typesetter().pdf(made("# x", {}), "a")
    assert not _commands_with(b"61.25")


@pytest.mark.parametrize("file", ["x.svg", "{folder}/x.svg", "file://{folder}/x.svg"])
async def test_no_file_is_within_its_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    (tmp_path / "x.svg").write_text(SVG)
    monkeypatch.chdir(tmp_path)
    image = f'<image href="{file.format(folder=tmp_path)}" width="9" height="9"/>'
    chart = evidence(kind="chart", svg=f'<svg xmlns="http://www.w3.org/2000/svg">{image}</svg>')
    with pytest.raises(NotTypeset):
        await Typesetter().pdf(made("![x](evidence/E1.svg)", {"E1": chart}), "a")

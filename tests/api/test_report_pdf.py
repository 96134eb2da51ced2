"""The PDF of a report: all of it is there, and nothing that a model wrote in it is markup, runs or leads anywhere."""

import asyncio
import contextlib
import io
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from app.api import report_pdf
from app.api.report_pdf import EVIDENCE_CHARS, Typesetter
from app.errors import NotTypeset, OperatorMustAct
from graphs.evidence import Evidence
from tests.api.test_report_page import PIECES, SVG, evidence

REPORT = """# Revenue *rose*

> By how much?

**Twice**[^1] as `much` [E1](evidence/E1.md), [they say](https://acea.example/) and [others](https://evil.example/).

1. First
   - within
2. Second

| year | revenue |
| ---- | ------: |
| 2024 |      38 |

![growth](evidence/E1.svg)
"""
TYPST = ['#read("/etc/passwd")', "#eval(", "$x^2$", "#import", "@E1", "<E1>", "#{", "]", "\\", "*", "= ", "~", "\0"]


async def _pdf(text: str, known: dict[str, Evidence] | None = None) -> PdfReader:
    return PdfReader(io.BytesIO(await Typesetter().pdf(text, known or {})))


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
    document = await _pdf(REPORT, {"E1": source})
    told = _text(document)
    for part in ("Revenue rose", "By how much?", "Twice", "First", "within", "Second", "38 < 40", "E1: sales.chart"):
        assert part in told
    assert "year revenue 2024 38" in told
    assert "year,revenue 2024,38" in told, "the evidence is behind it"
    assert "1 ms, 126 bytes" in told
    assert document.metadata
    assert document.metadata.title == "Revenue *rose*"
    assert _addresses(document) == {"https://acea.example/"}
    notes = [note.get_object() for page in document.pages for note in page.get("/Annots", [])]
    assert len(notes) == 2, "and one that leads to the evidence"


@settings(max_examples=40)
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
    assert f"{len(rows)} characters in all; the HTML report has them" in told
    assert "row 9999" not in told
    assert len(told) < 2 * EVIDENCE_CHARS
    assert _text(await _pdf("# x", {"E1": evidence("word " * 10_000)})).count("word") == EVIDENCE_CHARS // 5


@pytest.mark.parametrize("svg", ["no chart", "<svg", '<svg xmlns="http://www.w3.org/2000/svg">' + "<g>" * 100_000])
async def test_what_cannot_be_typeset_says_so(svg: str) -> None:
    with pytest.raises(NotTypeset, match="something that cannot be typeset"):
        await Typesetter().pdf("![x](evidence/E1.svg)", {"E1": evidence(kind="chart", svg=svg)})


async def test_a_typesetter_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_pdf, "_COMMAND", ("/bin/sh", "-c", "exit 1"))
    with pytest.raises(OperatorMustAct, match="does not work"):
        await Typesetter().pdf("# x\n" * 50_000, {})


async def test_who_waits_too_long_for_others_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_pdf, "WAIT_S", 0.1)
    monkeypatch.setattr(report_pdf, "_COMMAND", ("/bin/sh", "-c", "cat && sleep 0.5"))
    typesetter = Typesetter()
    first = asyncio.create_task(typesetter.pdf("# 1", {}))
    with pytest.raises(OperatorMustAct, match="other reports"):
        await asyncio.gather(typesetter.pdf("# 2", {}), typesetter.pdf("# 3", {}))
    assert await first


async def test_what_is_nested_without_end_says_so() -> None:
    with pytest.raises(NotTypeset, match="nested too deeply"):
        await Typesetter().pdf("*" * 8000 + "a" + "*" * 8000, {})


async def test_one_that_takes_too_much_memory_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_pdf, "SECONDS", 100)
    with pytest.raises(NotTypeset, match="something that cannot be typeset"):
        await Typesetter().pdf("a *b* c\n\n" * 20_000, {})


async def test_one_is_made_at_a_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    alone = f"mkdir {tmp_path}/busy && cat && sleep 0.1 && rmdir {tmp_path}/busy"
    monkeypatch.setattr(report_pdf, "_COMMAND", ("/bin/sh", "-c", alone))
    typesetter = Typesetter()
    assert len(await asyncio.gather(*(typesetter.pdf(f"# {number}", {}) for number in range(4)))) == 4


async def test_one_that_takes_too_long_is_given_up_and_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_pdf, "SECONDS", 0.5)
    monkeypatch.setattr(report_pdf, "_COMMAND", ("sleep", "61.25"))
    with pytest.raises(NotTypeset, match=r"longer than 0\.5 s"):
        await Typesetter().pdf("# x", {})
    assert not _commands_with(b"61.25")


@pytest.mark.parametrize("file", ["x.svg", "{folder}/x.svg", "file://{folder}/x.svg"])
async def test_no_file_is_within_its_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    (tmp_path / "x.svg").write_text(SVG)
    monkeypatch.chdir(tmp_path)
    image = f'<image href="{file.format(folder=tmp_path)}" width="9" height="9"/>'
    chart = evidence(kind="chart", svg=f'<svg xmlns="http://www.w3.org/2000/svg">{image}</svg>')
    with pytest.raises(NotTypeset):
        await Typesetter().pdf("![x](evidence/E1.svg)", {"E1": chart})

"""PDFs as they come: pages, columns, tables, scans, locked and damaged ones, and such as mean harm."""

import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docx
import openpyxl  # type: ignore[import-untyped]
import pptx
import pytest

from mcp_servers.base import formats
from mcp_servers.base.formats import Unreadable, read_file
from mcp_servers.base.results import Table
from mcp_servers.knowledge_base.documents import SourceDocument
from mcp_servers.knowledge_base.reading import Reader
from mcp_servers.knowledge_base.reading_worker import PROCESS_MEMORY
from mcp_servers.knowledge_base.server import UNRELIABLE, build
from tests.mcp_servers.knowledge_base.answers import library_of
from tests.mcp_servers.pdfs import bomb, drawn, encrypted, endless, new, pdf_of

LEFT = "Fleet operators in Austria ran depots in 2024, says the board. " * 20
RIGHT = "Chargers cost less than the year before in most towns. " * 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "note.md").write_text("# Note\n\nDepots are charged at night.\n")
    return tmp_path


def document(folder: Path, content: bytes) -> SourceDocument:
    (folder / "study.pdf").write_bytes(content)
    return library_of(folder).documents["study"]


def refused(folder: Path, content: bytes, reader: Reader | None = None) -> str:
    """Why the file is not searchable; the other one still is."""
    (folder / "study.pdf").write_bytes(content)
    library = library_of(folder, reader)
    assert set(library.documents) == {"note"}
    [line] = library.skipped
    return line


def test_columns_are_read_one_after_the_other(folder: Path) -> None:
    pdf = new()
    pdf.add_page()
    with pdf.text_columns(ncols=2, gutter=10) as columns:
        columns.write(LEFT)
        columns.new_column()
        columns.write(RIGHT)
    [page] = document(folder, bytes(pdf.output())).sections
    assert page.text.split() == (LEFT + RIGHT).split()


def test_the_rows_of_a_table_stay_together(folder: Path) -> None:
    pdf = new()
    pdf.add_page()
    with pdf.table() as table:
        for row in (("Year", "Depots", "Revenue EUR"), ("2023", "388", "1,204,500"), ("2024", "412", "1,310,250")):
            table.row(row)
    [page] = document(folder, bytes(pdf.output())).sections
    assert page.text.splitlines() == [
        "| Year | Depots | Revenue EUR |",
        "| 2023 | 388 | 1,204,500 |",
        "| 2024 | 412 | 1,310,250 |",
    ]


def test_pages_keep_their_number_whatever_stands_on_them(folder: Path) -> None:
    """What would be a heading or a fence in Markdown is none here."""
    found = document(folder, pdf_of("# Units: 37\n```\nnot code", "## Page 7\nand more", title="Tender"))
    assert (found.title, [section.title for section in found.sections]) == ("Tender", ["Page 1", "Page 2"])
    assert found.sections[0].text == "# Units: 37\n```\nnot code"


async def test_a_search_names_the_page_that_a_citation_needs(folder: Path) -> None:
    (folder / "study.pdf").write_bytes(pdf_of("Nothing here.", "Depots cost EUR 7,310 each."))
    result = await build(folder, None).call_tool("search_keyword", {"query": "cost each"})
    found = Table.model_validate(result.structuredContent)
    assert found.rows[0][:3] == ["study", "study", "Page 2"]


def test_pages_without_text_are_told(folder: Path) -> None:
    found = document(folder, pdf_of("Words.", "", "More words.", ""))
    assert [section.title for section in found.sections] == ["Page 1", "Page 3"]
    [line] = library_of(folder).skipped
    assert line == "study.pdf: no text on page 2, 4 (scanned?); run text recognition on it first"


async def test_numbers_of_lost_text_are_marked_wherever_they_are_served(folder: Path) -> None:
    names = " ".join(f"/g{code}" for code in range(32, 127))
    font = "<< /Type /Font /Subtype /Type1 /BaseFont /A+X /FirstChar 32 /LastChar 126 "
    font += f"/Widths [{'500 ' * 95}] /Encoding << /Type /Encoding /Differences [32 {names}] >> >>"
    content = drawn("BT /F1 9 Tf 20 700 Td (Depots: 507) Tj ET", fonts=f"/F1 {font}")
    (folder / "study.pdf").write_bytes(content)
    server = build(folder, None)

    async def called(tool: str, **arguments: str) -> dict[str, Any]:
        answer: Any = await server.call_tool(tool, arguments)
        content: dict[str, Any] = answer.structuredContent
        return content

    found, read = await called("search", query="depots"), await called("read_document", id="study")
    good = await called("read_document", id="note")
    assert [found["rows"][row][0] for row in found["unreliable_rows"]] == ["study"]
    assert len(found["rows"]) == 2
    assert (read["unreliable"], good["unreliable"]) == (True, False)
    assert all(any(UNRELIABLE in note for note in each["notes"]) for each in (found, read))


def test_a_scan_is_told(folder: Path) -> None:
    assert "no text in the PDF (a scan?); run text recognition on it first" in refused(folder, pdf_of("", ""))


def test_a_locked_pdf_is_told_and_one_that_only_forbids_changes_is_read(folder: Path) -> None:
    assert document(folder, encrypted(pdf_of("Words."), password="")).sections[0].text == "Words."
    assert "encrypted; save a copy without a password" in refused(folder, encrypted(pdf_of("Words."), password="no"))


@pytest.mark.parametrize(
    "damage",
    [lambda pdf: pdf[: len(pdf) // 3], lambda pdf: b"%PDF-1.7\n" + bytes(range(256)) * 40, lambda pdf: b"%PDF-1.7"],
    ids=["cut off", "noise", "nothing"],
)
def test_a_damaged_pdf_is_told(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    assert "study.pdf: not a readable PDF" in refused(folder, damage(pdf_of("Words.", "Words.")))


def test_a_long_pdf_is_cut_at_a_page_and_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is in it and never by time, which differs from one machine to the next."""
    (folder / "study.pdf").write_bytes(pdf_of(*["Words. " * 100] * 6))
    for limit, most in (("MAX_PAGES", 4), ("MAX_CHARS", 2500)):
        with monkeypatch.context() as here:
            here.setattr(formats, limit, most)
            part = read_file(folder / "study.pdf")
        assert len(part.pages) == 4
        assert part.note == "read up to page 4 of 6 only, it is too long; split it"
    assert read_file(folder / "study.pdf").note == ""


def test_a_pdf_that_never_ends_is_stopped_in_time(folder: Path) -> None:
    reader = Reader(time_limit_s=1.0)
    started = time.monotonic()
    assert refused(folder, endless(), reader).startswith("study.pdf: reading it took ")  # too much time, or memory
    assert time.monotonic() - started < 20
    (folder / "study.pdf").write_bytes(pdf_of("Words."))
    assert set(library_of(folder, reader).documents) == {"note", "study"}  # by another process


@pytest.mark.slow
def test_a_pdf_that_unpacks_to_a_thousand_times_its_size_is_told(folder: Path) -> None:
    content = bomb()
    assert len(content) < 1_000_000
    assert refused(folder, content).startswith("study.pdf: ")


def _slides() -> pptx.presentation.Presentation:
    made = pptx.Presentation()
    made.slides.add_slide(made.slide_layouts[5])
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", ["word/document.xml", "xl/worksheets/sheet1.xml", "ppt/slides/slide1.xml"])
def test_an_office_file_that_unpacks_to_more_than_the_memory_is_told(folder: Path, name: str) -> None:
    """A file as programs write it, with one part replaced by spaces."""
    kind, made = {
        "w": ("docx", docx.Document()),
        "x": ("xlsx", openpyxl.Workbook()),
        "p": ("pptx", _slides()),
    }[name[0]]
    made.save(str(folder / "good"))
    with (
        zipfile.ZipFile(folder / "good") as good,
        zipfile.ZipFile(folder / f"bomb.{kind}", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bad,
    ):
        for part in good.namelist():
            if part != name:
                bad.writestr(part, good.read(part))
        with bad.open(name, "w", force_zip64=True) as out:
            for _ in range(PROCESS_MEMORY // 2**20 + 100):
                out.write(b" " * 2**20)
    (folder / "good").unlink()
    library = library_of(folder)
    assert set(library.documents) == {"note"}
    assert library.skipped[0].startswith(f"bomb.{kind}: ")


def test_front_matter_that_multiplies_is_left_out(folder: Path) -> None:
    levels = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 10))
    (folder / "bomb.md").write_text(f"---\nl0: &l0 [lol]\n{levels}\ntitle: *l9\n---\nText.\n")
    found = library_of(folder, Reader(time_limit_s=5.0)).documents["bomb"]
    assert (found.title, found.text) == ("bomb", "Text.")


def test_a_file_that_is_too_large_is_not_opened(folder: Path) -> None:
    with (folder / "huge.pdf").open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    with pytest.raises(Unreadable, match="larger than 64 MB; split it"):
        read_file(folder / "huge.pdf")


@pytest.mark.slow
def test_the_server_starts_on_a_hostile_folder(folder: Path) -> None:
    """The reading is done by a process of its own: what kills that one leaves the server."""
    (folder / "study.pdf").write_bytes(b"%PDF-1.7")
    code = "import sys; from pathlib import Path; from mcp_servers.knowledge_base.server import build; "
    code += "build(Path(sys.argv[1]), None); print('pypdfium2' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
    assert "study.pdf: not a readable PDF" in ended.stderr

"""A folder of one's own: Markdown, HTML and PDF are read, and what cannot be read is named."""

import os
from pathlib import Path

import pytest
from mcp.shared.memory import create_connected_server_and_client_session
from mcp.types import TextContent

from mcp_servers.base.results import Document, Table
from mcp_servers.base.serving import StartupError
from mcp_servers.knowledge_base.passages import PASSAGE_CHARACTERS, passages_of
from mcp_servers.knowledge_base.server import build
from tests.mcp_servers.knowledge_base.answers import library_of
from tests.mcp_servers.pdfs import pdf_of
from tests.mcp_servers.program import refused

PAGE = """<html><head><title>Depot study</title></head><body><nav>Home | About</nav><article>
<h1>Depot charging</h1><p>Fleet operators in Austria ran 412 depots in 2024, says the depot board.</p>
<h2>Costs</h2><p>Each depot charger cost EUR 7,310 in the year 2024, installation included.</p>
<table><tr><th>Year</th><th>Depots</th></tr><tr><td>2023</td><td>388</td></tr></table></article></body></html>"""

BRIEF = """---
id: Ferry Terminals
title: Ferry terminals
publisher: Port Office
date: 2024-05-02
url: https://ports.example/ferries
confidence: High
topics: [ferries, shore power]
---
Intro above all headings.

# Power
Shore power came to 19 terminals in 2024.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "ferries.md").write_text(BRIEF, encoding="utf-8")
    (tmp_path / "plain.markdown").write_text("# Plain notes\n\nNothing about 2031.\n", encoding="utf-8")
    (tmp_path / "deep" / "Depots.html").write_text(PAGE, encoding="utf-8")
    (tmp_path / "deep" / "er" / "tender.pdf").write_bytes(
        pdf_of("Bids: 37 arrived.", "Winner: none.", title="Tender 12")
    )
    return tmp_path


def test_front_matter_headings_and_file_metadata_give_what_a_citation_needs(folder: Path) -> None:
    os.utime(folder / "plain.markdown", (1_700_000_000, 1_700_000_000))
    documents = library_of(folder).documents
    assert set(documents) == {"ferry-terminals", "plain", "deep-depots", "deep-er-tender"}
    ferries, plain = documents["ferry-terminals"], documents["plain"]
    assert (ferries.publisher, ferries.date, ferries.confidence) == ("Port Office", "2024-05-02", "high")
    assert [(each.title, each.text) for each in ferries.sections] == [
        ("Ferry terminals", "Intro above all headings."),
        ("Power", "Shore power came to 19 terminals in 2024."),
    ]
    assert (plain.title, plain.publisher, plain.date) == ("Plain notes", "own document", "2023-11-14")
    assert (plain.confidence, plain.url) == ("medium", "plain.markdown")


def test_an_unknown_confidence_becomes_medium(tmp_path: Path) -> None:
    (tmp_path / "sure.md").write_text("---\nconfidence: rock solid\n---\nText.\n", encoding="utf-8")
    assert library_of(tmp_path).documents["sure"].confidence == "medium"


def test_html_gives_its_article_with_headings_and_tables(folder: Path) -> None:
    page = library_of(folder).documents["deep-depots"]
    assert page.title == "Depot charging"
    (folder / "untitled.htm").write_text(
        "<html><head><title>Tram study</title></head><body><p>Trams ran 9 lines.</p></body></html>", encoding="utf-8"
    )
    assert library_of(folder).documents["untitled"].title == "Tram study"
    assert [each.title for each in page.sections] == ["Depot charging", "Costs"]
    assert "EUR 7,310" in page.sections[1].text
    assert "388" in page.sections[1].text
    assert "About" not in page.text


def test_pdf_gives_its_pages_as_sections(folder: Path) -> None:
    tender = library_of(folder).documents["deep-er-tender"]
    assert tender.title == "Tender 12"
    assert [(each.title, each.text) for each in tender.sections] == [
        ("Page 1", "Bids: 37 arrived."),
        ("Page 2", "Winner: none."),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "expected"),
    [("shore power", "ferry-terminals"), ("depot charger cost", "deep-depots"), ("bids", "deep-er-tender")],
)
async def test_tools_serve_the_folder_in_place_of_the_sample(folder: Path, query: str, expected: str) -> None:
    async with create_connected_server_and_client_session(build(folder, None)) as client:
        found = Table.model_validate((await client.call_tool("search", {"query": query})).structuredContent)
        read = await client.call_tool("read_document", {"id": expected})
        sample = await client.call_tool("read_document", {"id": "afir-rules"})
    assert found.rows[0][0] == expected
    assert Document.model_validate(read.structuredContent).id == expected
    assert sample.isError


async def test_files_that_cannot_be_read_are_named_with_the_reason(folder: Path) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 but no more")
    (folder / "scan.pdf").write_bytes(pdf_of(""))
    (folder / "empty.md").write_text("\n", encoding="utf-8")
    (folder / "latin.md").write_bytes("Zürich".encode("latin-1"))
    (folder / "headings.md").write_text("# One\n## Two\n", encoding="utf-8")
    (folder / "blank.html").write_text("<html></html>", encoding="utf-8")
    (folder / "data.zip").write_bytes(b"PK")
    (folder / ".hidden.md").write_text("# Hidden\n\ntext", encoding="utf-8")
    library = library_of(folder)
    assert len(library.documents) == 4
    skipped = dict(line.split(": ", 1) for line in library.skipped)
    reasons = {
        "blank.html": "no text",
        "broken.pdf": "not a readable PDF",
        "data.zip": "not Markdown, text, HTML, PDF, Word, Excel or PowerPoint",
        "empty.md": "no text in it",
        "headings.md": "no text under them",
        "latin.md": "not UTF-8",
        "scan.pdf": "text recognition",
    }
    assert skipped.keys() == reasons.keys()
    assert all(reason in skipped[name] for name, reason in reasons.items())
    async with create_connected_server_and_client_session(build(folder, None)) as client:
        answer = await client.call_tool("search", {"query": "bids"})
    assert isinstance(answer.content[0], TextContent)
    assert "could not be searched, or not in full: blank.html" in answer.content[0].text
    assert "and 4 more" in answer.content[0].text


def test_a_missing_or_useless_folder_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="no documents folder at"):
        library_of(tmp_path / "absent")
    with pytest.raises(StartupError, match="no readable Markdown, text, HTML"):
        library_of(tmp_path)
    (tmp_path / "notes.log").write_text("text", encoding="utf-8")
    with pytest.raises(StartupError, match=r"skipped: notes\.log: not Markdown"):
        library_of(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "absent"], "error: no documents folder at absent"),
        (
            ["--data", ".", "--embeddings-url", "localhost:1"],
            "error: --embeddings-url localhost:1 is not an http(s) address",
        ),
    ],
)
def test_the_program_refuses_bad_options_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    told = refused("mcp_servers.knowledge_base", "--stdio", *options)
    assert told.startswith(message)
    assert told.count("\n") == 1


def test_ids_stay_unique_when_names_collide(tmp_path: Path) -> None:
    for name in ("a b.md", "a-b.md", "a_b.markdown", "a-b-md.md"):
        (tmp_path / name).write_text(f"# {name}\n\nText.", encoding="utf-8")
    library = library_of(tmp_path)
    assert len(library.documents) == 4
    assert library.skipped == ()
    assert all(document.id == key for key, document in library.documents.items())


def test_a_text_that_opens_with_a_rule_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "ruled.md").write_text("---\nJust a remark\n---\nThe rest.\n", encoding="utf-8")
    assert "Just a remark" in library_of(tmp_path).documents["ruled"].text


async def test_lists_of_links_are_read_and_not_searched(tmp_path: Path) -> None:
    (tmp_path / "links.md").write_text("# Sources\n\n- The depot board\n", encoding="utf-8")
    server = build(tmp_path, None)
    found = await server.call_tool("search", {"query": "depot"})
    assert Table.model_validate(found.structuredContent).rows == []
    assert (
        "depot board"
        in Document.model_validate((await server.call_tool("read_document", {"id": "links"})).structuredContent).text
    )


def test_headings_in_code_are_no_sections(tmp_path: Path) -> None:
    (tmp_path / "code.md").write_text("# Use\n\n```\n# a comment\n```\n\nAfter.", encoding="utf-8")
    assert [each.title for each in library_of(tmp_path).documents["code"].sections] == ["Use"]


def test_long_sections_become_several_passages_and_nothing_is_lost(tmp_path: Path) -> None:
    words = [f"word{number}" for number in range(3000)]
    (tmp_path / "long.md").write_text("# Long\n\n" + " ".join(words), encoding="utf-8")
    passages = passages_of(library_of(tmp_path).documents["long"])
    assert max(len(each.text) for each in passages) <= PASSAGE_CHARACTERS
    assert " ".join(each.text for each in passages).split() == words


def test_the_version_follows_the_contents(folder: Path) -> None:
    before = library_of(folder).version
    assert library_of(folder).version == before
    (folder / "plain.markdown").write_text("# Plain notes\n\nNothing about 2032.\n", encoding="utf-8")
    assert library_of(folder).version != before

"""What was read is kept by content, and what has been read is served while the rest is being read."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server.fastmcp.exceptions import ToolError

from mcp_servers.base.reloading import Newest, Progress
from mcp_servers.base.results import Table
from mcp_servers.base.server import CallLimits
from mcp_servers.knowledge_base import shelf
from mcp_servers.knowledge_base.reading import KEPT_DAYS, Reader
from mcp_servers.knowledge_base.server import serve
from mcp_servers.knowledge_base.shelf import Folder, Shelf
from tests.mcp_servers.knowledge_base.answers import library_of
from tests.mcp_servers.pdfs import pdf_of
from tests.mcp_servers.waiting import soon


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "depots.md").write_text("# Depots\n\nA depot cost EUR 7,310.\n")
    (folder / "tender.pdf").write_bytes(pdf_of("Ferries: 37 bids."))
    return folder


def marked(kept: Path) -> None:
    """Change what is kept, so that a reader shows whether it looks there."""
    for each in kept.iterdir():
        changed = each.read_bytes().partition(b"\n")[2].replace(b"37 bids", b"kept bids")
        each.write_bytes(hashlib.sha256(changed).hexdigest().encode() + b"\n" + changed)


def test_what_was_read_is_not_read_again_wherever_it_is(folder: Path, tmp_path: Path) -> None:
    library_of(folder, Reader(tmp_path / "kept"))
    marked(tmp_path / "kept")
    moved = folder / "deep" / "tender.pdf"
    moved.parent.mkdir()
    (folder / "tender.pdf").rename(moved)
    assert (
        library_of(folder, Reader(tmp_path / "kept")).documents["deep-tender"].sections[0].text == "Ferries: kept bids."
    )
    moved.write_bytes(pdf_of("Ferries: 38 bids."))
    assert (
        library_of(folder, Reader(tmp_path / "kept")).documents["deep-tender"].sections[0].text == "Ferries: 38 bids."
    )


@pytest.mark.parametrize("harm", [b"", b"{", b'{"raw"', b"{}", b'abc\n{"raw": {}}'])
def test_what_is_kept_and_damaged_is_read_again(folder: Path, tmp_path: Path, harm: bytes) -> None:
    before = library_of(folder, Reader(tmp_path / "kept"))
    for each in (tmp_path / "kept").iterdir():
        each.write_bytes(harm)
    assert library_of(folder, Reader(tmp_path / "kept")) == before


def test_a_place_that_cannot_be_written_costs_nothing_but_time(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("in the way")
    assert set(library_of(folder, Reader(tmp_path / "kept")).documents) == {"depots", "tender"}


def test_a_load_that_ends_early_is_not_lost(folder: Path, tmp_path: Path) -> None:
    reading = Reader(tmp_path / "kept").read_all([folder / "tender.pdf", folder / "depots.md"])
    while not next(reading):
        pass
    reading.close()
    soon(lambda: list((tmp_path / "kept").glob("*.json")), bool, "what was read")


def test_what_nobody_uses_goes_after_a_month(folder: Path, tmp_path: Path) -> None:
    library_of(folder, Reader(tmp_path / "kept"))
    old = time.time() - (KEPT_DAYS + 1) * 24 * 3600
    for each in (tmp_path / "kept").iterdir():
        os.utime(each, (old, old))
    (folder / "depots.md").unlink()
    library_of(folder, Reader(tmp_path / "kept"))
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_only_what_has_changed_is_read_again(folder: Path, tmp_path: Path) -> None:
    source = Folder(folder, None, Reader(tmp_path / "kept"))
    before = source.load(Progress[Shelf]())
    marked(tmp_path / "kept")
    (folder / "depots.md").write_text("# Depots\n\nA depot cost EUR 1.\n")
    after = source.load(Progress[Shelf]())
    assert after.library.documents["tender"].sections == before.library.documents["tender"].sections
    assert after.library.documents["depots"].text.endswith("EUR 1.")


async def test_what_has_been_read_is_served_and_says_how_far_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "SMALL_BYTES", 0)
    long = "\n".join(f"key{number}: {number}" for number in range(300_000))
    (folder / "endless.md").write_text(f"---\n{long}\n---\nText.\n")
    server = serve(Newest(Folder(folder, None, Reader(time_limit_s=6)), 0.1))

    async def found(query: str) -> Table:
        answer: Any = await server.call_tool("search", {"query": query})
        return Table.model_validate(answer.structuredContent)

    with anyio.fail_after(30):
        part = await found("bids")
        assert [row[0] for row in part.rows] == ["tender"]
        assert "not all data are loaded yet (2 of 3 files read)" in part.notes
        server.limits = CallLimits(seconds=0.5)
        with pytest.raises(ToolError, match=r"still being loaded \(2 of 3 files read\); try again"):
            await found("zeppelin")
        with pytest.raises(ToolError, match="still being loaded"):
            await server.call_tool("read_document", {"id": "endless"})
        with pytest.raises(Exception, match="still being loaded"), anyio.fail_after(0.5):
            await server.read_resource("doc://endless")
        server.limits = CallLimits()
        whole = await found("zeppelin")  # waits until all has been read
    assert whole.rows == []
    assert "no passage was found by these words; try others, or whole words of three letters and more" in whole.notes
    assert part.data_version != whole.data_version


def test_every_order_of_reading_gives_the_same_library(folder: Path, tmp_path: Path) -> None:
    for name in ("a b.md", "a-b.md", "a_b.markdown"):
        (folder / name).write_text(f"# {name}\n\nText.")
    first = library_of(folder)
    kept = Reader(tmp_path / "kept")
    list(kept.read_all([folder / "a_b.markdown"]))
    second = library_of(folder, kept)
    assert list(first.documents.items()) == list(second.documents.items())
    assert first.version == second.version

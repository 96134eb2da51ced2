"""A folder of documents that changes under a running server."""

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp.server.fastmcp import FastMCP

from mcp_servers.base.results import Table
from mcp_servers.knowledge_base.server import build
from tests.mcp_servers.base.test_transports import Served, started
from tests.mcp_servers.pdfs import pdf_of
from tests.mcp_servers.waiting import PATIENCE_S, soon

OFTEN_S = 0.02


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    put(tmp_path / "docs" / "depots.md", "# Depots\n\nA depot cost EUR 7,310.\n")
    return tmp_path / "docs"


def put(path: Path, content: str | bytes) -> None:
    """Into place in one step, as a careful program does it."""
    draft = path.parent.parent / "draft"
    draft.write_bytes(content.encode() if isinstance(content, str) else content)
    draft.replace(path)


async def found(server: FastMCP, query: str) -> Table:
    result: Any = await server.call_tool("search_keyword", {"query": query})
    return Table.model_validate(result.structuredContent)


async def until(server: FastMCP, query: str, ids: list[str]) -> Table:
    """The first answer with passages of these documents. Fails after half a minute."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            table = await found(server, query)
            if [row[0] for row in table.rows] == ids:
                return table
            await anyio.sleep(OFTEN_S)


async def test_documents_that_are_added_changed_and_removed_are_noticed(folder: Path) -> None:
    server = build(folder, None, OFTEN_S)
    first = await found(server, "depot")
    put(folder / "tender.pdf", pdf_of("Ferries: 37 bids."))
    added = await until(server, "ferries", ["tender"])
    put(folder / "tender.pdf", pdf_of("Trams: 12 bids."))
    changed = await until(server, "trams", ["tender"])
    (folder / "tender.pdf").unlink()
    removed = await until(server, "trams", [])
    assert len({first.data_version, added.data_version, changed.data_version}) == 3
    assert removed.data_version == first.data_version  # the same documents have the same name
    with pytest.raises(Exception, match="no document 'tender'"):
        await server.call_tool("read_document", {"id": "tender"})


async def test_a_resource_shows_the_newest_text(folder: Path) -> None:
    server = build(folder, None, OFTEN_S)
    put(folder / "depots.md", "# Depots\n\nA depot cost EUR 8,000 in Norway.\n")
    put(folder / "trams.md", "# Trams\n\nTwelve.\n")
    await until(server, "norway", ["depots"])
    [old] = await server.read_resource("doc://depots")
    [new] = await server.read_resource("doc://trams")
    assert ("8,000" in old.content, "Twelve" in new.content) == (True, True)
    assert [each.name for each in await server.list_resources()] == ["depots", "trams"]


async def test_a_file_that_cannot_be_read_is_named_and_the_others_are_served(folder: Path) -> None:
    server = build(folder, None, OFTEN_S)
    put(folder / "scan.pdf", pdf_of(""))
    put(folder / "trams.md", "# Trams\n\nTwelve.\n")
    table = await until(server, "trams", ["trams"])
    assert "scan.pdf: no text in the PDF (a scan?)" in table.notes[-1]


def lose(folder: Path, harm: str) -> None:
    (folder / "depots.md").unlink()
    if harm == "removed":
        folder.rmdir()


def find_again(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    put(folder / "depots.md", "# Depots\n\nA depot cost EUR 1.\n")
    put(folder / "trams.md", "# Trams\n\nTwelve.\n")


@pytest.mark.parametrize("harm", ["emptied", "removed"])
async def test_a_folder_that_is_lost_leaves_the_old_documents_with_a_note(
    folder: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = build(folder, None, OFTEN_S)
    before = await found(server, "depot")
    lose(folder, harm)
    # Of this folder: threads of tests before may have something to say still.
    soon(lambda: [each for each in caplog.messages if str(folder) in each], bool, "the line in the log")
    after = await found(server, "depot")
    assert after.rows == before.rows
    assert after.notes[-1].startswith("newer data could not be read; these are from 20")
    find_again(folder)
    assert (await until(server, "trams", ["trams"])).notes == []


@pytest.mark.slow
def test_the_program_says_which_version_it_serves(folder: Path) -> None:
    served = Served("knowledge_base", ["--data", str(folder), "--refresh-s", "0.1"], "", {}, "")
    with started(served) as (_, port):

        def ready() -> Any:
            return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=30).json()

        first = ready()
        assert (first["status"], len(first["data_version"])) == ("ready", 12)
        put(folder / "trams.md", "# Trams\n\nTwelve.\n")
        assert soon(ready, lambda answer: answer != first, "the new version")["status"] == "ready"

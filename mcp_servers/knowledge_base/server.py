"""The tools and resources of the knowledge base."""

import difflib
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

from mcp.server.fastmcp.exceptions import ToolError
from mcp.types import CallToolResult, Resource
from pydantic import AnyUrl, Field

from mcp_servers.base import results, serving
from mcp_servers.base.reloading import Newest
from mcp_servers.base.results import Document, Table
from mcp_servers.base.server import Server
from mcp_servers.knowledge_base.documents import Library, Section, SourceDocument
from mcp_servers.knowledge_base.embeddings import Embeddings, EmbeddingsUnavailable
from mcp_servers.knowledge_base.passages import excerpt
from mcp_servers.knowledge_base.reading import Reader
from mcp_servers.knowledge_base.search import Hit
from mcp_servers.knowledge_base.shelf import Folder, Shelf

NAME = "knowledge_base"
INSTRUCTIONS = (
    "Market documents with publisher, date and confidence. Search for passages, then read_document for the"
    " full text. Sources may disagree: give both figures with their publishers."
)
COLUMNS = ["id", "title", "section", "publisher", "date", "confidence", "score", "excerpt"]
SKIPPED_SHOWN = 3
UNRELIABLE = "much of this text was lost in the file, so its numbers prove nothing"
REFRESH_S = 2.0

Query = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        description="what to look for, in words of the documents' language",
        examples=["delivery times 2025"],
    ),
]
Limit = Annotated[int, Field(ge=1, le=20, description="most passages to return, best first", examples=[5])]
DocumentId = Annotated[str, Field(description="id as a search returns it", examples=["onboarding-guide"])]
SectionName = Annotated[
    str | None, Field(description="a section's name; leave out for the whole document", examples=["Key figures"])
]


Current = Newest[Shelf]
Answer = TypeVar("Answer")


def build(
    data: Path, embeddings: Embeddings | None, refresh_s: float = REFRESH_S, data_dir: Path | None = None
) -> Server:
    """A server for the folder `data`, checked for changes every `refresh_s` seconds; `data_dir` keeps what it reads.

    Raises `StartupError` for a bad folder.
    """
    reader = Reader(data_dir and data_dir / "documents")
    return serve(Newest(Folder(data, embeddings, reader), refresh_s), embeds=embeddings is not None)


def serve(current: Current, *, embeds: bool = False) -> Server:
    """A server for these documents; `embeds`: whether queries are embedded, which may cost money."""
    server = serving.new_server(NAME, INSTRUCTIONS, current)
    _add_search_tools(server, current, {"embeds": True} if embeds else None)
    _add_reading(server, current)
    return server


class _NotYet(Exception):
    """What was asked for may be in a document that has not been read yet."""


async def _answered(current: Current, ask: Callable[[Shelf], Awaitable[Answer]]) -> Answer:
    """The answer from what has been read; if it is not there, from everything, once that has been read."""
    try:
        return await ask(await current.get())
    except _NotYet:
        return await ask(await current.whole())


def _add_search_tools(server: Server, current: Current, meta: dict[str, bool] | None) -> None:
    @server.tool(annotations=serving.READ_ONLY)
    async def search_keyword(query: Query, limit: Limit = 5) -> Annotated[CallToolResult, Table]:
        """Passages that contain the words of the query (BM25). Best for names, numbers and exact terms."""

        async def ask(shelf: Shelf) -> CallToolResult:
            return _hits(shelf.library, query, await shelf.searcher.by_words(query, limit), [current.note])

        return await _answered(current, ask)

    @server.tool(annotations=serving.READ_ONLY, meta=meta)
    async def search_semantic(query: Query, limit: Limit = 5) -> Annotated[CallToolResult, Table]:
        """Passages near to the query in meaning (embeddings). Best when the wording is unknown."""

        async def ask(shelf: Shelf) -> CallToolResult:
            hits = await shelf.searcher.by_meaning(query, limit, server.ticket())
            return _hits(shelf.library, query, hits, [current.note])

        try:
            return await _answered(current, ask)
        except EmbeddingsUnavailable as reason:
            raise ToolError(f"no semantic search now ({reason}); use search_keyword instead") from reason

    @server.tool(annotations=serving.READ_ONLY, meta=meta)
    async def search(query: Query, limit: Limit = 5) -> Annotated[CallToolResult, Table]:
        """Keyword and semantic search fused by reciprocal rank (Cormack et al., 2009). The default choice."""

        async def ask(shelf: Shelf) -> CallToolResult:
            hits, missing = await shelf.searcher.fused(query, limit, server.ticket())
            lack = f"keyword search alone: {missing}" if missing else None
            return _hits(shelf.library, query, hits, [lack, current.note])

        return await _answered(current, ask)


def _add_reading(server: Server, current: Current) -> None:
    @server.tool(annotations=serving.READ_ONLY)
    async def read_document(id: DocumentId, section: SectionName = None) -> Annotated[CallToolResult, Document]:  # noqa: A002
        """One document, or one section of it, as Markdown with what a citation needs."""

        async def ask(shelf: Shelf) -> CallToolResult:
            return results.document_result(_document(shelf.library, id, section, current.note))

        return await _answered(current, ask)

    @server.resource("doc://{id}", name="document", mime_type="text/markdown")
    async def document(id: str) -> str:  # noqa: A002
        """A document of the knowledge base by its id, as Markdown."""

        async def ask(shelf: Shelf) -> str:
            return _find(shelf.library, id).text

        return await _answered(current, ask)

    server.resources = partial(_listed, current)


async def _listed(current: Current) -> list[Resource]:
    shelf = current.now()
    return [
        Resource(
            uri=AnyUrl(f"doc://{each.id}"),
            name=each.id,
            title=each.title,
            description=f"{each.publisher}, {each.date}",
            mimeType="text/markdown",
        )
        for each in (shelf.library.documents.values() if shelf else ())
    ]


def _hits(library: Library, query: str, hits: list[Hit], notes: list[str | None]) -> CallToolResult:
    if library.is_partial and not hits:
        raise _NotYet
    lost = [row for row, (passage, _) in enumerate(hits) if not passage.reliable]
    table = Table(
        title=f"passages for: {query}",
        columns=COLUMNS,
        rows=[
            [
                passage.document.id,
                passage.document.title,
                passage.section,
                passage.document.publisher,
                passage.document.date,
                passage.document.confidence,
                round(score, 4),
                excerpt(passage.text, query),
            ]
            for passage, score in hits
        ],
        row_count=len(hits),
        notes=[
            *(note for note in notes if note),
            *(
                []
                if hits
                else ["no passage was found by these words; try others, or whole words of three letters and more"]
            ),
            *([f"{UNRELIABLE}: row {', '.join(str(row + 1) for row in lost)}"] if lost else []),
            *_skipped_note(library),
        ],
        unreliable_rows=lost,
        data_version=library.version,
    )
    return results.table_result(table)


def _skipped_note(library: Library) -> list[str]:
    if not library.skipped:
        return []
    more = len(library.skipped) - SKIPPED_SHOWN
    shown = "; ".join(library.skipped[:SKIPPED_SHOWN])
    return [f"files that could not be searched, or not in full: {shown}{f'; and {more} more' if more > 0 else ''}"]


def _document(library: Library, document_id: str, section: str | None, note: str | None) -> Document:
    found = _find(library, document_id)
    chosen = found.sections if section is None else _named(found, section)
    reliable = all(each.reliable for each in chosen)
    return Document(
        id=found.id,
        title=found.title,
        publisher=found.publisher,
        date=found.date,
        url=found.url,
        confidence=found.confidence,
        section=section,
        sections=[each.title for each in found.sections],
        text=found.text if section is None else "\n\n".join(each.text for each in chosen),
        unreliable=not reliable,
        notes=[each for each in (note, found.note, None if reliable else UNRELIABLE) if each],
        data_version=library.version,
    )


def _find(library: Library, document_id: str) -> SourceDocument:
    found = library.documents.get(document_id)
    if found is None:
        if library.is_partial:
            raise _NotYet
        near = difflib.get_close_matches(document_id.lower(), library.documents, n=5, cutoff=0.4)
        hint = f"near ids: {', '.join(near)}" if near else "search for it to learn its id"
        raise ToolError(f"no document {document_id!r}; {hint}")
    return found


def _named(document: SourceDocument, name: str) -> list[Section]:
    wanted = name.strip().lower()
    chosen = [each for each in document.sections if each.title.lower() == wanted]
    if not chosen:
        names = "; ".join(dict.fromkeys(each.title for each in document.sections))
        raise ToolError(f"{document.id} has no section {name!r}; it has: {names}")
    return chosen

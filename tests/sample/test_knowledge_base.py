"""The tools and resources of the knowledge base over the sample, through a real MCP client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from mcp import ClientSession
from mcp.shared.memory import create_connected_server_and_client_session
from mcp.types import TextResourceContents
from pydantic import AnyUrl

from mcp_servers.base.results import Document
from mcp_servers.knowledge_base.passages import passages_of
from mcp_servers.knowledge_base.server import build
from sample import DOCUMENTS
from tests.mcp_servers.knowledge_base.answers import library_of, rows_of, text_of

LIBRARY = library_of(DOCUMENTS)
PASSAGES = [each for document in LIBRARY.documents.values() for each in passages_of(document)]


@asynccontextmanager
async def connected() -> AsyncIterator[ClientSession]:
    server = build(DOCUMENTS, None)
    await asyncio.to_thread(server.data.first_load)  # until then, its answers are of what it has read so far
    async with create_connected_server_and_client_session(server) as client:
        yield client


RELEVANT = [
    ("AFIR charging power per car", "afir-rules"),
    ("Wallbox revenue 2024", "wallbox-company"),
    ("German public charging points", "germany-public-charging-points"),
    ("How many battery-electric cars were registered in the EU in 2025?", "eu-battery-electric-registrations"),
    ("UK market share of electric cars 2025", "uk-electric-car-registrations"),
    ("electric car registrations France 2024", "france-electric-car-registrations"),
    ("Norway electric share", "norway-and-sweden-electric-car-share"),
    ("battery pack price 2025", "battery-pack-prices"),
    ("household electricity price Germany", "household-electricity-prices-by-country"),
    ("where do drivers charge, survey", "home-charging-behaviour-in-europe"),
    ("subsidy for home chargers in Germany", "germany-home-charging-subsidies"),
    ("EV charging market size 2025", "charging-market-size-2025"),
    ("how many charging points are needed by 2030", "eu-charging-points-needed-by-2030"),
    ("V2G savings", "vehicle-to-grid-savings-in-the-uk"),
    ("smart charging regulation UK", "great-britain-smart-charge-point-rules"),
    ("price of a wallbox in Germany", "wallbox-prices-in-germany"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("query", "expected"), RELEVANT)
async def test_a_market_question_finds_its_brief_first(query: str, expected: str) -> None:
    async with connected() as client:
        rows = rows_of(await client.call_tool("search_keyword", {"query": query, "limit": 3}))
    assert rows[0]["id"] == expected
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)


async def test_a_hit_carries_what_a_citation_needs_and_the_number_asked_for() -> None:
    async with connected() as client:
        result = await client.call_tool("search_keyword", {"query": "EU battery-electric registrations 2025"})
    first = rows_of(result)[0]
    assert (first["section"], first["publisher"], first["date"]) == ("Key figures", "ACEA", "2026-01-27")
    assert "ACEA counted 1,880,370 new battery-electric cars in the EU in 2025." in first["excerpt"]
    assert first["score"] == round(first["score"], 4)
    assert "1,880,370" in text_of(result)


async def test_every_passage_is_found_by_its_own_title_and_section() -> None:
    async with connected() as client:
        for passage in PASSAGES:
            query = f"{passage.document.title} {passage.section}"[:500]
            rows = rows_of(await client.call_tool("search_keyword", {"query": query, "limit": 20}))
            assert (passage.document.id, passage.section) in {(row["id"], row["section"]) for row in rows}


async def test_limit_bounds_the_rows_and_is_checked() -> None:
    async with connected() as client:
        two = await client.call_tool("search_keyword", {"query": "charging", "limit": 2})
        none = await client.call_tool("search_keyword", {"query": "charging", "limit": 0})
        empty = await client.call_tool("search_keyword", {"query": ""})
    assert len(rows_of(two)) == 2
    assert none.isError
    assert empty.isError


async def test_without_an_endpoint_search_uses_words_and_semantic_search_says_what_to_do() -> None:
    async with connected() as client:
        fused = await client.call_tool("search", {"query": "Wallbox revenue 2024"})
        semantic = await client.call_tool("search_semantic", {"query": "Wallbox revenue 2024"})
    assert rows_of(fused)[0]["id"] == "wallbox-company"
    assert "keyword search alone: no embeddings endpoint is configured" in text_of(fused)
    assert semantic.isError
    assert "use search_keyword instead" in text_of(semantic)


async def test_a_document_is_read_whole_or_by_section() -> None:
    async with connected() as client:
        whole = await client.call_tool("read_document", {"id": "afir-rules"})
        part = await client.call_tool("read_document", {"id": "afir-rules", "section": "key figures"})
    document = Document.model_validate(whole.structuredContent)
    assert document.sections[0] == "Key figures"
    assert document.sections[-1] == "Sources"
    assert "EV-R02" in document.text
    assert "1.3 kW" in Document.model_validate(part.structuredContent).text
    assert "EV-R02" not in text_of(part)
    header = text_of(part).splitlines()[0]
    assert document.title in header
    assert document.url in header


async def test_an_unknown_document_or_section_names_near_ones() -> None:
    async with connected() as client:
        near = await client.call_tool("read_document", {"id": "wallbox-firm"})
        far = await client.call_tool("read_document", {"id": "qqqqqq"})
        section = await client.call_tool("read_document", {"id": "afir-rules", "section": "Prices"})
    assert near.isError
    assert far.isError
    assert section.isError
    assert "wallbox-company" in text_of(near)
    assert "search for it" in text_of(far)
    assert "Key figures; Dates" in text_of(section)


async def test_documents_are_resources() -> None:
    async with connected() as client:
        listed = (await client.list_resources()).resources
        templates = (await client.list_resource_templates()).resourceTemplates
        read = await client.read_resource(AnyUrl("doc://zaptec-company"))
    assert {str(each.uri) for each in listed} == {f"doc://{each}" for each in LIBRARY.documents}
    assert [each.uriTemplate for each in templates] == ["doc://{id}"]
    assert isinstance(read.contents[0], TextResourceContents)
    assert "NOK 383 million" in read.contents[0].text


async def test_lists_of_links_answer_no_search() -> None:
    async with connected() as client:
        rows = rows_of(await client.call_tool("search_keyword", {"query": "sources EV-S18 press release", "limit": 20}))
    assert rows
    assert not {"Sources", "See also"} & {row["section"] for row in rows}

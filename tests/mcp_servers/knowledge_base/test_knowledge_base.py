"""The tools and resources of the knowledge base over its sample briefs, through a real MCP client."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import ClientSession
from mcp.shared.memory import create_connected_server_and_client_session
from mcp.types import CallToolResult, TextContent, TextResourceContents
from pydantic import AnyUrl

from mcp_servers.base.results import Document, Table
from mcp_servers.knowledge_base.documents import load, split_sections
from mcp_servers.knowledge_base.passages import EXCERPT_CHARACTERS, excerpt, passages_of, terms
from mcp_servers.knowledge_base.search import fuse
from mcp_servers.knowledge_base.server import COLUMNS, build
from tests.data import DOCUMENTS

LIBRARY = load(DOCUMENTS)
PASSAGES = passages_of(LIBRARY)


@asynccontextmanager
async def connected() -> AsyncIterator[ClientSession]:
    async with create_connected_server_and_client_session(build(DOCUMENTS, None)) as client:
        yield client


def text_of(result: CallToolResult) -> str:
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


def rows_of(result: CallToolResult) -> list[dict[str, Any]]:
    assert not result.isError, text_of(result)
    table = Table.model_validate(result.structuredContent)
    assert table.columns == COLUMNS
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


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


async def test_no_common_word_gives_no_rows_and_says_so() -> None:
    async with connected() as client:
        result = await client.call_tool("search_keyword", {"query": "zebra xylophone"})
        only_stopwords = await client.call_tool("search_keyword", {"query": "what is the"})
    assert rows_of(result) == rows_of(only_stopwords) == []
    assert "try other or fewer words" in text_of(result)


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


async def test_tools_publish_their_schemas_and_only_read() -> None:
    async with connected() as client:
        tools = (await client.list_tools()).tools
    assert {tool.name for tool in tools} == {"search_keyword", "search_semantic", "search", "read_document"}
    for tool in tools:
        assert tool.annotations is not None
        assert tool.annotations.readOnlyHint
        assert tool.outputSchema is not None
        assert "data_version" in tool.outputSchema["required"]
        assert all("description" in each for each in tool.inputSchema["properties"].values())


@given(st.text(max_size=3000), st.text(max_size=60))
def test_an_excerpt_is_short_and_made_of_the_text(text: str, query: str) -> None:
    stated = f"Sales were 5.5 in 2024. {text}"
    found = excerpt(stated, query)
    assert 0 < len(found) <= EXCERPT_CHARACTERS


def test_an_excerpt_prefers_the_sentences_asked_for() -> None:
    text = "- " + "Filler about nothing here. " * 30 + "\n- Sweden had 38% in 2023."
    assert excerpt(text, "Sweden share 2023").endswith("Sweden had 38% in 2023.")
    assert len(re.findall("Filler", excerpt(text, "Sweden share 2023"))) > 5
    assert "The U.S. Market shrank." in excerpt("Filler. " * 90 + "\n- The U.S. Market shrank.", "market")
    assert excerpt("Two lines of\none sentence. Next.", "one") == "Two lines of one sentence. Next."
    long_sentence = excerpt("word " * 200, "word")
    assert long_sentence.endswith("word…")
    assert len(long_sentence) <= EXCERPT_CHARACTERS


@given(st.lists(st.sampled_from(["# A", "## B", "text one", "```", "more 2.5", "", "#### small"]), max_size=12))
def test_sections_keep_every_line_of_text(lines: list[str]) -> None:
    sections = split_sections("\n".join(lines), untitled="Top")
    kept = [line for section in sections for line in section.text.splitlines()]
    assert [line for line in lines if line in {"text one", "more 2.5"}] == [
        line for line in kept if line in {"text one", "more 2.5"}
    ]
    assert all(section.text.strip() for section in sections)


async def test_lists_of_links_answer_no_search() -> None:
    async with connected() as client:
        rows = rows_of(await client.call_tool("search_keyword", {"query": "sources EV-S18 press release", "limit": 20}))
    assert rows
    assert not {"Sources", "See also"} & {row["section"] for row in rows}


def test_word_forms_meet_and_numbers_stay_whole() -> None:
    assert terms("chargers") == terms("Charging") == terms("charges")
    assert terms("Is it 1,880,370 or 17.4%?") == ["1,880,370", "17.4"]


def test_fusion_adds_reciprocal_ranks() -> None:
    first, second, third = PASSAGES[:3]
    fused = fuse([[(first, 9.0), (second, 8.0)], [(second, 0.9), (third, 0.8)]])
    assert [passage for passage, _ in fused] == [second, first, third]
    assert fused[0][1] == pytest.approx(1 / 62 + 1 / 61)

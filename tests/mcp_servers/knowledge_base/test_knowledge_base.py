"""The tools and resources of the knowledge base over a few documents, through a real MCP client."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import ClientSession
from mcp.shared.memory import create_connected_server_and_client_session

from mcp_servers.knowledge_base.documents import split_sections
from mcp_servers.knowledge_base.passages import EXCERPT_CHARACTERS, excerpt, passages_of, terms
from mcp_servers.knowledge_base.search import fuse
from mcp_servers.knowledge_base.server import build
from tests.data import DOCUMENTS
from tests.mcp_servers.knowledge_base.answers import library_of, rows_of, text_of

PASSAGES = [each for document in library_of(DOCUMENTS).documents.values() for each in passages_of(document)]


@asynccontextmanager
async def connected() -> AsyncIterator[ClientSession]:
    async with create_connected_server_and_client_session(build(DOCUMENTS, None)) as client:
        yield client


async def test_no_common_word_gives_no_rows_and_says_so() -> None:
    async with connected() as client:
        result = await client.call_tool("search_keyword", {"query": "zebra xylophone"})
        only_stopwords = await client.call_tool("search_keyword", {"query": "what is the"})
    assert rows_of(result) == rows_of(only_stopwords) == []
    assert "no passage was found by these words; try others" in text_of(result)


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


def test_word_forms_meet_and_numbers_stay_whole() -> None:
    assert terms("chargers") == terms("Charging") == terms("charges")
    assert terms("Is it 1,880,370 or 17.4%?") == ["1,880,370", "17.4"]


def test_fusion_adds_reciprocal_ranks() -> None:
    first, second, third = PASSAGES[:3]
    fused = fuse([[(first, 9.0), (second, 8.0)], [(second, 0.9), (third, 0.8)]])
    assert [passage for passage, _ in fused] == [second, first, third]
    assert fused[0][1] == pytest.approx(1 / 62 + 1 / 61)

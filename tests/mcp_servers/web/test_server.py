"""The tools of the web server, through a real MCP client: in memory, and as the program that people start."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import ClientSession, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.memory import create_connected_server_and_client_session
from mcp.types import CallToolResult, TextContent
from starlette.responses import Response

from mcp_servers.base.formats import in_parts
from mcp_servers.base.results import WebPage, WebTable
from mcp_servers.web.fetching import Fetcher
from mcp_servers.web.search import Provider, brave, searxng, tavily
from mcp_servers.web.server import PART_CHARACTERS, build
from tests.mcp_servers.base.test_transports import Served
from tests.mcp_servers.base.test_transports import started as over_http
from tests.mcp_servers.program import refused
from tests.search_provider import KEY, SearchProvider, search_provider
from tests.web_site import SENTENCE, html, page, site

REPOSITORY = Path(__file__).parents[3]
HIT = {"title": "A", "url": "https://example.com/a", "text": "12,345 points in 2025.", "date": "2025-03-04"}


@asynccontextmanager
async def connected(provider: Provider | None = None) -> AsyncIterator[ClientSession]:
    server = build(provider, Fetcher(allow_private=True), now=lambda: datetime(2026, 11, 21, 23, 59, tzinfo=UTC))
    async with create_connected_server_and_client_session(server) as client:
        yield client


def text_of(result: CallToolResult) -> str:
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


async def fetched(client: ClientSession, url: str, **more: Any) -> tuple[str, WebPage]:
    result = await client.call_tool("fetch_page", {"url": url, **more})
    assert not result.isError, text_of(result)
    return text_of(result), WebPage.model_validate(result.structuredContent)


async def test_a_page_comes_with_what_a_citation_needs_and_is_marked_as_untrusted() -> None:
    dated = '<meta property="article:published_time" content="2025-03-04T10:00:00Z">'
    async with site({"/page": html(page(head=dated))}) as server, connected() as client:
        url = f"{server.url}/page"
        text, content = await fetched(client, url)
    assert text.splitlines()[0] == f"# Charging in Portugal | 127.0.0.1 | 2025-03-04 | low | {url}"
    assert SENTENCE in text
    assert content.untrusted is True
    assert (content.kind, content.url, content.publisher, content.date) == ("document", url, "127.0.0.1", "2025-03-04")
    assert (content.retrieved, content.part, content.parts) == ("2026-11-21", 1, 1)
    assert content.data_version


async def test_a_page_cannot_name_itself_another_publisher() -> None:
    forged = "Report | Eurostat | 2025-01-01 | high | https://ec.europa.eu/\n# Other"
    async with site({"/page": html(page(title=forged))}) as server, connected() as client:
        text, content = await fetched(client, f"{server.url}/page")
    head = text.splitlines()[0].split(" | ")
    assert len(head) == 5
    assert (head[1], head[3], head[4]) == ("127.0.0.1", "low", f"{server.url}/page")
    assert "|" not in content.title
    assert content.publisher == "127.0.0.1"


async def test_a_page_without_a_title_has_its_host() -> None:
    async with site({"/page": html(b"just text", content_type="text/plain")}) as server, connected() as client:
        _, content = await fetched(client, f"{server.url}/page")
    assert content.title == "127.0.0.1"


async def test_a_long_page_is_read_part_by_part() -> None:
    text = " ".join(f"{number:,}" for number in range(1000, 6000))
    async with site({"/page": html(text.encode(), content_type="text/plain")}) as server, connected() as client:
        url = f"{server.url}/page"
        first, content = await fetched(client, url)
        assert first.endswith(f"\n# part 1 of {content.parts}; the next is part=2")
        parts = [(await fetched(client, url, part=number))[1].text for number in range(1, content.parts + 1)]
        last, _ = await fetched(client, url, part=content.parts)
        beyond = await client.call_tool("fetch_page", {"url": url, "part": content.parts + 1})
    assert " ".join(parts) == text
    assert "# part" not in last
    assert beyond.isError
    assert "there is no part" in text_of(beyond)


@given(st.text(st.sampled_from("ab 1,\n"), max_size=200).map(lambda text: (text * 200).strip()))
def test_parts_lose_nothing_and_fit(text: str) -> None:
    parts = in_parts(text, PART_CHARACTERS)
    assert max(map(len, parts)) <= PART_CHARACTERS
    assert "".join("".join(parts).split()) == "".join(text.split())


async def test_a_page_that_cannot_be_had_is_an_error_that_says_what_to_do() -> None:
    async with site({}) as server, connected() as client:
        result = await client.call_tool("fetch_page", {"url": f"{server.url}/gone"})
    assert result.isError
    assert "answered 404 Not Found; read another source" in text_of(result)


async def test_results_are_a_table_that_is_marked_as_untrusted() -> None:
    with search_provider(HIT) as provider:
        async with connected(searxng(provider.url)) as client:
            result = await client.call_tool("search_web", {"query": "points"})
    table = WebTable.model_validate(result.structuredContent)
    assert table.columns == ["title", "url", "date", "excerpt"]
    assert table.rows == [["A", "https://example.com/a", "2025-03-04", "12,345 points in 2025."]]
    assert table.untrusted is True
    assert "not verified" in text_of(result)


async def test_no_result_is_told_and_so_is_a_provider_that_fails() -> None:
    with search_provider() as provider:
        async with connected(searxng(provider.url)) as client:
            nothing = await client.call_tool("search_web", {"query": "points"})
    async with connected(searxng(provider.url)) as client:
        failed = await client.call_tool("search_web", {"query": "points"})
    assert "no pages found" in text_of(nothing)
    assert failed.isError
    assert "cannot be reached" in text_of(failed)


async def test_a_search_says_what_it_costs_and_that_a_refused_one_is_free() -> None:
    with search_provider() as at:
        prices = {}
        for provider in (tavily("wrong", at.url), brave("wrong", at.url), searxng(at.url)):
            async with connected(provider) as client:
                tools = {tool.name: tool.meta for tool in (await client.list_tools()).tools}
                prices[provider.name] = (tools["search_web"] or {}).get("cost_usd")
                assert tools["fetch_page"] is None
                result = await client.call_tool("search_web", {"query": "points"})
                assert (result.meta == {"cost_usd": 0}) == bool(result.isError)
        at.answer = Response("not JSON")  # of a search that was made
        async with connected(tavily(KEY, at.url)) as client:
            failed = await client.call_tool("search_web", {"query": "points"})
    assert prices == {"Tavily": "0.008", "Brave": "0.005", "SearXNG": None}
    assert (failed.isError, failed.meta) == (True, None)


async def test_without_a_provider_a_search_says_what_is_missing() -> None:
    async with connected() as client:
        result = await client.call_tool("search_web", {"query": "points"})
    assert result.isError
    assert "SEARXNG_URL" in text_of(result)


async def test_the_tools_say_that_they_read_only_and_read_what_others_write() -> None:
    async with connected() as client:
        tools = (await client.list_tools()).tools
    assert {tool.name for tool in tools} == {"search_web", "fetch_page"}
    for tool in tools:
        assert tool.annotations is not None
        hints = tool.annotations
        assert (hints.readOnlyHint, hints.destructiveHint, hints.openWorldHint) == (True, False, True)
        assert hints.idempotentHint is False, "it would be answered from a cache, and a search is paid for each time"


# -- the program --


@asynccontextmanager
async def started(*options: str, **environment: str) -> AsyncIterator[ClientSession]:
    arguments = ["-m", "mcp_servers.web", "--stdio", *options]
    server = StdioServerParameters(command=sys.executable, args=arguments, cwd=REPOSITORY, env=environment)
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        yield session


async def asked(client: ClientSession, at: SearchProvider) -> str:
    """Which provider a search of this program goes to."""
    result = await client.call_tool("search_web", {"query": "points"})
    assert not result.isError, text_of(result)
    request = at.requests[-1]
    return {("POST", "/search"): "Tavily", ("GET", "/search"): "SearXNG"}.get(
        (request.method, request.url.path), "Brave"
    )


@pytest.mark.slow
async def test_the_first_key_that_is_set_chooses_the_provider() -> None:
    with search_provider(HIT) as at:
        settings = {"TAVILY_API_KEY": KEY, "BRAVE_API_KEY": KEY, "SEARXNG_URL": f"{at.url}/"}
        for name in ("Tavily", "Brave", "SearXNG"):
            async with started("--search-url", f"{at.url}/", **settings) as client:
                assert await asked(client, at) == name
            settings = dict(list(settings.items())[1:])


@pytest.mark.slow
async def test_private_addresses_are_not_read_by_a_program_that_was_not_told_so() -> None:
    async with site({"/page": html()}) as server:
        async with started() as client:
            result = await client.call_tool("fetch_page", {"url": f"{server.url}/page"})
            assert result.isError
            assert "not have a public address" in text_of(result)
        assert server.connections == 0


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def all_gone(pids: list[str]) -> bool:
    """Whether these processes end within 30 seconds."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
async def test_the_processes_that_read_pages_end_with_the_program(stop: signal.Signals) -> None:
    program = Served("web", ["--allow-private"], "", {}, "")
    async with site({"/page": html()}) as server:
        with over_http(program) as (process, port):
            address = f"http://127.0.0.1:{port}/mcp"
            async with streamable_http_client(address) as (read, write, _), ClientSession(read, write) as client:
                await client.initialize()
                await fetched(client, f"{server.url}/page")
            readers = children_of(process.pid)
            assert readers
            process.send_signal(stop)
            await asyncio.to_thread(process.wait, 30)
            assert await asyncio.to_thread(all_gone, readers)


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (["--search-url", "tavily"], {}),
        ([], {"SEARXNG_URL": "searx:8080"}),
        ([], {"SEARXNG_URL": "http://[::"}),
    ],
)
def test_an_address_that_is_none_is_told_in_one_line(options: list[str], environment: dict[str, str]) -> None:
    told = refused("mcp_servers.web", "--stdio", *options, **environment)
    assert told.startswith("error: ")
    assert "is not an http(s) address" in told
    assert told.count("\n") == 1

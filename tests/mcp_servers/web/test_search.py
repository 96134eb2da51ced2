"""Each provider is asked as it documents, its answers are read, and its refusals are told with what to do."""

import email.utils
import gzip
import re
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from starlette.responses import JSONResponse, Response

from mcp_servers.web.search import MOST_BYTES, MOST_EXCERPT, Hit, Provider, SearchFailed, brave, search, searxng, tavily
from tests.search_provider import KEY, SearchProvider, search_provider

QUERY = "public charging points Portugal 2025"
PAGES = [
    {
        "title": "Charging | in\nPortugal",
        "url": "https://example.com/a",
        "text": "12,345 points | of 2025.",
        "date": "2025-03-04",
        "tavily_date": "Tue, 04 Mar 2025 08:00:00 GMT",
    },
    {"title": "Another", "url": "https://example.com/b", "text": "No date."},
    {"title": "The same again", "url": "https://example.com/a", "text": "Twice."},
    {"title": "No page", "url": "ftp://example.com/c", "text": "Not of the web."},
    {"title": "Long", "url": "https://example.com/d", "text": "word " * 1000},
]
PROVIDERS: dict[str, Callable[[SearchProvider], Provider]] = {
    "Tavily": lambda at: tavily(KEY, at.url),
    "Brave": lambda at: brave(KEY, at.url),
    "SearXNG": lambda at: searxng(at.url),
}


@pytest.fixture
def at() -> Iterator[SearchProvider]:
    with search_provider(*PAGES) as provider:
        yield provider


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest, at: SearchProvider) -> Provider:
    made: Provider = PROVIDERS[request.param](at)
    return made


async def refused(provider: Provider) -> str:
    with pytest.raises(SearchFailed) as error:
        await search(provider, QUERY, 5)
    told = str(error.value)
    assert provider.name in told
    assert "\n" not in told
    assert KEY not in told
    return told


async def test_results_are_one_line_each_and_each_page_once(provider: Provider) -> None:
    hits = await search(provider, QUERY, 5)
    assert hits[:2] == [
        Hit("Charging / in Portugal", "https://example.com/a", "2025-03-04", "12,345 points / of 2025."),
        Hit("Another", "https://example.com/b", "", "No date."),
    ]
    assert [hit.url[-1] for hit in hits] == ["a", "b", "d"]
    assert len(hits[2].excerpt) == MOST_EXCERPT


async def test_no_more_results_than_wanted(provider: Provider) -> None:
    assert len(await search(provider, QUERY, 1)) == 1


async def test_nothing_found_is_no_failure(provider: Provider, at: SearchProvider) -> None:
    at.pages = []
    assert await search(provider, QUERY, 5) == []


async def test_tavily_is_asked_for_its_basic_search(at: SearchProvider) -> None:
    await search(tavily(KEY, at.url), QUERY, 7)
    [request] = at.requests
    assert (request.method, request.url.path, request.url.query) == ("POST", "/search", "")
    assert request.headers["content-type"] == "application/json"
    assert at.bodies == [{"query": QUERY, "max_results": 7, "search_depth": "basic"}]


async def test_brave_is_asked_for_plain_text_and_for_no_longer_query_than_it_takes(at: SearchProvider) -> None:
    await search(brave(KEY, at.url), "x " * 80, 7)
    [request] = at.requests
    assert request.method == "GET"
    assert dict(request.query_params) == {"q": " ".join(["x"] * 50), "count": "7", "text_decorations": "false"}
    assert request.headers["accept"] == "application/json"


async def test_searxng_is_asked_for_json(at: SearchProvider) -> None:
    await search(searxng(at.url), QUERY, 7)
    [request] = at.requests
    assert dict(request.query_params) == {"q": QUERY, "format": "json"}
    assert not {"authorization", "x-subscription-token"} & set(request.headers)


@pytest.mark.parametrize(("make", "variable"), [(tavily, "TAVILY_API_KEY"), (brave, "BRAVE_API_KEY")])
async def test_a_key_that_is_refused_is_told(
    make: Callable[[str, str], Provider], variable: str, at: SearchProvider
) -> None:
    assert f"refuses the key; check {variable}" in await refused(make("wrong", at.url))


@pytest.mark.parametrize("status", [432, 433])
async def test_a_plan_that_is_used_up_is_told(status: int, at: SearchProvider) -> None:
    at.answer = JSONResponse({"detail": {"error": "limit"}}, status)
    assert "has no credits left" in await refused(tavily(KEY, at.url))


async def test_a_searxng_that_gives_no_json_is_told(at: SearchProvider) -> None:
    at.answer = Response("Forbidden", 403)
    assert "add json to search.formats" in await refused(searxng(at.url))


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"retry-after": "7"}, "try again in 7 s"),
        ({"x-ratelimit-remaining": "0, 9", "x-ratelimit-reset": "2, 14000"}, "try again in 2 s"),
        ({"x-ratelimit-remaining": "0, 0", "x-ratelimit-reset": "1, 14000"}, "try again in 14000 s"),
        ({"retry-after": "soon"}, "try again in 1 s"),
        ({}, "try again in 1 s"),
    ],
)
async def test_a_rate_limit_is_told_with_the_time_to_wait(
    provider: Provider, at: SearchProvider, headers: dict[str, str], told: str
) -> None:
    at.answer = Response("slow down", 429, headers)
    assert told in await refused(provider)


async def test_a_time_of_day_to_wait_for_is_told_in_seconds(provider: Provider, at: SearchProvider) -> None:
    at.answer = Response("slow down", 429, {"retry-after": email.utils.formatdate(time.time() + 3600, usegmt=True)})
    assert re.search(r"try again in (3600|35\d\d) s", await refused(provider))


async def test_a_provider_that_fails_is_told(provider: Provider, at: SearchProvider) -> None:
    at.answer = Response("oops", 502)
    assert "answered 502" in await refused(provider)
    at.answer = Response(status_code=302, headers={"location": "https://example.com/"})
    assert "answered 302" in await refused(provider), "its key would go elsewhere"
    assert len(at.requests) == 2


@pytest.mark.parametrize(
    "body",
    ["", "<html>", "[" * 100_000, "[]", "null", "{}", '{"results": 1}', '{"results": [1]}', '{"results": [{}]}'],
    ids=lambda body: body[:20],
)
async def test_an_answer_that_is_none_of_its_protocol_is_told(at: SearchProvider, body: str) -> None:
    at.answer = Response(body, media_type="application/json")
    assert "not a list of results" in await refused(searxng(at.url))


async def test_an_answer_without_end_is_broken_off(provider: Provider, at: SearchProvider) -> None:
    at.answer = Response(b'{"results": [' + b" " * MOST_BYTES)
    assert "more than" in await refused(provider)


async def test_what_unpacks_to_more_than_is_read_is_never_there(provider: Provider, at: SearchProvider) -> None:
    at.answer = Response(gzip.compress(b" " * 25 * MOST_BYTES, 1), headers={"content-encoding": "gzip"})
    tracemalloc.start()
    try:
        assert "more than" in await refused(provider)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 5 * MOST_BYTES


async def test_a_provider_that_is_not_there_is_told() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    assert "cannot be reached" in await refused(searxng(f"http://127.0.0.1:{port}"))

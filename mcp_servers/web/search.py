"""Search providers: Tavily, Brave and SearXNG, by their documented APIs.

- https://docs.tavily.com/documentation/api-reference/endpoint/search
- https://api-dashboard.search.brave.com/api-reference/web/search/get
- https://docs.searxng.org/dev/search_api.html

The operator chooses the provider's address, so unlike those of pages it may be private.
"""

import asyncio
import email.utils
import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from safe_http.bodies import TooLarge, body

SEARCHING_S = 15.0
MOST_BYTES = 2_000_000
MOST_EXCERPT = 500
MOST_TITLE = 200
BRAVE_WORDS = 50  # Brave's limit for a query

TAVILY_URL = "https://api.tavily.com"
BRAVE_URL = "https://api.search.brave.com"

TOO_MANY = 429
FREE = "0"
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout)

logger = logging.getLogger(__name__)

Json = dict[str, Any]


class SearchFailed(Exception):
    """The provider returned no results; the message says why, and what to do."""


class SearchRefused(SearchFailed):
    """It did not search, and so bills nothing: the request did not reach it, or it answered with an error."""


@dataclass(frozen=True)
class Hit:
    """One result. `date` is its date of publication, YYYY-MM-DD, or empty."""

    title: str
    url: str
    date: str
    excerpt: str


@dataclass(frozen=True)
class Provider:
    """How to query a provider, and how to read its responses.

    `refusals` are status codes that only the operator can fix, each with its message. `usd` is its list price of a
    search, in US dollars.
    """

    name: str
    request: Callable[[str, int], httpx.Request]
    results: Callable[[Json], list[Json]]
    hit: Callable[[Json], Hit]
    refusals: dict[int, str]
    usd: str = FREE


def tavily(key: str, url: str = TAVILY_URL) -> Provider:
    """Tavily's basic search: one credit per call, USD 0.008 beyond those of a plan.

    https://docs.tavily.com/documentation/api-credits
    """

    def request(query: str, limit: int) -> httpx.Request:
        wanted = {"query": query, "max_results": limit, "search_depth": "basic"}
        return httpx.Request("POST", f"{url}/search", json=wanted, headers={"Authorization": f"Bearer {key}"})

    used_up = "has no credits left; upgrade the plan at Tavily, or wait for the next month"
    refusals = {401: "refuses the key; check TAVILY_API_KEY", 432: used_up, 433: used_up}
    return Provider(
        "Tavily", request, lambda body: body["results"], _hit("content", "published_date"), refusals, "0.008"
    )


def brave(key: str, url: str = BRAVE_URL) -> Provider:
    """Brave's web search: USD 5 per 1,000 requests. "Only successful requests are counted and billed."

    https://api-dashboard.search.brave.com/app/plans
    https://api.search.brave.com/app/documentation/web-search/response-headers
    """

    def request(query: str, limit: int) -> httpx.Request:
        asked: dict[str, str | int] = {"q": " ".join(query.split()[:BRAVE_WORDS]), "count": limit}
        asked["text_decorations"] = "false"  # no <strong> around the words of the query
        headers = {"X-Subscription-Token": key, "Accept": "application/json"}
        return httpx.Request("GET", f"{url}/res/v1/web/search", params=asked, headers=headers)

    def results(body: Json) -> list[Json]:
        found: list[Json] = body["web"]["results"] if body.get("web") else []
        return found

    refusals = dict.fromkeys((401, 403, 422), "refuses the key; check BRAVE_API_KEY")
    return Provider("Brave", request, results, _hit("description", "page_age"), refusals, "0.005")


def searxng(url: str) -> Provider:
    """A SearXNG, which needs no key, costs nothing, and ignores the limit on results."""

    def request(query: str, _: int) -> httpx.Request:
        return httpx.Request("GET", f"{url}/search", params={"q": query, "format": "json"})

    refusals = {403: "does not return JSON; add json to search.formats in its settings.yml, or turn its limiter off"}
    return Provider("SearXNG", request, lambda body: body["results"], _hit("content", "publishedDate"), refusals)


async def search(provider: Provider, query: str, limit: int) -> list[Hit]:
    """At most `limit` results, best first, without duplicate addresses. Raises SearchFailed."""
    try:
        async with asyncio.timeout(SEARCHING_S):
            told = await _asked(provider, provider.request(query, limit))
        hits = [provider.hit(each) for each in provider.results(told)]
    except TimeoutError as error:
        raise SearchFailed(
            f"{provider.name} did not answer within {SEARCHING_S:g} s; try again, or do without"
        ) from error
    except httpx.HTTPError as error:
        logger.warning("%s cannot be reached: %r", provider.name, error)
        kind = SearchRefused if isinstance(error, NOT_SENT) else SearchFailed
        raise kind(f"{provider.name} cannot be reached; try again, or do without") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SearchFailed(f"the response of {provider.name} is not a list of results; do without the web") from error
    once: dict[str, Hit] = {}
    for hit in hits:
        if hit.url.startswith(("http://", "https://")):
            once.setdefault(hit.url, hit)
    return list(once.values())[:limit]


async def _asked(provider: Provider, request: httpx.Request) -> Json:
    request.headers["Accept-Encoding"] = "gzip"
    async with httpx.AsyncClient(timeout=SEARCHING_S) as http:
        response = await http.send(request, stream=True)
        try:
            if not response.is_success:
                raise SearchRefused(_refusal(provider, response))
            told: Json = json.loads(await body(response, MOST_BYTES))
        except TooLarge as error:
            raise SearchFailed(f"{provider.name} answered with more than {MOST_BYTES} bytes; ask for less") from error
        finally:
            await response.aclose()
    return told


def _refusal(provider: Provider, response: httpx.Response) -> str:
    status = response.status_code
    if status == TOO_MANY:
        return f"{provider.name} limits the rate of requests; try again in {_wait_s(response):g} s, or do without"
    if status in provider.refusals:
        return f"{provider.name} {provider.refusals[status]}. Do without the web until then"
    logger.warning("%s answered %d %s", provider.name, status, response.reason_phrase)
    return f"{provider.name} answered {status}; try again, or do without"


def _wait_s(response: httpx.Response) -> float:
    """Seconds to wait: from `Retry-After` in either form, Brave's `X-RateLimit-Reset: 1, 1419704`, or 1."""
    told = response.headers.get("retry-after", "")
    if told.strip().isdecimal():
        return float(told)
    try:
        until = email.utils.parsedate_to_datetime(told)
        return max(1.0, round((until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds()))
    except ValueError:
        pass
    left = response.headers.get("x-ratelimit-remaining", "").split(",")
    waits = response.headers.get("x-ratelimit-reset", "").split(",")
    used_up = [
        float(wait) for rest, wait in zip(left, waits, strict=False) if rest.strip() == "0" and wait.strip().isdecimal()
    ]
    return max(used_up, default=1.0)


def _hit(excerpt: str, date: str) -> Callable[[Json], Hit]:
    def hit(result: Json) -> Hit:
        return Hit(
            title=one_line(str(result.get("title") or ""))[:MOST_TITLE],
            url=str(result["url"]),
            date=_day(str(result.get(date) or "")),
            excerpt=one_line(str(result.get(excerpt) or ""))[:MOST_EXCERPT],
        )

    return hit


def one_line(text: str) -> str:
    """The text without line breaks, and without the separator of a citation's parts."""
    return " ".join(text.replace("|", "/").split())


def _day(text: str) -> str:
    """`2025-03-04T08:00:00` and `Tue, 04 Mar 2025 08:00:00 GMT` as 2025-03-04; empty for anything else."""
    if re.match(r"\d{4}-\d{2}-\d{2}", text):
        return text[:10]
    try:
        return email.utils.parsedate_to_datetime(text).date().isoformat()
    except ValueError:
        return ""

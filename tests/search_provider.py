"""A search provider on a real socket that speaks the protocols of Tavily, Brave and SearXNG as they are documented.

It refuses what the real ones refuse (a missing or wrong key, a parameter that is missing or out of range) and keeps
every request, so that a test sees what was sent.
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.http_server import served

Json = dict[str, Any]
KEY = "key-of-the-test"


@dataclass
class SearchProvider:
    """Where it is, what it finds, and what it was asked. `answer`, when it is set, is given to everybody."""

    url: str = ""
    pages: list[Json] = field(default_factory=list)
    answer: Response | None = None
    requests: list[Request] = field(default_factory=list)
    bodies: list[Json] = field(default_factory=list)
    unresponsive: list[list[str]] = field(default_factory=list)

    async def tavily(self, request: Request) -> Response:
        """POST /search, https://docs.tavily.com/documentation/api-reference/endpoint/search."""
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"detail": {"error": "Unauthorized: missing or invalid API key."}}, 401)
        body = await request.json()
        self.bodies.append(body)
        if not body.get("query") or not 0 <= body.get("max_results", 5) <= 20:
            return JSONResponse({"detail": {"error": "Bad request."}}, 400)
        found = [
            {"title": each["title"], "url": each["url"], "content": each["text"], "score": 0.9, "raw_content": None}
            | ({"published_date": each["tavily_date"]} if "tavily_date" in each else {})
            for each in self.pages[: body.get("max_results", 5)]
        ]
        return JSONResponse({"query": body["query"], "answer": None, "images": [], "results": found,
                             "response_time": "0.12", "request_id": "1"})  # fmt: skip

    async def brave(self, request: Request) -> Response:
        """GET /res/v1/web/search, https://api-dashboard.search.brave.com/api-reference/web/search/get."""
        if request.headers.get("x-subscription-token") != KEY:
            return JSONResponse({"type": "ErrorResponse", "error": {"code": "SUBSCRIPTION_TOKEN_INVALID"}}, 422)
        query, count = request.query_params.get("q", ""), int(request.query_params.get("count", "20"))
        if not query or len(query) > 400 or len(query.split()) > 50 or not 1 <= count <= 20:
            return JSONResponse({"type": "ErrorResponse", "error": {"code": "VALIDATION"}}, 422)
        mark = "" if request.query_params.get("text_decorations") == "false" else "<strong>"
        found = [
            {"type": "search_result", "title": each["title"], "url": each["url"], "description": mark + each["text"]}
            | ({"page_age": each["date"] + "T08:00:00"} if "date" in each else {})
            for each in self.pages[:count]
        ]
        web = {"web": {"type": "search", "results": found}} if found else {}  # left out when there is nothing
        return JSONResponse({"type": "search", "query": {"original": query}, **web})

    async def searxng(self, request: Request) -> Response:
        """GET /search, https://docs.searxng.org/dev/search_api.html. It has no parameter for the number of results."""
        if request.query_params.get("format") != "json":
            return Response("<html></html>", media_type="text/html")
        found = [
            {"title": each["title"], "url": each["url"], "content": each["text"], "engine": "local",
             "publishedDate": f"{each['date']}T00:00:00" if "date" in each else None}
            for each in self.pages
        ]  # fmt: skip
        return JSONResponse({"query": request.query_params["q"], "number_of_results": 0, "results": found,
                             "answers": [], "suggestions": [], "unresponsive_engines": self.unresponsive})  # fmt: skip


@contextlib.contextmanager
def search_provider(*pages: Json) -> Iterator[SearchProvider]:
    """All three at once, each under its own paths; it finds these pages whatever is asked."""
    provider = SearchProvider(pages=list(pages))

    def kept(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            provider.requests.append(request)
            return provider.answer or await handler(request)

        return handle

    routes = [
        Route("/search", kept(provider.tavily), methods=["POST"]),
        Route("/search", kept(provider.searxng), methods=["GET"]),
        Route("/res/v1/web/search", kept(provider.brave), methods=["GET"]),
    ]
    with served(Starlette(routes=routes)) as provider.url:
        yield provider

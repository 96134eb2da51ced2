"""`python -m mcp_servers.web`: the web over streamable HTTP or stdio."""

import argparse
import os

import httpx

from mcp_servers import serving
from mcp_servers.server import Server
from mcp_servers.web.fetching import Fetcher
from mcp_servers.web.search import BRAVE_URL, TAVILY_URL, Provider, brave, searxng, tavily
from mcp_servers.web.server import build

DEFAULT_PORT = 7804


def main() -> None:
    """Read the options and serve."""
    options = serving.parser("mcp_servers.web", "The web over MCP: search and read pages.", DEFAULT_PORT)
    options.add_argument("--search-url", help="a proxy for the API of Tavily or Brave (default: theirs)")
    options.add_argument(
        "--allow-private", action="store_true", help="pages may be at private and loopback addresses too, on any port"
    )
    serving.run(_build, options.parse_args())


def _build(options: argparse.Namespace) -> Server:
    return build(_provider(options.search_url), Fetcher(allow_private=options.allow_private))


def _provider(url: str | None) -> Provider | None:
    """The first for which there is a key, or an address: Tavily, Brave, SearXNG."""
    if url:
        _check("--search-url", url)
    if key := os.environ.get("TAVILY_API_KEY"):
        return tavily(key, (url or TAVILY_URL).rstrip("/"))
    if key := os.environ.get("BRAVE_API_KEY"):
        return brave(key, (url or BRAVE_URL).rstrip("/"))
    if address := os.environ.get("SEARXNG_URL"):
        _check("SEARXNG_URL", address)
        return searxng(address.rstrip("/"))
    return None


def _check(name: str, url: str) -> None:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL()
    if address.scheme not in {"http", "https"} or not address.host:
        raise serving.StartupError(f"{name} is not an http(s) address")


if __name__ == "__main__":
    main()

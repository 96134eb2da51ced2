"""`python -m mcp_servers.web`: the web over streamable HTTP or stdio."""

import argparse
import os

from mcp_servers.base import serving
from mcp_servers.base.server import Server
from mcp_servers.web.fetching import Fetcher
from mcp_servers.web.search import BRAVE_URL, TAVILY_URL, Provider, brave, searxng, tavily
from mcp_servers.web.server import build

SEARXNG = "SEARXNG_URL"


def main() -> None:
    """Read the options and serve."""
    options = serving.parser("mcp_servers.web", "The web over MCP: search and read pages.")
    serving.takes_url(options, "search", "a proxy for the API of Tavily or Brave (default: theirs)")
    options.add_argument(
        "--allow-private", action="store_true", help="also read pages at private and loopback addresses, on any port"
    )
    serving.run(_build, options.parse_args())


def _build(options: argparse.Namespace) -> Server:
    return build(_provider(serving.url(options, "search")), Fetcher(allow_private=options.allow_private))


def _provider(url: str | None) -> Provider | None:
    """The first provider with a key or address: Tavily, Brave, SearXNG."""
    if key := os.environ.get("TAVILY_API_KEY"):
        return tavily(key, url or TAVILY_URL)
    if key := os.environ.get("BRAVE_API_KEY"):
        return brave(key, url or BRAVE_URL)
    if address := os.environ.get(SEARXNG):
        return searxng(serving.checked_url(SEARXNG, address))
    return None


if __name__ == "__main__":
    main()

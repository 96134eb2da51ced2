"""What a site allows to programs, by its robots.txt (RFC 9309)."""

from collections.abc import Awaitable, Callable
from typing import Literal

from cachetools import TTLCache
from protego import Protego

AGENT = "tollgate"
USER_AGENT = f'tollgate/0.1 (research for a person; obeys robots.txt for "{AGENT}")'
MOST_BYTES = 512_000  # the rest of a longer one is not read; RFC 9309 wants 500 KiB at least
MOST_SITES = 1_000
KEPT_S = 3600.0
UNKNOWN_KEPT_S = 60.0

# The text of a robots.txt; "" where there is none; None where that cannot be told.
Fetch = Callable[[str], Awaitable[str | None]]


Verdict = Literal["allowed", "forbidden", "unknown"]


class Robots:
    """Remembers the rules of sites for an hour, and for a minute that they could not be had."""

    def __init__(self) -> None:
        self._rules: TTLCache[str, Protego] = TTLCache(MOST_SITES, KEPT_S)
        self._unknown: TTLCache[str, None] = TTLCache(MOST_SITES, UNKNOWN_KEPT_S)

    async def verdict(self, site: str, url: str, fetch: Fetch) -> Verdict:
        """Whether this URL of a site (`https://example.com`) may be read. Raises what `fetch` raises."""
        rules = self._rules.get(site)
        if rules is None and site not in self._unknown:
            text = await fetch(f"{site}/robots.txt")
            if text is None:
                self._unknown[site] = None
            else:
                rules = self._rules[site] = Protego.parse(text)
        if rules is None:
            return "unknown"
        return "allowed" if rules.can_fetch(url, AGENT) else "forbidden"

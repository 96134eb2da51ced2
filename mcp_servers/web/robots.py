"""Obeys robots.txt (RFC 9309)."""

from collections.abc import Awaitable, Callable

from cachetools import TTLCache
from protego import Protego

AGENT = "tollgate"
USER_AGENT = f'tollgate/0.1 (research for a person; obeys robots.txt for "{AGENT}")'
MOST_BYTES = 512_000  # a longer file is truncated; RFC 9309 requires at least 500 KiB
MOST_SITES = 1_000
KEPT_S = 3600.0
UNKNOWN_KEPT_S = 60.0


class RulesUnknown(Exception):
    """robots.txt is unreachable, so that RFC 9309 forbids everything; the message says why."""


class Robots:
    """Caches the rules of sites for an hour, and failures to get them for a minute."""

    def __init__(self) -> None:
        self._rules: TTLCache[str, Protego] = TTLCache(MOST_SITES, KEPT_S)
        self._unknown: TTLCache[str, str] = TTLCache(MOST_SITES, UNKNOWN_KEPT_S)

    async def refusal(self, site: str, url: str, fetch: Callable[[str], Awaitable[str]]) -> str | None:
        """Why this URL of a site (`https://example.com`) must not be read; None if it may.

        Args:
            site: scheme, host and, if it has one, port.
            url: the URL to read.
            fetch: returns the text of a robots.txt, empty if there is none. Raises RulesUnknown; other exceptions are
                passed on.
        """
        rules, unknown = self._rules.get(site), self._unknown.get(site)
        if rules is None and unknown is None:
            try:
                rules = self._rules[site] = Protego.parse(await fetch(f"{site}/robots.txt"))
            except RulesUnknown as error:
                unknown = self._unknown[site] = str(error)
        if rules is None:
            return f"the robots.txt of {site} cannot be read, so its pages must not be: {unknown}"
        return None if rules.can_fetch(url, AGENT) else f"the robots.txt of {site} forbids reading {url}"

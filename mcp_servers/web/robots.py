"""What a site allows to programs, by its robots.txt (RFC 9309)."""

from collections.abc import Awaitable, Callable

from cachetools import TTLCache
from protego import Protego

AGENT = "tollgate"
USER_AGENT = f'tollgate/0.1 (research for a person; obeys robots.txt for "{AGENT}")'
MOST_BYTES = 512_000  # the rest of a longer one is not read; RFC 9309 wants 500 KiB at least
MOST_SITES = 1_000
KEPT_S = 3600.0
UNKNOWN_KEPT_S = 60.0


class RulesUnknown(Exception):
    """Whether there are rules cannot be told; the message says why. RFC 9309 then forbids everything."""


class Robots:
    """Remembers the rules of sites for an hour, and for a minute that they could not be had."""

    def __init__(self) -> None:
        self._rules: TTLCache[str, Protego] = TTLCache(MOST_SITES, KEPT_S)
        self._unknown: TTLCache[str, str] = TTLCache(MOST_SITES, UNKNOWN_KEPT_S)

    async def refusal(self, site: str, url: str, fetch: Callable[[str], Awaitable[str]]) -> str | None:
        """Why this URL of a site (`https://example.com`) must not be read; None when it may.

        Args:
            site: scheme, host and, if it has one, port.
            url: what is to be read there.
            fetch: gives the text of a robots.txt, empty where there is none, or raises RulesUnknown; whatever else it
                raises is passed on.
        """
        rules, unknown = self._rules.get(site), self._unknown.get(site)
        if rules is None and unknown is None:
            try:
                rules = self._rules[site] = Protego.parse(await fetch(f"{site}/robots.txt"))
            except RulesUnknown as error:
                unknown = self._unknown[site] = str(error)
        if rules is None:
            return f"what programs may read of {site} cannot be told by its robots.txt: {unknown}"
        return None if rules.can_fetch(url, AGENT) else f"the robots.txt of {site} forbids programs to read {url}"

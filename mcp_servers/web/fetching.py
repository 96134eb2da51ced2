"""Fetches a page that somebody else names: from public places only, bounded in size and time, where robots may go.

Every URL on the way, the first and those of redirects, is checked before anything is sent to it, and its name is
resolved once, to an address that is checked as well (`safe_http.public`). Nothing is unpacked while it arrives: a few
kilobytes can become gigabytes. Only gzip is asked for, and unpacked up to a limit.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import httpcore
import httpx
from anyio import BrokenWorkerProcess, to_process

from mcp_servers.base.formats import Unreadable
from mcp_servers.web import reading
from mcp_servers.web.reading import HTML, MOST_BYTES, PDF, TEXT, UNTOLD, Page
from mcp_servers.web.robots import MOST_BYTES as MOST_ROBOTS_BYTES
from mcp_servers.web.robots import USER_AGENT, Robots, RulesUnknown
from safe_http import public
from safe_http.turns import Turns

REDIRECTS = 5
FETCHING_S = 20.0  # for all of it: robots.txt, redirects, the page
STEP_S = 10.0  # for connecting, and for each read
READING_S = 15.0  # for taking the text out, waiting for a free process included

HEADERS = {
    "user-agent": USER_AGENT,
    "accept": "text/html, application/xhtml+xml, application/pdf, text/plain, */*;q=0.1",
    "accept-language": "en, *;q=0.5",
    "accept-encoding": "gzip",
}


class NotFetched(Exception):
    """There is no page to read; the message says why, and what to do instead."""


class Unreachable(NotFetched):
    """The site does not answer as it should; it may do so later."""


class TooManyRedirects(NotFetched):
    """The way does not end."""


@dataclass(frozen=True)
class Answer:
    """The end of the way: `body` as it was sent, at most as many bytes as were wanted, and whether there were more."""

    url: httpx.URL
    status: int
    headers: httpx.Headers
    body: bytes
    is_cut: bool

    @property
    def is_packed(self) -> bool:
        """Raises NotFetched for what was packed in another way than was asked for."""
        packing: str = self.headers.get("content-encoding", "").strip().lower()
        if packing not in {"", "identity", "gzip", "x-gzip"}:
            raise NotFetched(f"{self.url} comes packed as {packing[:40]}, which is not read; read another source")
        return "gzip" in packing


class Fetcher:
    """Fetches pages. Keeps nothing between them but what robots may do.

    Args:
        allow_private: whether private and loopback addresses may be reached, on any port. Never set it where those
            who ask are not those who may reach them anyway.
        resolve, network, tls: as `safe_http.public.client` takes them.
        fetching_s, reading_s: seconds that a page may take to arrive, and its text to be taken out.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        resolve: public.Resolve = public.resolved,
        network: httpcore.AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
        fetching_s: float = FETCHING_S,
        reading_s: float = READING_S,
    ) -> None:
        self._allow_private = allow_private
        self._fetching_s, self._reading_s = fetching_s, reading_s
        tls = tls or httpx.create_ssl_context(trust_env=False)  # made once: it takes longer than a request
        self._client = partial(public.client, allow_private, STEP_S, resolve=resolve, network=network, tls=tls)
        self._robots = Robots()
        self._turns = Turns(lambda: int(to_process.current_default_process_limiter().total_tokens))

    async def page(self, url: str, party: str = "") -> tuple[str, Page]:
        """The address where the page was found in the end, and what it says. Raises NotFetched.

        `party`: who asks; pages that take long to read leave a process to others.
        """
        try:
            async with asyncio.timeout(self._fetching_s), self._client() as http:
                answer = await self._answer(http, url)
        except TimeoutError as error:
            raise NotFetched(f"{url} did not arrive within {self._fetching_s:g} s; read another source") from error
        except Unreachable as error:
            raise NotFetched(f"{error}; read another source") from error
        return str(answer.url), await self._read(answer, party)

    async def _answer(self, http: httpx.AsyncClient, url: str) -> Answer:
        answer = await self._followed(http, url, is_page=True)
        if answer.status != httpx.codes.OK:
            raise NotFetched(f"{answer.url} answered {_status(answer)}; read another source")
        if answer.is_cut:
            raise NotFetched(f"{answer.url} is larger than {MOST_BYTES // 1_000_000} MB; read another source")
        return answer

    async def _followed(self, http: httpx.AsyncClient, url: str, *, is_page: bool) -> Answer:
        """Follow redirects to the first other answer. Of pages, robots may keep us from any on the way."""
        target = self._checked(url)
        for _ in range(REDIRECTS + 1):
            if is_page:
                await self._ask_robots(http, target)
            async with _asked(http, target) as response:
                if not response.has_redirect_location:
                    return await _received(response, is_page=is_page)
                onward = self._checked(str(_onward(response)))
            if (target.scheme, onward.scheme) == ("https", "http"):
                raise NotFetched(f"{target} leads from https to http, where anybody can change it; read another source")
            target = onward
        raise TooManyRedirects(f"{url} leads to more than {REDIRECTS} other addresses; read another source")

    async def _ask_robots(self, http: httpx.AsyncClient, url: httpx.URL) -> None:
        site = f"{url.scheme}://{url.netloc.decode('ascii')}"
        if why := await self._robots.refusal(site, str(url), partial(self._robots_text, http)):
            raise NotFetched(f"{why}; read another source")

    async def _robots_text(self, http: httpx.AsyncClient, url: str) -> str:
        """As RFC 9309 has it: refused with 4xx, or redirected for ever, there are no rules; silent, no way in."""
        try:
            answer = await self._followed(http, url, is_page=False)
            body = reading.unpacked(answer.body, MOST_ROBOTS_BYTES) if answer.is_packed else answer.body
        except TooManyRedirects:
            return ""
        except (Unreachable, Unreadable) as error:
            raise RulesUnknown(str(error)) from error
        if answer.status != httpx.codes.OK and not 400 <= answer.status < 500:
            raise RulesUnknown(f"it answered {_status(answer)}")
        return body.decode("utf-8", errors="replace") if answer.status == httpx.codes.OK else ""

    def _checked(self, url: str) -> httpx.URL:
        try:
            checked = httpx.URL(public.checked_url(url, self._allow_private)).copy_with(fragment=None)
        except public.Unusable as error:
            raise NotFetched(f"this address cannot be fetched: {error}; use the url of a search result") from error
        if checked.port is not None and not self._allow_private:
            raise NotFetched(f"{checked} has a port of its own; only 80 (http) and 443 (https) are read")
        return checked

    async def _read(self, answer: Answer, party: str) -> Page:
        media_type, charset = _content_type(answer.headers)
        reads = partial(reading.read, answer.body, is_packed=answer.is_packed, media_type=media_type, charset=charset)
        try:
            async with asyncio.timeout(self._reading_s), self._turns.turn(party):
                return await to_process.run_sync(reads, cancellable=True)
        except Unreadable as error:
            raise NotFetched(f"{answer.url} cannot be read: {error}; read another source") from error
        except (TimeoutError, BrokenWorkerProcess) as error:
            why = f"within {self._reading_s:g} s" if isinstance(error, TimeoutError) else "within the memory it may use"
            raise NotFetched(f"the text of {answer.url} cannot be taken out {why}; read another source") from error


@contextlib.asynccontextmanager
async def _asked(http: httpx.AsyncClient, url: httpx.URL) -> AsyncIterator[httpx.Response]:
    """The answer, as far as its headers. Raises NotFetched, also for what fails while it is read."""
    try:
        async with http.stream("GET", url, headers=HEADERS) as response:
            yield response
    except public.Unusable as error:
        raise NotFetched(f"{url} cannot be fetched: {error}; read another source") from error
    except httpx.TimeoutException as error:
        raise Unreachable(f"{url.host} does not answer within {STEP_S:g} s") from error
    except httpx.HTTPError as error:
        raise Unreachable(f"{url.host} cannot be reached ({error or type(error).__name__})") from error


def _onward(response: httpx.Response) -> httpx.URL:
    try:
        return response.url.join(response.headers["location"])
    except httpx.InvalidURL as error:
        raise NotFetched(f"{response.url} leads to no address that can be read; read another source") from error


async def _received(response: httpx.Response, *, is_page: bool) -> Answer:
    """The body as it is sent, no more than is wanted. Of a page that cannot be read, nothing is received."""
    media_type, _ = _content_type(response.headers)
    if is_page and response.is_success and media_type not in HTML | TEXT | UNTOLD | {PDF}:
        raise NotFetched(f"{response.url} is {media_type[:60]}, no HTML, PDF or plain text; read another source")
    most = MOST_BYTES if is_page else MOST_ROBOTS_BYTES
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > most:
            break
    return Answer(response.url, response.status_code, response.headers, bytes(body[:most]), len(body) > most)


def _content_type(headers: httpx.Headers) -> tuple[str, str]:
    """Media type and charset in lower case, each empty where it is not told."""
    media_type, *parameters = headers.get("content-type", "").lower().split(";")
    pairs = (each.partition("=") for each in parameters)
    charsets = [value.strip(" \"'") for name, _, value in pairs if name.strip() == "charset"]
    return media_type.strip(), charsets[0] if charsets else ""


def _status(answer: Answer) -> str:
    known = httpx.codes.get_reason_phrase(answer.status)
    return f"{answer.status} {known}".rstrip()

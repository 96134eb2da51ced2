"""Fetches untrusted URLs: public addresses only, limited in size and time, obeying robots.txt.

The URL and every redirect are checked before anything is sent, and names resolve once, to checked addresses
(`safe_http.public`). Nothing is decompressed while it arrives, because a few kilobytes can become gigabytes. Only gzip
is accepted, and decompressed up to a limit.
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
FETCHING_S = 20.0  # in total: robots.txt, redirects, the page
STEP_S = 10.0  # for connecting, and for each read
READING_S = 15.0  # for extracting the text, including the wait for a free process

HEADERS = {
    "user-agent": USER_AGENT,
    "accept": "text/html, application/xhtml+xml, application/pdf, text/plain, */*;q=0.1",
    "accept-language": "en, *;q=0.5",
    "accept-encoding": "gzip",
}


class NotFetched(Exception):
    """The page cannot be read; the message says why, and what to do instead."""


class Unreachable(NotFetched):
    """The site is unreachable, perhaps temporarily."""


class TooManyRedirects(NotFetched):
    """There are more redirects than are followed."""


@dataclass(frozen=True)
class Answer:
    """The final response: `body` as sent, up to the limit of bytes, and whether there were more."""

    url: httpx.URL
    status: int
    headers: httpx.Headers
    body: bytes
    is_cut: bool

    @property
    def is_packed(self) -> bool:
        """Whether the body is gzip. Raises NotFetched for other encodings."""
        packing: str = self.headers.get("content-encoding", "").strip().lower()
        if packing not in {"", "identity", "gzip", "x-gzip"}:
            raise NotFetched(f"{self.url} has the content encoding {packing[:40]}, not gzip; read another source")
        return "gzip" in packing


class Fetcher:
    """Fetches pages. Caches only the rules of robots.txt.

    Args:
        allow_private: whether private and loopback addresses may be reached, on any port. Set it only if all users may
            reach them anyway.
        resolve, network, tls: see `safe_http.public.client`.
        fetching_s, reading_s: seconds for a page to arrive, and for extracting its text.
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
        tls = tls or httpx.create_ssl_context(trust_env=False)  # once: it takes longer than a request
        self._client = partial(public.client, allow_private, STEP_S, resolve=resolve, network=network, tls=tls)
        self._robots = Robots()
        self._turns = Turns(lambda: int(to_process.current_default_process_limiter().total_tokens))

    async def page(self, url: str, party: str = "") -> tuple[str, Page]:
        """The final URL, and the page. Raises NotFetched.

        `party`: the caller, for fair sharing of the reading processes.
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
        """Follow redirects. For a page, check robots.txt at each step."""
        target = self._checked(url)
        for _ in range(REDIRECTS + 1):
            if is_page:
                await self._ask_robots(http, target)
            async with _asked(http, target) as response:
                if not response.has_redirect_location:
                    return await _received(response, is_page=is_page)
                onward = self._checked(str(_onward(response)))
            if (target.scheme, onward.scheme) == ("https", "http"):
                raise NotFetched(f"{target} redirects from https to insecure http; read another source")
            target = onward
        raise TooManyRedirects(f"{url} redirects more than {REDIRECTS} times; read another source")

    async def _ask_robots(self, http: httpx.AsyncClient, url: httpx.URL) -> None:
        site = f"{url.scheme}://{url.netloc.decode('ascii')}"
        if why := await self._robots.refusal(site, str(url), partial(self._robots_text, http)):
            raise NotFetched(f"{why}; read another source")

    async def _robots_text(self, http: httpx.AsyncClient, url: str) -> str:
        """Per RFC 9309: after 4xx or too many redirects there are no rules; if unreachable, everything is forbidden."""
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
            raise NotFetched(f"{checked} has a non-standard port; only 80 (http) and 443 (https) are read")
        return checked

    async def _read(self, answer: Answer, party: str) -> Page:
        media_type, charset = _content_type(answer.headers)
        reads = partial(reading.read, answer.body, is_packed=answer.is_packed, media_type=media_type, charset=charset)
        try:
            async with asyncio.timeout(self._reading_s), self._turns.turn(party):
                try:
                    return await to_process.run_sync(reads, cancellable=True)
                except BrokenWorkerProcess:  # an earlier page may have broken it
                    return await to_process.run_sync(reads, cancellable=True)
        except Unreadable as error:
            raise NotFetched(f"{answer.url} cannot be read: {error}; read another source") from error
        except (TimeoutError, BrokenWorkerProcess) as error:
            why = f"within {self._reading_s:g} s" if isinstance(error, TimeoutError) else "within the memory limit"
            raise NotFetched(f"the text of {answer.url} cannot be extracted {why}; read another source") from error


@contextlib.asynccontextmanager
async def _asked(http: httpx.AsyncClient, url: httpx.URL) -> AsyncIterator[httpx.Response]:
    """The response with its headers. Raises NotFetched, also for failures while the body is read."""
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
        raise NotFetched(f"{response.url} redirects to an invalid address; read another source") from error


async def _received(response: httpx.Response, *, is_page: bool) -> Answer:
    """The body as sent, up to the limit. Raises NotFetched for unsupported media types, before reading the body."""
    media_type, _ = _content_type(response.headers)
    if is_page and response.is_success and media_type not in HTML | TEXT | UNTOLD | {PDF}:
        raise NotFetched(f"{response.url} is {media_type[:60]}, not HTML, PDF or plain text; read another source")
    most = MOST_BYTES if is_page else MOST_ROBOTS_BYTES
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > most:
            break
    return Answer(response.url, response.status_code, response.headers, bytes(body[:most]), len(body) > most)


def _content_type(headers: httpx.Headers) -> tuple[str, str]:
    """Media type and charset in lower case, each empty if not given."""
    media_type, *parameters = headers.get("content-type", "").lower().split(";")
    pairs = (each.partition("=") for each in parameters)
    charsets = [value.strip(" \"'") for name, _, value in pairs if name.strip() == "charset"]
    return media_type.strip(), charsets[0] if charsets else ""


def _status(answer: Answer) -> str:
    known = httpx.codes.get_reason_phrase(answer.status)
    return f"{answer.status} {known}".rstrip()

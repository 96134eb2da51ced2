"""A site of a few pages on a real socket, and the names that lead to it, for tests of what reads the web."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from mcp_servers.web.fetching import Fetcher
from tests.raw_server import Answer, RawServer, Wire, raw_server, status

PUBLIC, PUBLIC_6 = "93.184.215.14", "2606:4700::1111"
NAME = "pages.example.com"
SENTENCE = "The agency counted 12,345 public charging points in Portugal in 2025."


def page(text: str = SENTENCE, title: str = "Charging in Portugal", head: str = "") -> bytes:
    """A page with a title and one paragraph."""
    body = f"<article><h1>{title}</h1><p>{text}</p></article>"
    return f"<html><head><title>{title}</title>{head}</head><body>{body}</body></html>".encode()


def html(body: bytes | None = None, content_type: str = "text/html; charset=utf-8", **headers: str) -> Answer:
    """An answer with a page."""
    return status("200 OK", page() if body is None else body, content_type=content_type, **headers)


def onward(url: str, code: str = "302 Found") -> Answer:
    """A redirect."""
    return status(code, location=url)


def asked(server: RawServer) -> list[str]:
    """The paths that a site was asked for, in order."""
    return [each.head[0].split()[1] for each in server.received]


@contextlib.asynccontextmanager
async def site(routes: dict[str, Answer], tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Answers each path as it is told, and any other with 404."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        await routes.get(asked(server)[-1], status("404 Not Found"))(writer)

    async with raw_server(answer, tls) as server:
        yield server


@dataclass
class Zone:
    """A resolver: for each name one list of addresses per look-up, of which the last stays."""

    names: dict[str, list[list[str]]] = field(default_factory=lambda: {NAME: [[PUBLIC]]})
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        answers = self.names[host]
        return answers[min(self.asked.count(host), len(answers)) - 1]


def public(server: RawServer, zone: Zone | None = None, tls: ssl.SSLContext | None = None) -> tuple[Fetcher, Wire]:
    """A fetcher as it is set up by default, for which every public address is this server; and where it went."""
    wire = Wire(server.port)
    return Fetcher(resolve=zone or Zone(), network=wire, tls=tls), wire

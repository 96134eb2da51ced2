"""Pages made to cost time, memory or sense: each is bounded, and what can be read is read right."""

import asyncio
import gzip
import os
import time
import zlib
from typing import Any

import pytest
from anyio import BrokenWorkerProcess, to_process

from mcp_servers.web.fetching import Fetcher, NotFetched
from mcp_servers.web.reading import MOST_BYTES
from tests.mcp_servers.pdfs import pdf_of
from tests.raw_server import Answer, status
from tests.web_site import SENTENCE, html, page, site

# The process that reads pages belongs to an event loop: with one for all, it is started once.
pytestmark = pytest.mark.asyncio(loop_scope="module")

PACKED = gzip.compress(page(), mtime=0)
GERMAN = "Die Behörde zählte 2025 in Köln 1.234 Ladepunkte; das kostet 5 € je Stück."


async def got(answer: Answer, fetcher: Fetcher | None = None) -> str:
    """The text of a page that is answered so."""
    async with site({"/page": answer}) as server:
        _, read = await (fetcher or Fetcher(allow_private=True)).page(f"{server.url}/page")
    return read.text


async def refused(answer: Answer, fetcher: Fetcher | None = None) -> str:
    with pytest.raises(NotFetched) as error:
        await got(answer, fetcher)
    assert "read another source" in str(error.value)
    return str(error.value)


# -- size --


async def test_a_page_packed_with_gzip_is_read_in_one_part_or_several() -> None:
    body = page()
    assert SENTENCE in await got(html(gzip.compress(body), content_encoding="gzip"))
    halves = gzip.compress(body[:100]) + gzip.compress(body[100:])
    assert SENTENCE in await got(html(halves, content_encoding="GZIP"))


@pytest.mark.slow
async def test_a_gzip_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b"<html><body><p>" + b"boom " * 20_000_000)  # 100 MB
    assert len(bomb) < 200_000
    assert "larger than 5 MB" in await refused(html(bomb, content_encoding="gzip"))


@pytest.mark.parametrize("packing", ["br", "zstd", "deflate", "gzip, gzip", "compress"])
async def test_what_is_packed_as_nobody_asked_is_not_unpacked(packing: str) -> None:
    assert "not gzip; read another source" in await refused(html(zlib.compress(page()), content_encoding=packing))


@pytest.mark.parametrize(
    "body", [page(), PACKED[:-20], PACKED[:12] + b"\0" * 50, b""], ids=["none", "cut", "damaged", "empty"]
)
async def test_damaged_gzip_is_told(body: bytes) -> None:
    assert "cannot be read" in await refused(html(body, content_encoding="gzip"))


async def test_a_body_without_end_is_broken_off() -> None:
    written = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html><body>")
        while True:
            writer.write(b"<p>more and more</p>" * 1000)
            written += 20_000
            await writer.drain()

    assert "larger than 5 MB" in await refused(endless)
    assert written < 4 * MOST_BYTES


async def test_a_body_that_is_announced_as_larger_is_not_read_to_its_end() -> None:
    body = b"<html><body><p>" + b"words " * (MOST_BYTES // 6)
    assert "larger than 5 MB" in await refused(html(body))


# -- time --


async def test_a_body_that_drips_is_given_up_after_the_time_for_all_of_it() -> None:
    async def dripping(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n")
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.02)  # each byte well within any time for one read

    began = time.monotonic()
    assert "within 0.5 s" in await refused(dripping, Fetcher(allow_private=True, fetching_s=0.5))
    assert time.monotonic() - began < 5


async def test_a_head_that_drips_is_given_up_as_well() -> None:
    async def dripping(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(10_000):
            writer.write(f"x-{number}: y\r\n".encode())
            await writer.drain()
            await asyncio.sleep(0.02)

    assert "within 0.5 s" in await refused(dripping, Fetcher(allow_private=True, fetching_s=0.5))


async def test_a_server_that_breaks_off_is_told() -> None:
    async def broken(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5000\r\n\r\n<html>")
        writer.close()

    assert "cannot be reached" in await refused(broken)


@pytest.mark.slow
async def test_a_page_that_takes_too_long_to_read_stops_its_process_and_nothing_else() -> None:
    table = b"<html><body><table>" + b"<tr><td>a</td><td>b</td></tr>" * 100_000
    assert SENTENCE in await got(html())  # a process is there now, so that the time below is not that of its start
    ticks = 0

    async def others() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    working = asyncio.create_task(others())
    assert "cannot be extracted within 0.5 s" in await refused(html(table), Fetcher(allow_private=True, reading_s=0.5))
    working.cancel()
    assert ticks > 10, "the server answered nobody meanwhile"
    assert SENTENCE in await got(html())


@pytest.mark.slow
@pytest.mark.skipif(os.cpu_count() == 1, reason="there is one process for all")
async def test_pages_of_one_caller_that_take_long_to_read_leave_a_process_to_others() -> None:
    table = b"<html><body><table>" + b"<tr><td>a</td><td>b</td></tr>" * 100_000
    fetcher = Fetcher(allow_private=True)
    async with site({"/slow": html(table), "/page": html()}) as server:
        assert SENTENCE in (await fetcher.page(f"{server.url}/page", "b"))[1].text
        slow = [asyncio.create_task(fetcher.page(f"{server.url}/slow", "a")) for _ in range(2 * (os.cpu_count() or 1))]
        while fetcher._turns.under_way + fetcher._turns.waiting < len(slow):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        _, read = await fetcher.page(f"{server.url}/page", "b")
        ended = [each for each in slow if each.done()]
        for each in slow:
            each.cancel()
        await asyncio.wait(slow)
    assert SENTENCE in read.text
    assert not ended


@pytest.mark.slow
async def test_a_page_that_takes_too_much_memory_is_refused() -> None:
    bomb = b"<html><body>" + b"<a b c d e f g>" * 330_000  # 1.4 GB when it is parsed
    assert len(bomb) < MOST_BYTES
    assert "too much memory" in await refused(html(bomb), Fetcher(allow_private=True, reading_s=60))
    assert SENTENCE in await got(html())


async def test_the_charset_of_the_header_reaches_the_reader() -> None:
    body = page(GERMAN).decode().encode("cp1252")
    assert GERMAN in await got(html(body, content_type='text/html; charset="ISO-8859-1"'))


# -- kinds --


@pytest.mark.parametrize("kind", ["image/png", "video/mp4", "application/zip", "application/vnd.ms-excel", "font/woff"])
async def test_what_is_no_text_is_not_received(kind: str) -> None:
    assert f"is {kind}, not HTML, PDF or plain text" in await refused(html(b"x" * 100, content_type=kind))


@pytest.mark.parametrize("kind", ["application/pdf", "text/html", "application/octet-stream"])
async def test_a_pdf_is_read_whatever_it_says_to_be(kind: str) -> None:
    text = await got(status("200 OK", pdf_of("Bids: 37 arrived.", "Winner: none."), content_type=kind))
    assert text == "## Page 1\n\nBids: 37 arrived.\n\n## Page 2\n\nWinner: none."


@pytest.mark.slow
@pytest.mark.parametrize("answer", [status("200 OK", page()), html(content_type="application/octet-stream")])
async def test_a_page_that_does_not_say_what_it_is_is_looked_at(answer: Answer) -> None:
    assert "<" not in await got(answer)


async def test_a_process_that_an_earlier_page_broke_costs_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    run, broken = to_process.run_sync, iter([True])

    async def once_broken(*args: Any, **options: Any) -> Any:
        if next(broken, False):
            raise BrokenWorkerProcess
        return await run(*args, **options)

    monkeypatch.setattr(to_process, "run_sync", once_broken)
    assert SENTENCE in await got(html())


@pytest.mark.parametrize("kind", ["text/plain", "text/csv", "application/json", ""])
async def test_plain_text_stays_as_it_is(kind: str) -> None:
    text = '{"year": 2025, "points": 12345}\nand <b>more</b>'
    assert await got(status("200 OK", text.encode(), content_type=kind)) == text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\x7fELF\0\0\0", "text/html"),
        (b"\x89PNG\r\n\x1a\n\0\0", "text/plain"),
        (b"", "text/html"),
        (b"  \n", "text/plain"),
        (b"<html><body></body></html>", "text/html"),
        (b"%PDF-1.4 and no more", "application/pdf"),
        (b"<html>no PDF</html>", "application/pdf"),
    ],
)
async def test_what_has_no_text_is_told(body: bytes, kind: str) -> None:
    assert "cannot be read" in await refused(status("200 OK", body, content_type=kind))


@pytest.mark.parametrize(
    "code", ["401 Unauthorized", "403 Forbidden", "404 Not Found", "429 Too Many", "503 Down", "204 No"]
)
async def test_an_answer_that_is_no_page_is_told(code: str) -> None:
    assert f"answered {code[:3]}" in await refused(status(code, page(), content_type="text/html"))


async def test_a_date_is_that_of_the_page_and_no_date_in_its_text() -> None:
    head = '<meta property="article:published_time" content="2025-03-04T10:00:00Z">'
    fetcher = Fetcher(allow_private=True)
    async with site(
        {"/dated": html(page(head=head)), "/page": html(page("On 12 March 2019 it was founded."))}
    ) as server:
        assert (await fetcher.page(f"{server.url}/dated"))[1].date == "2025-03-04"
        assert (await fetcher.page(f"{server.url}/page"))[1].date == ""

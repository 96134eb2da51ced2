"""Extracts the text of a page.

`read` runs in its own process: an untrusted page can make any parser take minutes or gigabytes, and only a process can
be stopped.
"""

import gzip
import io
import re
import resource
import zlib
from dataclasses import dataclass

from mcp_servers.base import encodings
from mcp_servers.base.formats import RawText, Unreadable, read_article, read_pdf

MOST_BYTES = 5_000_000  # of a page, compressed and decompressed
PROCESS_MEMORY = 512 * 1024 * 1024

HTML = {"text/html", "application/xhtml+xml"}
PDF = "application/pdf"
TEXT = {"text/plain", "text/markdown", "text/csv", "application/json"}
UNTOLD = {"", "application/octet-stream", "binary/octet-stream"}

_MARKUP = re.compile(r"\s*<(?:!doctype html|html|head|body|\?xml|!--)", re.IGNORECASE)


@dataclass(frozen=True)
class Page:
    """A page's text. `date` is its date of publication, YYYY-MM-DD, or empty if unknown."""

    text: str
    title: str
    date: str


def read(body: bytes, *, is_packed: bool, media_type: str, charset: str) -> Page:
    """Extract the text of a page.

    Args:
        body: as sent.
        is_packed: whether it is gzip.
        media_type: the server's, in lower case; may be wrong.
        charset: the server's, or empty; may be wrong.

    Raises:
        Unreadable: it has no text, or too much.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (PROCESS_MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    try:
        whole = unpacked(body, MOST_BYTES + 1) if is_packed else body
        if len(whole) > MOST_BYTES:
            raise Unreadable(f"it is larger than {MOST_BYTES // 1_000_000} MB")
        raw = _raw(whole, media_type, charset)
    except MemoryError as error:
        raise Unreadable("it takes too much memory to read") from error
    return Page(raw.whole.strip(), raw.title, str(raw.metadata.get("date") or ""))


def unpacked(body: bytes, most: int) -> bytes:
    """Decompress gzip, at most `most` bytes. Raises Unreadable if it is invalid or incomplete."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            return file.read(most)
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable("its content encoding is gzip, but it is not valid gzip") from error


def decoded(body: bytes, charset: str) -> str:
    """Decode the bytes, by guessing if need be; see `encodings.of_page`."""
    if (text := encodings.of_page(body, charset)) is not None:
        return text
    from charset_normalizer import from_bytes  # noqa: PLC0415  slow to load, and rarely needed

    guess = from_bytes(body).best()
    return str(guess) if guess else body.decode("utf-8", errors="replace")


def _raw(body: bytes, media_type: str, charset: str) -> RawText:
    if media_type == PDF or body.startswith(b"%PDF-"):
        return read_pdf(body)
    text = decoded(body, charset)
    if "\0" in text:
        raise Unreadable("it is not text")
    if media_type in HTML or (media_type in UNTOLD and _MARKUP.match(text)):
        return read_article(text)
    if not text.strip():
        raise Unreadable("it is empty")
    return RawText(text)

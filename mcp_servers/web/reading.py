"""Turns the bytes of a page into text.

`read` runs in a process of its own: what a page holds is up to strangers, who can make any parser take minutes or
gigabytes over it, and only a process can be stopped.
"""

import gzip
import io
import re
import resource
import zlib
from dataclasses import dataclass

from mcp_servers.base.formats import RawText, Unreadable, read_html, read_pdf

MOST_BYTES = 5_000_000  # of a page, as it is sent and unpacked
PROCESS_MEMORY = 512 * 1024 * 1024

HTML = {"text/html", "application/xhtml+xml"}
PDF = "application/pdf"
TEXT = {"text/plain", "text/markdown", "text/csv", "application/json"}
UNTOLD = {"", "application/octet-stream", "binary/octet-stream"}

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_META = re.compile(rb"<meta[^>]{1,200}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.IGNORECASE)
_META_WITHIN = 4096
_MARKUP = re.compile(r"\s*<(?:!doctype html|html|head|body|\?xml|!--)", re.IGNORECASE)
# Pages that say one of these mean the other (https://encoding.spec.whatwg.org/#names-and-labels).
_MEANT = {"iso-8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252", "ascii": "cp1252", "us-ascii": "cp1252"}


@dataclass(frozen=True)
class Page:
    """What a page says. `date` is when it was published, as YYYY-MM-DD, or empty where it does not tell."""

    text: str
    title: str
    date: str


def read(body: bytes, *, is_packed: bool, media_type: str, charset: str) -> Page:
    """The text of a page.

    Args:
        body: as it was sent.
        is_packed: whether it is packed with gzip.
        media_type: as the server says, in lower case; it may be wrong.
        charset: as the server says, or empty; it may be wrong, too.

    Raises:
        Unreadable: it has no text to offer, or too much of it.
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
    """At most so many bytes of what was packed with gzip. Raises Unreadable for what was not, or is incomplete."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            return file.read(most)
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable("it says that it is packed with gzip, and is not or is damaged") from error


def decoded(body: bytes, charset: str) -> str:
    """The text in these bytes: whatever is said of them, what is valid UTF-8 beyond ASCII is nothing else."""
    for mark, name in _BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, errors="replace")
    in_page = _META.search(body[:_META_WITHIN])
    said = [charset, in_page[1].decode("ascii", errors="ignore") if in_page else ""]
    for name in [*([] if body.isascii() else ["utf-8"]), *filter(None, said), "utf-8"]:
        try:
            return body.decode(_MEANT.get(name.lower(), name))
        except (UnicodeError, LookupError, ValueError):
            continue
    from charset_normalizer import from_bytes  # noqa: PLC0415  slow to load, and rarely needed

    guess = from_bytes(body).best()
    return str(guess) if guess else body.decode("utf-8", errors="replace")


def _raw(body: bytes, media_type: str, charset: str) -> RawText:
    if media_type == PDF or body.startswith(b"%PDF-"):
        return read_pdf(io.BytesIO(body))
    text = decoded(body, charset)
    if "\0" in text:
        raise Unreadable("it is no text")
    if media_type in HTML or (media_type in UNTOLD and _MARKUP.match(text)):
        return read_html(text)
    if not text.strip():
        raise Unreadable("it is empty")
    return RawText(text)

"""Reads text and metadata from Markdown, HTML and PDF, and splits long text."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_CHARS = 4_000_000
PDF_SECONDS = 20.0
PAGES_LISTED = 5
RECOGNISE = "run text recognition on it first"


class Unreadable(Exception):
    """No text can be read from this file or page; the message says why, in a few words."""


@dataclass(frozen=True)
class RawText:
    """Markdown text, or the `pages` of a paged document: number and text of each that is not empty.

    Also the front matter, the format's own title, and a `note` on what is missing.
    """

    text: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    title: str = ""
    pages: tuple[tuple[int, str], ...] = ()
    note: str = ""

    @property
    def whole(self) -> str:
        """The whole text as Markdown, a section per page."""
        return self.text or "\n\n".join(f"## Page {number}\n\n{text}" for number, text in self.pages)


def read_file(path: Path, seconds: float = PDF_SECONDS) -> RawText:
    """The text of a file; of a PDF, the pages that can be read in `seconds`.

    Raises `Unreadable` if it is damaged, encrypted, too large, empty or of an unknown format.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise Unreadable("not Markdown, HTML or PDF")
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise Unreadable(f"larger than {MAX_FILE_BYTES // 2**20} MB; split it")
        raw = reader(path, seconds)
    except OSError as error:
        raise Unreadable(str(error.strerror)) from error
    if not raw.text.strip() and not raw.pages:
        raise Unreadable("no text in it")
    if len(raw.text) > MAX_CHARS:
        raise Unreadable(f"more than {MAX_CHARS:,} characters; split it")
    return raw


def in_parts(text: str, most: int) -> list[str]:
    """Split into parts of at most `most` characters, between lines or else between words."""
    parts: list[str] = []
    while len(text) > most:
        window = text[:most]
        cut = max(window.rfind("\n"), 0) or max(window.rfind(" "), 0) or most
        parts.append(text[:cut].strip())
        text = text[cut:].strip()
    return [*parts, text]


def _markdown(path: Path, _: float) -> RawText:
    import frontmatter  # noqa: PLC0415
    import yaml  # type: ignore[import-untyped]  # noqa: PLC0415
    from frontmatter.default_handlers import YAMLHandler  # noqa: PLC0415

    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("not UTF-8 text; save it as UTF-8") from error
    try:
        post = frontmatter.loads(text, handler=YAMLHandler())
    except yaml.YAMLError as error:
        raise Unreadable("its front matter is not valid YAML") from error
    if not post.metadata:  # the file merely starts with a horizontal rule: lose nothing of it
        return RawText(text)
    return RawText(post.content, post.metadata)


def read_html(page: bytes | str) -> RawText:
    """The main text of a page, without menus and footers. Raises `Unreadable`."""
    import trafilatura  # noqa: PLC0415

    text = trafilatura.extract(page, output_format="markdown", favor_recall=True, include_comments=False)
    if text is None:
        raise Unreadable("no text found in the page")
    about = trafilatura.extract_metadata(page, extensive=False)  # extensive=True would take any date in the text
    return RawText(text, {"date": about and about.date}, title=(about and about.title) or "")


def read_pdf(file: BinaryIO, seconds: float = PDF_SECONDS) -> RawText:
    """The pages of a PDF that can be read in `seconds`. Raises `Unreadable`."""
    import logging  # noqa: PLC0415

    from pypdf import PdfReader  # noqa: PLC0415
    from pypdf.errors import FileNotDecryptedError  # noqa: PLC0415

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it logs every flaw of a file
    until = time.monotonic() + seconds
    try:
        reader = PdfReader(file)
        count = len(reader.pages)
        title = str((reader.metadata and reader.metadata.title) or "")
        texts, left = list[str](), MAX_CHARS
        for page in reader.pages:
            if time.monotonic() > until or left <= 0:
                break
            texts.append(page.extract_text().strip())
            left -= len(texts[-1])
    except FileNotDecryptedError as error:
        raise Unreadable("encrypted; save a copy without a password") from error
    except MemoryError as error:
        raise Unreadable("needs too much memory; split it") from error
    except OSError:
        raise
    except Exception as error:  # pypdf raises any exception for a damaged PDF
        raise Unreadable(f"not a readable PDF ({str(error)[:100] or type(error).__name__})") from error
    pages = tuple((number, text) for number, text in enumerate(texts, start=1) if text)
    if not pages:
        raise Unreadable(f"no text in the PDF (a scan?); {RECOGNISE}")
    return RawText(title=title, pages=pages, note="; ".join(_lacks(texts, count)))


def _lacks(texts: list[str], count: int) -> list[str]:
    """What is missing: pages without text, and pages cut off by time or size."""
    empty = [str(number) for number, text in enumerate(texts, start=1) if not text]
    lacks = []
    if empty:
        more = f" and {len(empty) - PAGES_LISTED} more" if len(empty) > PAGES_LISTED else ""
        lacks.append(f"no text on page {', '.join(empty[:PAGES_LISTED])}{more} (scanned?); {RECOGNISE}")
    if len(texts) < count:
        lacks.append(f"read up to page {len(texts)} of {count} only, it is too long; split it")
    return lacks


def _html(path: Path, _: float) -> RawText:
    raw = read_html(path.read_bytes())
    return RawText(raw.text, title=raw.title)  # trafilatura's date is a guess; the file's is not


def _pdf(path: Path, seconds: float) -> RawText:
    with path.open("rb") as file:
        return read_pdf(file, seconds)


READERS: dict[str, Callable[[Path, float], RawText]] = {
    ".md": _markdown,
    ".markdown": _markdown,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
}

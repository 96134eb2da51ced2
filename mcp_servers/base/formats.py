"""Reads text and metadata from documents, and splits long text."""

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_servers.base import encodings

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument  # type: ignore[import-untyped]

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_CHARS = 4_000_000
MAX_PAGES = 2000
PAGES_LISTED = 5
RECOGNISE = "run text recognition on it first"
KINDS = "Markdown, text, HTML, PDF, Word, Excel or PowerPoint"

_FRONT = re.compile(r"(---|\+\+\+)[ \t]*\n(.*?\n)?\1[ \t]*(?:\n|$)", re.DOTALL)
_LIKE_YAML = re.compile(r"\s*(?:[#?\[{]|[^\s:]+\s*:)|\s*$")
_TITLE = re.compile(r"<title[^>]*>(.{1,500}?)</title>", re.IGNORECASE | re.DOTALL)
# Fonts that do not say what their glyphs mean leave such characters; 1 in 20 is much, since digits may be among them.
_GARBAGE = re.compile(r"[\ufffd\ue000-\uf8ff\x00-\x08\x0e-\x1f]|\(cid:\d+\)")
_SIGN_OF_GARBAGE = re.compile(r"\ufffd|\(cid:")
_LETTERS = re.compile(r"(?!.*\.{4})[A-Za-z0-9\u00c0-\u024f.,;%]+")  # not of addresses, leaders and lists
LONG_WORD = 35  # characters: longer than any word of common languages


class Unreadable(Exception):
    """No text can be read from this file or page; the message says why, in a few words."""


@dataclass(frozen=True)
class RawText:
    """Markdown text, or the `pages` of a paged document: number and text of each that is not empty.

    Also the front matter, the format's own title, a `note` on what is missing, and whether so much was lost that the
    numbers cannot be relied on: of pages, their numbers.
    """

    text: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    title: str = ""
    pages: tuple[tuple[int, str], ...] = ()
    note: str = ""
    unreliable: bool = False
    unreliable_pages: tuple[int, ...] = ()

    @property
    def whole(self) -> str:
        """The whole text as Markdown, a section per page."""
        return self.text or "\n\n".join(f"## Page {number}\n\n{text}" for number, text in self.pages)


def checked_kind(path: Path, size: int) -> Callable[[Path], RawText]:
    """What reads such a file. Raises `Unreadable` if nothing does."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise Unreadable(f"not {KINDS}")
    if size > MAX_FILE_BYTES:
        raise Unreadable(f"larger than {MAX_FILE_BYTES // 2**20} MB; split it")
    return reader


def read_file(path: Path) -> RawText:
    """The text of a file. Raises `Unreadable` if it is damaged, encrypted, too large, empty or of another kind."""
    try:
        raw = checked_kind(path, path.stat().st_size)(path)
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


def read_article(page: bytes | str) -> RawText:
    """The main text of a web page, without menus and footers. Raises `Unreadable`."""
    import trafilatura  # noqa: PLC0415

    text = trafilatura.extract(page, output_format="markdown", favor_recall=True, include_comments=False)
    if text is None:
        raise Unreadable("no text found in the page")
    about = trafilatura.extract_metadata(page, extensive=False)  # extensive=True would take any date in the text
    return RawText(text, {"date": about and about.date}, title=(about and about.title) or "")


def read_pdf(file: bytes | Path) -> RawText:
    """The pages of a PDF, at most `MAX_PAGES` and about `MAX_CHARS` characters. Raises `Unreadable`."""
    import pypdfium2 as pdfium  # noqa: PLC0415

    texts, lost, left = list[str](), list[int](), MAX_CHARS
    try:
        document = pdfium.PdfDocument(file)
        count, title = len(document), document.get_metadata_value("Title")
        for number in range(1, min(count, MAX_PAGES) + 1):
            if left <= 0:
                break
            text, known = _page(document, number - 1)
            texts.append(text)
            left -= len(text)
            if text and not (known and _is_sound(text)):
                lost.append(number)
    except pdfium.PdfiumError as error:
        if error.err_code == pdfium.raw.FPDF_ERR_PASSWORD:
            raise Unreadable("encrypted; save a copy without a password") from error
        raise Unreadable(f"not a readable PDF ({str(error)[:100]})") from error
    pages = tuple((number, text) for number, text in enumerate(texts, start=1) if text)
    if not pages:
        raise Unreadable(f"no text in the PDF (a scan?); {RECOGNISE}")
    return RawText(title=title, pages=pages, note="; ".join(_lacks(texts, count, lost)), unreliable_pages=tuple(lost))


def _page(document: "PdfDocument", index: int) -> tuple[str, bool]:
    """The text of a page, empty if the page is damaged, and whether its characters are known."""
    from pypdfium2 import PdfiumError  # noqa: PLC0415

    from mcp_servers.base import pdf  # noqa: PLC0415

    try:
        return pdf.read_page(document[index])
    except PdfiumError:
        return "", True


def _is_sound(text: str) -> bool:
    """Whether little of it is garbage, or words without spaces."""
    # Most text is sound, and these looks are much faster than the patterns.
    garbage = (
        [] if " ".join(text.split()).isprintable() and not _SIGN_OF_GARBAGE.search(text) else _GARBAGE.findall(text)
    )
    run_together = sum(len(word) for word in text.split() if len(word) >= LONG_WORD and _LETTERS.fullmatch(word))
    return len(garbage) * 20 <= len(text) and run_together * 4 <= len(text)


def _lacks(texts: list[str], count: int, lost: list[int]) -> list[str]:
    """What is missing: pages without text, of lost text, and cut off."""
    lacks = []
    if empty := [number for number, text in enumerate(texts, start=1) if not text]:
        lacks.append(f"no text on page {_listed(empty)} (scanned?); {RECOGNISE}")
    if lost:
        lacks.append(
            f"much of the text on page {_listed(lost)} is lost: no names of characters, or no spaces; {RECOGNISE}"
        )
    if len(texts) < count:
        lacks.append(f"read up to page {len(texts)} of {count} only, it is too long; split it")
    return lacks


def _listed(numbers: list[int]) -> str:
    more = f" and {len(numbers) - PAGES_LISTED} more" if len(numbers) > PAGES_LISTED else ""
    return ", ".join(map(str, numbers[:PAGES_LISTED])) + more


def _text(path: Path) -> RawText:
    found = encodings.of_file(path.read_bytes())
    if found is None:
        raise Unreadable("not UTF-8, and its encoding is unclear; save it as UTF-8")
    text, encoding = found
    note = f"not UTF-8, read as {encoding}" if encoding else ""
    return RawText(text.replace("\r\n", "\n"), note=note, unreliable=not _is_sound(text))


def _markdown(path: Path) -> RawText:
    raw = _text(path)
    front = _FRONT.match(raw.text)
    if front is None:
        return raw
    body = replace(raw, text=raw.text[front.end() :])
    try:
        metadata = _parsed(front[1], front[2] or "")
    except Exception as error:  # YAML builds objects of many kinds, each with errors of its own
        kind = "YAML" if front[1] == "---" else "TOML"
        reason = getattr(error, "problem", None) or " ".join(str(error).split())[:80]
        note = f"its front matter was left out, for it is not valid {kind} ({reason})"
        return replace(body, note="; ".join(filter(None, [raw.note, note])))
    if metadata is None:
        return raw
    return replace(body, metadata=metadata)


def _parsed(fence: str, front: str) -> dict[str, Any] | None:
    """Plain values of front matter; None if it is a text between two lines. Raises any exception if it is neither."""
    import yaml  # type: ignore[import-untyped]  # noqa: PLC0415

    if fence == "---" and not _LIKE_YAML.match(front):
        return None
    found = yaml.safe_load(front) if fence == "---" else tomllib.loads(front)
    plain = {str(key): _plain(value) for key, value in (found or {}).items()}
    return {key: value for key, value in plain.items() if value is not None}


def _plain(value: Any) -> Any:
    """As text, or a list of texts; None for what has more levels: YAML may repeat itself without end."""
    if isinstance(value, list):
        return [str(each) for each in value if not isinstance(each, list | dict)]
    return None if value is None or isinstance(value, dict) else str(value)


def _html(path: Path) -> RawText:
    import html_to_markdown as converter  # noqa: PLC0415

    body = path.read_bytes()
    page = encodings.of_page(body)
    if page is None:
        raise Unreadable("it does not say its encoding; save it as UTF-8")
    # Superscripts stay apart: 10^6^ is not 106. The title is not taken from the metadata, for they come with the text.
    options = converter.ConversionOptions(compact_tables=True, sup_symbol="^", skip_images=True, extract_metadata=False)
    title = _TITLE.search(page)
    return RawText(converter.convert(page, options).content or "", title=unescape(title[1]).strip() if title else "")


def _office(path: Path) -> RawText:
    import office_oxide  # noqa: PLC0415

    try:
        text = office_oxide.to_markdown(str(path))
    except office_oxide.OfficeOxideError as error:
        raise Unreadable(f"not a readable {path.suffix} file ({str(error)[:100]})") from error
    return RawText(text, unreliable=not _is_sound(text))


READERS: dict[str, Callable[[Path], RawText]] = {
    ".md": _markdown,
    ".markdown": _markdown,
    ".txt": _text,
    ".html": _html,
    ".htm": _html,
    ".pdf": read_pdf,
    ".docx": _office,
    ".xlsx": _office,
    ".pptx": _office,
}

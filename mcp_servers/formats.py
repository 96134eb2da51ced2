"""Reads Markdown, HTML and PDF into Markdown text with its metadata."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO


class Unreadable(Exception):
    """This file or page has no text to offer; the message says why, in a few words."""


@dataclass(frozen=True)
class RawText:
    """Markdown text, the front matter above it, and the title that the format itself carries."""

    text: str
    metadata: dict[str, Any] = field(default_factory=dict)
    title: str = ""


def read_file(path: Path) -> RawText:
    """The text of one file. Raises `Unreadable` for a damaged, locked, empty or unknown one."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise Unreadable("not Markdown, HTML or PDF")
    try:
        raw = reader(path)
    except OSError as error:
        raise Unreadable(str(error.strerror)) from error
    if not raw.text.strip():
        raise Unreadable("no text in it")
    return raw


def _markdown(path: Path) -> RawText:
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
    if not post.metadata:  # a file that merely starts with a rule: nothing of it may get lost
        return RawText(text)
    return RawText(post.content, post.metadata)


def read_html(page: bytes | str) -> RawText:
    """The main text of a page, without menus and footers. Raises `Unreadable`."""
    import trafilatura  # noqa: PLC0415

    text = trafilatura.extract(page, output_format="markdown", favor_recall=True, include_comments=False)
    if text is None:
        raise Unreadable("no text found in the page")
    about = trafilatura.extract_metadata(page, extensive=False)  # or any date in the text would be its own
    return RawText(text, {"date": about and about.date}, title=(about and about.title) or "")


def read_pdf(file: BinaryIO) -> RawText:
    """The text of a PDF, one section per page. Raises `Unreadable`."""
    from pypdf import PdfReader  # noqa: PLC0415

    try:
        reader = PdfReader(file)
        pages = [page.extract_text().strip() for page in reader.pages]
        title = str((reader.metadata and reader.metadata.title) or "")
    except OSError:
        raise
    except Exception as error:  # a damaged PDF fails anywhere in pypdf, with any exception
        raise Unreadable(f"not a readable PDF ({error or type(error).__name__})") from error
    if not any(pages):
        raise Unreadable("no text in the PDF (a scan?); run text recognition on it first")
    numbered = [f"## Page {number}\n\n{text}" for number, text in enumerate(pages, start=1) if text]
    return RawText("\n\n".join(numbered), title=title)


def _html(path: Path) -> RawText:
    raw = read_html(path.read_bytes())
    return RawText(raw.text, title=raw.title)  # its date is a guess; that of the file is not


def _pdf(path: Path) -> RawText:
    with path.open("rb") as file:
        return read_pdf(file)


READERS: dict[str, Callable[[Path], RawText]] = {
    ".md": _markdown,
    ".markdown": _markdown,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
}

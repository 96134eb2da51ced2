"""The documents of a folder, split into sections, with what a citation needs."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from mcp_servers.base.formats import RawText, Unreadable

OWN = "own document"
CONFIDENCES = ("high", "medium", "low")

_HEADING = re.compile(r"#{1,3}\s+(.+?)\s*#*$")
_FENCE = re.compile(r"(```|~~~)")


@dataclass(frozen=True)
class Section:
    """The text under one heading, without the heading. `reliable`: see `RawText`."""

    title: str
    text: str
    reliable: bool = True


@dataclass(frozen=True)
class SourceDocument:
    """One document. `keywords` (topics and regions) are searched but not shown.

    `note` says what could not be read; `digest` changes with anything of it.
    """

    id: str
    title: str
    publisher: str
    date: str
    url: str
    confidence: str
    keywords: str
    written: str
    sections: tuple[Section, ...]
    note: str
    digest: str

    @property
    def text(self) -> str:
        """The whole document as Markdown."""
        return self.written or "\n\n".join(f"## {page.title}\n\n{page.text}" for page in self.sections)


@dataclass(frozen=True)
class Library:
    """Documents by id; files that could not be fully read, with the reason; whether there are more to read."""

    documents: dict[str, SourceDocument]
    skipped: tuple[str, ...]
    is_partial: bool = False

    @cached_property
    def version(self) -> str:
        """A hash of everything."""
        told = [*(f"{name} {each.digest}" for name, each in self.documents.items()), *self.skipped]
        return hashlib.sha256(repr(told).encode()).hexdigest()[:12]


def with_ids(documents: Iterable[SourceDocument]) -> dict[str, SourceDocument]:
    """The documents by their ids, which are made different where two wish for the same."""
    taken: dict[str, SourceDocument] = {}
    for each in documents:
        free = _free_id(each, taken)
        taken[free] = replace(each, id=free)
    return taken


def visible_files(folder: Path) -> list[Path]:
    """The files of a folder and its subfolders, sorted by name."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if not _is_hidden(path.relative_to(folder)))


def sections_of(raw: RawText, untitled: str) -> tuple[Section, ...]:
    """One section per page, or per heading: PDF pages are not Markdown, and citations use the page number.

    Raises `Unreadable` if there is no text under the headings.
    """
    lost = set(raw.unreliable_pages)
    pages = tuple(Section(f"Page {number}", text, number not in lost) for number, text in raw.pages)
    sections = pages or split_sections(raw.text, untitled, not raw.unreliable)
    if not sections:
        raise Unreadable("headings only, no text under them")
    return sections


def split_sections(text: str, untitled: str, reliable: bool = True) -> tuple[Section, ...]:
    """Split Markdown at headings of level 1 to 3 outside code fences; `untitled` names the text above them."""
    sections: list[Section] = []
    title, lines, fenced = untitled, list[str](), False
    for line in text.splitlines():
        fenced ^= bool(_FENCE.match(line.lstrip()))
        heading = None if fenced else _HEADING.match(line)
        if heading is None:
            lines.append(line)
        else:
            sections.append(Section(title, "\n".join(lines).strip(), reliable))
            title, lines = heading[1], []
    sections.append(Section(title, "\n".join(lines).strip(), reliable))
    return tuple(section for section in sections if section.text)


def document_of(raw: RawText, path: Path, name: str, digest: str) -> SourceDocument:
    """The document in the file `name`, whose id may be that of another. Raises `Unreadable`, OSError."""
    about = raw.metadata
    title = _words(about.get("title")) or _first_heading(raw.text) or raw.title or path.stem
    confidence = _words(about.get("confidence")).lower()
    document = SourceDocument(
        id=_words(about.get("id")) or name.removesuffix(path.suffix),
        title=title,
        publisher=_words(about.get("publisher")) or OWN,
        date=_words(about.get("date")) or _modified(path),
        url=_words(about.get("url")) or name,
        confidence=confidence if confidence in CONFIDENCES else "medium",
        keywords=f"{_words(about.get('topics'))}, {_words(about.get('regions'))}",
        written=raw.text.strip(),
        sections=sections_of(raw, title),
        note=raw.note,
        digest="",
    )
    named = (digest, document.title, document.date, document.url)
    return replace(document, digest=hashlib.sha256(repr(named).encode()).hexdigest())


def _first_heading(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "")
    heading = re.match(r"#\s+(.+?)\s*#*$", first)
    return heading[1] if heading else ""


def _free_id(document: SourceDocument, taken: dict[str, SourceDocument]) -> str:
    slug = _slug(document.id) or "document"
    if slug in taken:
        slug = f"{slug}-{_slug(Path(document.url).suffix)}".rstrip("-")
    number, free = 2, slug
    while free in taken:
        number, free = number + 1, f"{slug}-{number}"
    return free


def _slug(text: str) -> str:
    return re.sub(r"[\W_]+", "-", text.lower(), flags=re.ASCII).strip("-")


def _words(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else (value or "").strip()


def _modified(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, tz=UTC).date().isoformat()


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)

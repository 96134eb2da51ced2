"""The documents of a folder, split into sections, with what a citation needs."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mcp_servers.base.formats import RawText, Unreadable, read_file
from mcp_servers.base.serving import StartupError

OWN = "own document"
CONFIDENCES = ("high", "medium", "low")

_HEADING = re.compile(r"#{1,3}\s+(.+?)\s*#*$")
_FENCE = re.compile(r"(```|~~~)")


@dataclass(frozen=True)
class Section:
    """The text under one heading, without the heading."""

    title: str
    text: str


@dataclass(frozen=True)
class SourceDocument:
    """One document. `keywords` (topics and regions) are searched but not shown."""

    id: str
    title: str
    publisher: str
    date: str
    url: str
    confidence: str
    keywords: str
    text: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Library:
    """All documents by id; files that could not be fully read, with the reason; a hash of everything."""

    documents: dict[str, SourceDocument]
    skipped: tuple[str, ...]
    version: str


def load(folder: Path, read: Callable[[Path], RawText] = read_file) -> Library:
    """Read a folder and its subfolders, without hidden files; unreadable files are listed in `skipped`.

    Raises `StartupError` if the folder does not exist or has no readable document.
    """
    if not folder.is_dir():
        raise StartupError(f"no documents folder at {folder}; name a folder of Markdown, HTML or PDF files")
    documents: dict[str, SourceDocument] = {}
    skipped: list[str] = []
    contents = hashlib.sha256()
    for path in visible_files(folder):
        name = path.relative_to(folder).as_posix()
        try:
            raw = read(path)
            document = _document(raw, path, name, taken=documents)
        except (Unreadable, OSError) as reason:  # OSError: it has been removed since it was listed
            skipped.append(f"{name}: {reason}")
            continue
        documents[document.id] = document
        contents.update(repr(document).encode())
        if raw.note:
            skipped.append(f"{name}: {raw.note}")
    if not documents:
        raise StartupError(f"no readable Markdown, HTML or PDF file in {folder}{_reasons(skipped)}")
    contents.update(repr(skipped).encode())
    return Library(documents, tuple(skipped), contents.hexdigest()[:12])


def visible_files(folder: Path) -> list[Path]:
    """The files of a folder and its subfolders, sorted by name."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if not _is_hidden(path.relative_to(folder)))


def split_sections(text: str, untitled: str) -> tuple[Section, ...]:
    """Split Markdown at headings of level 1 to 3 outside code fences; `untitled` names the text above them."""
    sections: list[Section] = []
    title, lines, fenced = untitled, list[str](), False
    for line in text.splitlines():
        fenced ^= bool(_FENCE.match(line.lstrip()))
        heading = None if fenced else _HEADING.match(line)
        if heading is None:
            lines.append(line)
        else:
            sections.append(Section(title, "\n".join(lines).strip()))
            title, lines = heading[1], []
    sections.append(Section(title, "\n".join(lines).strip()))
    return tuple(section for section in sections if section.text)


def _document(raw: RawText, path: Path, name: str, taken: dict[str, SourceDocument]) -> SourceDocument:
    about = {key: value for key, value in raw.metadata.items() if value is not None}
    title = _words(about.get("title")) or _first_heading(raw.text) or raw.title or path.stem
    # PDF pages are not Markdown: lines that look like headings are not, and citations use the page number.
    pages = tuple(Section(f"Page {number}", text) for number, text in raw.pages)
    sections = pages or split_sections(raw.text, untitled=title)
    if not sections:
        raise Unreadable("headings only, no text under them")
    confidence = _words(about.get("confidence")).lower()
    return SourceDocument(
        id=_free_id(_words(about.get("id")) or name.removesuffix(path.suffix), path, taken),
        title=title,
        publisher=_words(about.get("publisher")) or OWN,
        date=_words(about.get("date")) or _modified(path),
        url=_words(about.get("url")) or name,
        confidence=confidence if confidence in CONFIDENCES else "medium",
        keywords=f"{_words(about.get('topics'))}, {_words(about.get('regions'))}",
        text="\n\n".join(f"## {page.title}\n\n{page.text}" for page in pages) or raw.text.strip(),
        sections=sections,
    )


def _first_heading(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "")
    heading = re.match(r"#\s+(.+?)\s*#*$", first)
    return heading[1] if heading else ""


def _free_id(wish: str, path: Path, taken: dict[str, SourceDocument]) -> str:
    slug = _slug(wish) or "document"
    if slug in taken:
        slug = f"{slug}-{_slug(path.suffix)}"
    number, free = 2, slug
    while free in taken:
        number, free = number + 1, f"{slug}-{number}"
    return free


def _slug(text: str) -> str:
    return re.sub(r"[\W_]+", "-", text.lower(), flags=re.ASCII).strip("-")


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)
    return "" if value is None else str(value).strip()


def _modified(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, tz=UTC).date().isoformat()


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _reasons(skipped: list[str]) -> str:
    return f" (skipped: {'; '.join(skipped[:3])}{'; ...' if len(skipped) > 3 else ''})" if skipped else ""

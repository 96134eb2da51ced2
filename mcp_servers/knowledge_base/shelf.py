"""One version of the documents with its search index, and the folder as a source of versions."""

import contextlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_servers.base.formats import KINDS, Unreadable
from mcp_servers.base.reloading import Progress
from mcp_servers.base.serving import StartupError
from mcp_servers.knowledge_base.documents import Library, SourceDocument, document_of, visible_files, with_ids
from mcp_servers.knowledge_base.embeddings import Embeddings
from mcp_servers.knowledge_base.index import Part
from mcp_servers.knowledge_base.passages import Passage, passages_of
from mcp_servers.knowledge_base.reading import Reader, Reading, State, state
from mcp_servers.knowledge_base.search import Searcher

# A part is served after this time. Calls wait for small libraries, which are read by then even on a busy machine.
PART_AFTER_S = 1.5
PART_OF_SMALL_AFTER_S = 10.0
SMALL_BYTES = 4_000_000
MORE_AFTER = 1.5  # times as long as it took so far, a larger part is served: its index is made anew


@dataclass(frozen=True)
class Shelf:
    """Documents and the search over them."""

    library: Library
    searcher: Searcher

    @property
    def data_version(self) -> str:
        """A short version that changes when a document does."""
        return self.library.version


@dataclass(frozen=True, slots=True)
class _Item:
    """A document as its file gives it, and the index of its passages."""

    document: SourceDocument
    index: Part


class Folder:
    """A source for `reloading.Newest`: a folder of documents."""

    settles = True

    def __init__(self, folder: Path, embeddings: Embeddings | None, reader: Reader | None = None) -> None:
        """`reader`: None keeps nothing on disk."""
        self._folder = folder
        self._embeddings = embeddings
        self._reader = reader or Reader()
        self._known: dict[State, _Item | str] = {}  # or why it cannot be read

    def state(self) -> list[State]:
        """Names, sizes and times of the files. Raises StartupError if there is no folder."""
        if not self._folder.is_dir():
            raise StartupError(f"no documents folder at {self._folder}; name a folder of {KINDS} files")
        found = []
        for path in visible_files(self._folder):
            with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                found.append(state(path))
        return found

    def load(self, progress: Progress[Shelf]) -> Shelf:
        """Load the documents; unchanged files are not read again.

        Raises StartupError if the folder does not exist or has no readable document.
        """
        states = {Path(each[0]): each for each in self.state()}
        items = {path: self._known[each] for path, each in states.items() if each in self._known}
        progress.tell(lambda: f"{len(items)} of {len(states)} files read")
        is_small = sum(each[2] for each in states.values()) < SMALL_BYTES
        began, due, offered = time.monotonic(), PART_OF_SMALL_AFTER_S if is_small else PART_AFTER_S, 0
        for read in self._reader.read_all([each for each in states if each not in items]):
            items |= {path: self._item(path, reading) for path, reading in read.items()}
            if (now := time.monotonic() - began) > due and len(items) > offered:
                progress.offer(self._shelf(items, is_partial=True))
                due, offered = now * MORE_AFTER, len(items)
        self._known = {states[path]: item for path, item in items.items()}
        self._reader.forget_unused()
        shelf = self._shelf(items)
        for line in shelf.library.skipped:
            logging.getLogger(__name__).warning("not searchable, or not in full: %s", line)
        if not shelf.library.documents:
            raise StartupError(f"no readable {KINDS} file in {self._folder}{_reasons(shelf.library.skipped)}")
        return shelf

    def _item(self, path: Path, reading: Reading | str) -> _Item | str:
        if isinstance(reading, str):
            return reading
        try:
            return _Item(document_of(reading.raw, path, self._name(path), reading.digest), reading.index)
        except Unreadable as reason:
            return str(reason)
        except OSError as error:  # it has been removed since it was read
            return str(error.strerror)

    def _shelf(self, items: Mapping[Path, _Item | str], *, is_partial: bool = False) -> Shelf:
        """The same at every replica, in whatever order the files were read."""
        ordered = [(self._name(path), items[path]) for path in sorted(items)]
        good = [item for _, item in ordered if isinstance(item, _Item)]
        documents = with_ids(item.document for item in good)
        told = ((name, item if isinstance(item, str) else item.document.note) for name, item in ordered)
        skipped = tuple(f"{name}: {reason}" for name, reason in told if reason)
        passages: list[Passage] = [each for document in documents.values() for each in passages_of(document)]
        embeddings = self._embeddings or "no embeddings endpoint is configured (--embeddings-url)"
        searcher = Searcher(
            passages, [item.index for item in good], "documents are still being read" if is_partial else embeddings
        )
        return Shelf(Library(documents, skipped, is_partial), searcher)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


def _reasons(skipped: tuple[str, ...]) -> str:
    return f" (skipped: {'; '.join(skipped[:3])}{'; ...' if len(skipped) > 3 else ''})" if skipped else ""

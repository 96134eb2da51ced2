"""One version of the documents with its search index, and the folder as a source of versions."""

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path

from mcp_servers.base.reloading import Progress
from mcp_servers.base.serving import StartupError
from mcp_servers.knowledge_base.documents import Library, load, visible_files
from mcp_servers.knowledge_base.embeddings import Embeddings
from mcp_servers.knowledge_base.passages import passages_of
from mcp_servers.knowledge_base.reading import Reader, State, state
from mcp_servers.knowledge_base.search import Searcher


@dataclass(frozen=True)
class Shelf:
    """Documents and the search over them."""

    library: Library
    searcher: Searcher

    @property
    def data_version(self) -> str:
        """A short version that changes when a document does."""
        return self.library.version


class Folder:
    """A source for `reloading.Newest`: a folder of documents."""

    settles = True

    def __init__(self, folder: Path, embeddings: Embeddings | None) -> None:
        self._folder = folder
        self._embeddings = embeddings
        self._reader = Reader()

    def state(self) -> list[State]:
        """Names, sizes and times of the files. Raises StartupError if there is no folder."""
        if not self._folder.is_dir():
            raise StartupError(f"no documents folder at {self._folder}; name a folder of Markdown, HTML or PDF files")
        found = []
        for path in visible_files(self._folder):
            with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                found.append(state(path))
        return found

    def load(self, _: Progress[Shelf]) -> Shelf:
        """Load the documents; unchanged files are not read again. Raises StartupError."""
        self._reader.forget_all_but(self.state())
        library = load(self._folder, self._reader.read)
        for line in library.skipped:
            logging.getLogger(__name__).warning("not searchable, or not in full: %s", line)
        return Shelf(library, Searcher(passages_of(library), self._embeddings))

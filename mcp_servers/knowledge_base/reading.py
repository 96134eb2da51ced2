"""Reads files in bounded processes, once for each content: what was read is kept on disk."""

import contextlib
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import orjson

from mcp_servers.base import bounded, formats
from mcp_servers.base.bounded import Bounded, Died
from mcp_servers.base.formats import RawText, Unreadable
from mcp_servers.knowledge_base.index import Part, unpacked

TIME_LIMIT_S = 60.0  # far beyond what a file within the limits of pages and characters takes
PROCESSES = 2
LOOK_S = 0.1
KEPT_DAYS = 30  # since last used

State = tuple[str, int, int, int, int]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file holds: its text, the index of its passages, and a digest of its name and content."""

    raw: RawText
    index: Part
    digest: str


def state(path: Path) -> State:
    """A value that changes when the file does. Raises OSError."""
    stat = path.stat()
    return (str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


class Reader:
    """Protects the server from hostile files: the process that reads one is killed, and replaced for the next."""

    def __init__(self, folder: Path | None = None, time_limit_s: float = TIME_LIMIT_S) -> None:
        """`folder`: keeps what was read; None keeps nothing. `time_limit_s`: per file."""
        self._folder = folder
        self._time_limit_s = time_limit_s
        self._free = SimpleQueue[Bounded]()
        for _ in range(PROCESSES):
            self._free.put(Bounded("mcp_servers.knowledge_base.reading_worker", str(time_limit_s)))

    def read_all(self, paths: Iterable[Path]) -> Generator[dict[Path, "Reading | str"]]:
        """What the files hold, or why they cannot be read: every `LOOK_S` what has been read since, if anything."""
        with ThreadPoolExecutor(PROCESSES) as threads:
            pending = {threads.submit(self._read, path): path for path in paths}
            try:
                while pending:
                    done, _ = wait(pending, LOOK_S)
                    yield {pending.pop(each): each.result() for each in done}
            finally:
                threads.shutdown(wait=False, cancel_futures=True)

    def forget_unused(self) -> None:
        """Remove what nobody has used for a month."""
        until = time.time() - KEPT_DAYS * 24 * 3600
        for each in self._folder.glob("*.*") if self._folder else ():
            with contextlib.suppress(OSError):
                if each.stat().st_mtime < until:
                    each.unlink()

    def _read(self, path: Path) -> "Reading | str":
        try:
            before = state(path)
            formats.checked_kind(path, before[2])
            digest = hashlib.sha256(_version() + path.name.encode() + path.read_bytes()).hexdigest()
            answer = self._kept(digest)
            if answer is None:
                answer = self._asked(path)
                if state(path) == before:
                    self._keep(digest, answer)
        except Unreadable as reason:
            return str(reason)
        except OSError as error:  # it has been removed since it was listed
            return str(error.strerror)
        if "unreadable" in answer:
            return str(answer["unreadable"])
        raw = answer["raw"]
        pages = tuple((number, text) for number, text in raw.pop("pages"))
        return Reading(RawText(**raw, pages=pages), unpacked(answer["index"]), digest)

    def _asked(self, path: Path) -> dict[str, Any]:
        """What a process answers. Raises `Unreadable` if it ends instead: another time it may not."""
        process = self._free.get()
        try:
            return process.ask({"path": str(path.resolve())})
        except Died as end:
            if end.out_of_time:
                raise Unreadable(f"reading it took more than {self._time_limit_s:g} s; split it") from end
            raise Unreadable(f"reading it took too much memory (code {end.code}); split it") from end
        finally:
            self._free.put(process)

    def _kept(self, digest: str) -> dict[str, Any] | None:
        if self._folder is None:
            return None
        with contextlib.suppress(OSError, ValueError):
            file = self._folder / f"{digest}.json"
            checksum, _, answer = file.read_bytes().partition(b"\n")
            if checksum.decode() == hashlib.sha256(answer).hexdigest():
                os.utime(file)
                kept: dict[str, Any] = orjson.loads(answer)
                return kept
        return None

    def _keep(self, digest: str, answer: dict[str, Any]) -> None:
        if self._folder is None:
            return
        draft = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, draft = tempfile.mkstemp(dir=self._folder, suffix=".draft")
            packed = orjson.dumps(answer)
            with os.fdopen(handle, "wb") as out:
                out.write(hashlib.sha256(packed).hexdigest().encode() + b"\n" + packed)
            Path(draft).replace(self._folder / f"{digest}.json")
        except OSError as error:  # the next start reads it again
            logger.warning("what was read is not kept: %s", error)
            if draft:
                Path(draft).unlink(missing_ok=True)


@cache
def _version() -> bytes:
    """Differs if the same file may be read differently."""
    rooms = (Path(formats.__file__), Path(bounded.__file__), Path(__file__))
    ours = b"".join(file.read_bytes() for room in rooms for file in sorted(room.parent.glob("*.py")))
    libraries = (version(name) for name in ("pypdfium2", "html-to-markdown", "office-oxide", "pyyaml"))
    return hashlib.sha256(ours + " ".join(libraries).encode()).digest()

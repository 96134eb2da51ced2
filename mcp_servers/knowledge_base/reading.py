"""Reads files in a bounded process, and again only if they change."""

from collections.abc import Iterable
from pathlib import Path

from mcp_servers.base.bounded import Bounded, Died
from mcp_servers.base.formats import RawText, Unreadable

TIME_LIMIT_S = 30.0

State = tuple[str, int, int, int, int]


def state(path: Path) -> State:
    """A value that changes when the file does. Raises OSError."""
    stat = path.stat()
    return (str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


class Reader:
    """Protects the server from hostile files: the process that reads one is killed, and replaced for the next.

    Not thread-safe.
    """

    def __init__(self, time_limit_s: float = TIME_LIMIT_S) -> None:
        """`time_limit_s`: per file."""
        self._time_limit_s = time_limit_s
        self._process = Bounded("mcp_servers.knowledge_base.reading_worker", str(time_limit_s))
        self._known: dict[State, RawText | str] = {}

    def read(self, path: Path) -> RawText:
        """The text of the file. Raises `Unreadable`."""
        try:
            now = state(path)
        except OSError as error:
            raise Unreadable(str(error.strerror)) from error
        if now not in self._known:
            self._known[now] = self._read(path)
        found = self._known[now]
        if isinstance(found, str):
            raise Unreadable(found)
        return found

    def forget_all_but(self, states: Iterable[State]) -> None:
        """Drop the texts of files that have changed or are gone."""
        self._known = {each: self._known[each] for each in states if each in self._known}

    def _read(self, path: Path) -> RawText | str:
        """The text, or why it cannot be read."""
        try:
            answer = self._process.ask({"path": str(path.resolve())})
        except Died as end:
            if end.out_of_time:
                return f"reading it took more than {self._time_limit_s:g} s; split it"
            return f"reading it took too much memory (code {end.code}); split it"
        if "unreadable" in answer:
            return str(answer["unreadable"])
        pages = tuple((number, text) for number, text in answer.pop("pages"))
        return RawText(pages=pages, **answer)

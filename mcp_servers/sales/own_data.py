"""Reads a company's data into one DuckDB file: files of any kind, or a folder of them."""

import hashlib
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import duckdb

from mcp_servers.base.reloading import Progress
from mcp_servers.base.serving import StartupError
from mcp_servers.sales import facts, settings, stored
from mcp_servers.sales.database import make
from mcp_servers.sales.loading import PASSING, UNREADABLE, Loader, reason
from mcp_servers.sales.sources import KINDS, SUFFIXES, signature, tables
from mcp_servers.sales.warehouse import Warehouse

LOADER = "3"  # data that an older version loaded are loaded again


class Files:
    """A source for `reloading.Newest`: files, or a folder of them, and the settings of the data."""

    def __init__(self, path: Path, data_dir: Path, time_limit_s: float, settings_file: Path | None = None) -> None:
        self.settles = not _is_sqlite(path)  # SQLite gives a consistent copy during changes
        self._path = path
        self._settings_file = settings_file or settings.place(path)
        self._data_dir = data_dir
        self._time_limit_s = time_limit_s

    def state(self) -> object:
        """Names, sizes and times of the files. Raises StartupError if there are none."""
        try:
            return _state(self._path, self._settings_file)
        except (OSError, StartupError) as error:
            raise _unreadable(self._path, error) from error

    def load(self, progress: Progress[Warehouse]) -> Warehouse:
        """Load the files. Raises StartupError if they cannot be read."""
        return stored.opened(
            lambda: load(self._path, self._data_dir, self._settings_file, progress), self._time_limit_s
        )


def load(
    path: Path, data_dir: Path, settings_file: Path | None = None, progress: Progress[Warehouse] | None = None
) -> tuple[Path, str]:
    """The database to open and the version of its data. Raises StartupError if the data cannot be read.

    The data are copied into `data_dir` once per content of the files, so that the files themselves are not kept open.
    """
    settings_file = settings_file or settings.place(path)
    folder = stored.folder(data_dir)
    try:
        known = stored.Known(folder, (LOADER, path.resolve(), _state(path, settings_file)))
        if version := known.version():  # without reading the files
            return stored.path(data_dir, version), version
        with tempfile.TemporaryDirectory(prefix=".own-", dir=folder) as scratch:
            source = _backup(path, Path(scratch)) if _is_sqlite(path) else path
            before = _state(source, settings_file)
            version = f"own-{_fingerprint(source, settings_file)}"
            database = stored.path(data_dir, version)

            def fill(connection: duckdb.DuckDBPyConnection) -> None:
                _fill(connection, source, settings_file, Path(scratch), progress or Progress())
                if _state(source, settings_file) != before:  # the name of the database is the digest of its content
                    raise StartupError("it changed while it was read; try again when it is no longer written to")

            make(database, fill)
            known.remember(version)
    except (*PASSING, *UNREADABLE) as error:
        raise _unreadable(path, error) from error
    return database, version


def _fill(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    settings_file: Path,
    scratch: Path,
    progress: Progress[Warehouse],
) -> None:
    read = settings.read(settings_file)
    loader = Loader(connection, read, settings_file)
    files = _files(path)
    for number, file in enumerate(files):
        done = f"{number} of {len(files)} files, {file.name}"
        progress.tell(lambda done=done: f"{done}: {max(connection.query_progress(), 0):.0f} %")  # type: ignore[misc]
        with tempfile.TemporaryDirectory(dir=scratch) as of_file, loader.leaving_out(file.name):
            loader.load(tables(connection, file, settings_file, Path(of_file)), Path(of_file))
    loader.finish()
    facts.prepare(connection, read)


def _unreadable(path: Path, error: Exception) -> StartupError:
    told = reason(error) if str(path) not in reason(error) else reason(error).replace(str(path), "it")
    return StartupError(f"cannot read {path}: {told}" + ("" if isinstance(error, StartupError) else f"; give {KINDS}"))


def _is_sqlite(path: Path) -> bool:
    try:
        return path.is_file() and signature(path) == "SQLite"
    except (OSError, StartupError):  # reported when it is read
        return False


def _backup(path: Path, folder: Path) -> Path:
    """A consistent copy of an SQLite database with its log applied. Raises sqlite3.Error."""
    copy = folder / path.name
    with (
        closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
        target.execute("PRAGMA journal_mode = delete")  # else reading the copy creates a log beside it
    return copy


def _state(path: Path, settings_file: Path) -> list[tuple[str, int, int, int, int]]:
    """Includes inode and ctime: a file may be replaced by one of the same size and mtime."""
    stats = [(file.name, file.stat()) for file in _all(path, settings_file)]
    return [(name, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in stats]


def _fingerprint(path: Path, settings_file: Path) -> str:
    """A digest of names and contents: the same on every replica, wherever its files are."""
    seen = hashlib.sha256(LOADER.encode())
    for file in _all(path, settings_file):
        with file.open("rb") as content:
            seen.update(f"{file.name}|{hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return seen.hexdigest()[:10]


def _all(path: Path, settings_file: Path) -> list[Path]:
    """Each file, its SQLite or DuckDB write-ahead log, and the settings."""
    files = _files(path)
    near = [file.with_name(f"{file.name}{log}") for file in files for log in ("", "-wal", ".wal")] + [settings_file]
    return [each for each in near if each in files or each.exists()]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if Path(file.name.removesuffix(".gz")).suffix.lower() in SUFFIXES)
    if not found:
        raise StartupError(f"the folder has no file that can be read; give {KINDS}")
    return found

"""Stores data as DuckDB files: one per version, named by its content; old ones are removed.

Several servers may share the folder. A server keeps its file open, so another may remove it at any time.
"""

import contextlib
import hashlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from mcp_servers.base.serving import StartupError
from mcp_servers.sales.warehouse import Warehouse

ATTEMPTS = 3
STATES_KEPT = 20
ABANDONED_S = 3600.0


def folder(data_dir: Path) -> Path:
    """The folder of all versions, created if needed, readable by its owner only. Raises StartupError."""
    found = data_dir / "sales"
    try:
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(PermissionError):  # another user owns it, and has given us access
            found.chmod(0o700)
    except OSError as error:
        raise StartupError(f"cannot write to {data_dir} ({error.strerror}); choose another with --data-dir") from error
    return found


class Known:
    """Which version of the data a state of their files is, so that an unchanged file need not be read to know it.

    Kept for the last few states, beside the folder. Servers that write at once lose an entry, which costs a second.
    """

    def __init__(self, folder: Path, state: object) -> None:
        self._file = folder.with_suffix(".known")
        self._folder = folder
        self._state = hashlib.sha256(repr(state).encode()).hexdigest()[:20]

    def version(self) -> str | None:
        """The version, if its database is there."""
        version = dict(line.split() for line in self._lines()).get(self._state)
        return version if version and (self._folder / f"{version}.duckdb").exists() else None

    def remember(self, version: str) -> None:
        """Keep the version for the next start."""
        self._file.write_text("".join([*self._lines()[-STATES_KEPT:], f"{self._state} {version}\n"]))

    def _lines(self) -> list[str]:
        with contextlib.suppress(OSError):
            return [line for line in self._file.read_text().splitlines(keepends=True) if len(line.split()) == 2]
        return []


def path(data_dir: Path, version: str) -> Path:
    """The file of a version, `own-...`."""
    return folder(data_dir) / f"{version}.duckdb"


def opened(make: Callable[[], tuple[Path, str]], time_limit_s: float) -> Warehouse:
    """Open the database whose path and version `make` returns, and remove other versions."""
    import duckdb  # noqa: PLC0415  the server starts without it

    for attempt in range(ATTEMPTS):
        made = make()
        try:
            warehouse = Warehouse(lambda: made, time_limit_s).opened()  # noqa: B023  opened here and now
        except (duckdb.Error, OSError) as error:  # damaged, or just removed by another server: make it again
            made[0].unlink(missing_ok=True)
            if attempt == ATTEMPTS - 1:
                raise StartupError(f"cannot open {made[0]}: {error}") from error
        else:
            _tidy(made[0])
            return warehouse
    raise AssertionError


def _tidy(current: Path) -> None:
    for old in current.parent.glob("own-*.duckdb*"):
        if old != current:
            old.unlink(missing_ok=True)
    for draft in current.parent.glob(".own-*"):  # left by a server that was killed while writing
        try:
            abandoned = draft.stat().st_mtime < time.time() - ABANDONED_S
        except FileNotFoundError:  # it has just been finished
            continue
        if abandoned:
            shutil.rmtree(draft) if draft.is_dir() else draft.unlink(missing_ok=True)

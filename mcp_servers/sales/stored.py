"""Stores data as DuckDB files: one per version, named by its content; old ones are removed.

Several servers may share the folder. A server keeps its file open, so another may remove it at any time.
"""

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from mcp_servers.base.serving import StartupError
from mcp_servers.sales.warehouse import Warehouse

ATTEMPTS = 3
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

"""Opens a DuckDB file for reading only, and writes a new one so that no reader ever sees half of it."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb

MEMORY_LIMIT_MB = 256
STATEMENT_LIMIT_S = 10  # a thread that nobody waits for any more is free again by then


def open_locked(path: Path) -> duckdb.DuckDBPyConnection:
    """A read-only connection that reaches no other file, no network and no extension, and cannot undo that.

    Raises duckdb.Error when the file is not a readable database.
    """
    return duckdb.connect(
        str(path),
        read_only=True,
        config={
            "enable_external_access": False,
            "autoload_known_extensions": False,
            "autoinstall_known_extensions": False,
            "allow_community_extensions": False,
            "python_enable_replacements": False,
            "temp_directory": "",
            "max_execution_time": 1000 * STATEMENT_LIMIT_S,
            "memory_limit": f"{MEMORY_LIMIT_MB}MB",
            "threads": 2,
            "lock_configuration": True,
        },
    )


def write_atomically(path: Path, fill: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
    """Create the database with `fill` beside `path`, then move it there. Two writers at once are fine."""
    with _draft(path) as draft, duckdb.connect(str(draft), config={"threads": 1}) as connection:
        fill(connection)


def copy_atomically(source: Path, path: Path, check: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
    """Copy a database with its log, move it to `path` when `check` raises nothing.

    Raises duckdb.Error when it is none, or while another program has it open for writing.
    """
    log = source.with_name(f"{source.name}.wal")
    with _draft(path) as draft:
        with open_locked(source):  # nobody can open it for writing meanwhile
            if log.exists():
                shutil.copyfile(log, draft.with_name(f"{draft.name}.wal"))
            shutil.copyfile(source, draft)
        with duckdb.connect(str(draft), config={"threads": 1}) as connection:  # takes the log in
            check(connection)


@contextlib.contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """A file beside `path` that is moved there at the end, or removed when something is raised."""
    draft = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield draft
        draft.replace(path)
    finally:
        for leftover in path.parent.glob(f"{draft.name}*"):
            leftover.unlink(missing_ok=True)

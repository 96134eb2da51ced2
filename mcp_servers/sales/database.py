"""Opens DuckDB files read-only, and writes them atomically."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb

MEMORY_LIMIT_MB = 256
STATEMENT_LIMIT_S = 10  # frees threads that nobody waits for any more


def open_locked(path: Path) -> duckdb.DuckDBPyConnection:
    """A read-only connection, locked without access to other files, the network and extensions.

    Raises duckdb.Error if the file is not a readable database.
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
    """Create the database with `fill` in a temporary file, then move it to `path`. Concurrent writers are fine."""
    with _draft(path) as draft, duckdb.connect(str(draft), config={"threads": 1}) as connection:
        fill(connection)


def copy_atomically(source: Path, path: Path, check: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
    """Copy a database with its write-ahead log, and move it to `path` unless `check` raises.

    Raises duckdb.Error if it is not a database, or is open for writing elsewhere.
    """
    log = source.with_name(f"{source.name}.wal")
    with _draft(path) as draft:
        with open_locked(source):  # blocks writers meanwhile
            if log.exists():
                shutil.copyfile(log, draft.with_name(f"{draft.name}.wal"))
            shutil.copyfile(source, draft)
        with duckdb.connect(str(draft), config={"threads": 1}) as connection:  # applies the log
            check(connection)


@contextlib.contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """A temporary file that is moved to `path` at the end, or removed on an exception."""
    draft = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield draft
        draft.replace(path)
    finally:
        for leftover in path.parent.glob(f"{draft.name}*"):
            leftover.unlink(missing_ok=True)

"""Opens DuckDB files read-only, and makes them: a killed load goes on where it was."""

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb

MEMORY_LIMIT_MB = 256
STATEMENT_LIMIT_S = 10  # frees threads that nobody waits for any more

Config = dict[str, str | bool | int | float | list[str]]

# Without access to other files, the network and extensions.
CLOSED: Config = {
    "enable_external_access": False,
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
    "threads": 1,
    "memory_limit": f"{MEMORY_LIMIT_MB}MB",
}
LOADING: Config = CLOSED | {"enable_external_access": True, "threads": 2}


def open_locked(path: Path, threads: int = 2) -> duckdb.DuckDBPyConnection:
    """A read-only connection, locked without access to other files, the network and extensions.

    Raises duckdb.Error if the file is not a readable database.
    """
    return duckdb.connect(
        str(path),
        read_only=True,
        config=CLOSED
        | {
            "temp_directory": "",
            "max_execution_time": 1000 * STATEMENT_LIMIT_S,
            "threads": threads,
            "lock_configuration": True,
        },
    )


def make(path: Path, fill: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
    """Make the database with `fill`, unless it is there; who makes one of the same folder is waited for.

    `fill` finds what a killed process has committed. On an exception nothing is left.
    """
    draft = path.with_name(f".{path.name}")
    with path.parent.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the system releases it, however this process ends
        if path.exists():
            return
        try:
            with duckdb.connect(str(draft), config=LOADING) as connection:
                connection.execute("SET TimeZone = 'UTC'")
                fill(connection)
            draft.replace(path)
        finally:
            for leftover in path.parent.glob(f"{draft.name}*"):
                leftover.unlink(missing_ok=True)


def copy_database(source: Path, copy: Path) -> None:
    """Copy a database with its write-ahead log.

    Raises duckdb.Error if it is not a database, or is open for writing elsewhere.
    """
    log = source.with_name(f"{source.name}.wal")
    with open_locked(source):  # blocks writers meanwhile
        if log.exists():
            shutil.copyfile(log, copy.with_name(f"{copy.name}.wal"))
        shutil.copyfile(source, copy)

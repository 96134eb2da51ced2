"""Folders that are nobody's but their owner's: what is in them are reports, evidence, and copies of own data."""

import contextlib
import os
from pathlib import Path

FOR_US = 0o700


def keep_files_private() -> None:
    """Let whatever this process makes from here on, and the programs that it starts, be read by its owner alone."""
    os.umask(0o777 & ~FOR_US)


def private(folder: Path) -> Path:
    """The folder, made if need be, and closed to others if an earlier version has left it open. Raises OSError."""
    folder.mkdir(mode=FOR_US, parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):  # it is another's, who has let us in
        folder.chmod(FOR_US)
    return folder

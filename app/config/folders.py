"""Private files and folders, for reports, evidence and copies of data."""

import contextlib
import os
from pathlib import Path

FOR_US = 0o700


def keep_files_private() -> None:
    """Let only the owner read files that this process and its children create from now on."""
    os.umask(0o777 & ~FOR_US)


def private(folder: Path) -> Path:
    """Create the folder if needed, and close it to other users. Raises OSError."""
    folder.mkdir(mode=FOR_US, parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):  # another user owns it, and has given us access
        folder.chmod(FOR_US)
    return folder

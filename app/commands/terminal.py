"""What the commands share: exit codes, and how this program was called."""

import shutil
import sys

EXIT = {"completed": 0, "failed": 1, "cancelled": 1, "dead": 1, "partial": 3, "awaiting_human": 4}
FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def program() -> str:
    """How this command was called, so that a printed hint can be pasted."""
    return "tollgate" if shutil.which("tollgate") else sys.argv[0]

"""Typesets a report, given as JSON on stdin, by `typesetting.typ`: the PDF goes to stdout.

A program of its own, for a document may take more time, memory or stack than an API has to spare.
"""

import resource
import sys
from pathlib import Path

import typst

MEMORY = 384 * 1024 * 1024
NOWHERE = "/dev/null"  # where it looks for files: there are none under a file


def main() -> None:
    """The program. What is in the report is data to Typst, never markup; it finds no file and loads nothing."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    template = Path(__file__).with_suffix(".typ").read_bytes()
    report = sys.stdin.buffer.read().decode()
    made: bytes = typst.compile(template, root=NOWHERE, sys_inputs={"report": report})  # type: ignore[type-var]
    sys.stdout.buffer.write(made)


if __name__ == "__main__":
    main()

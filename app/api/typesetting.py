"""Typesets a report, given as JSON on stdin, by `typesetting.typ`: the PDF goes to stdout.

A program of its own, for a document may take more time, memory or stack than an API has to spare. It ends with
`REFUSED` when it is the document that cannot be typeset.
"""

import resource
import sys
import traceback
from pathlib import Path

MEMORY = 256 * 1024 * 1024
NOWHERE = "/dev/null"  # where it looks for files: there are none under a file
REFUSED = 3


def main() -> None:
    """The program. What is in the report is data to Typst, never markup; it finds no file and loads nothing."""
    import typst  # noqa: PLC0415  large, and the API wants only what is above

    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    template = Path(__file__).with_suffix(".typ").read_bytes()
    report = sys.stdin.buffer.read().decode()
    try:
        made: bytes = typst.compile(template, root=NOWHERE, sys_inputs={"report": report})  # type: ignore[type-var]
    except BaseException:  # a panic of Typst is no Exception
        traceback.print_exc()
        sys.exit(REFUSED)
    sys.stdout.buffer.write(made)


if __name__ == "__main__":
    main()

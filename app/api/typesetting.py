"""Typesets a report, given as JSON on stdin, by `typesetting.typ`: the PDF goes to stdout.

A program of its own, for a document may take more time, memory or stack than an API has to spare. It ends with
`REFUSED` when it is the document that cannot be typeset. Characters that no font has are told on stderr and in the PDF.
"""

import re
import resource
import sys
import traceback
from pathlib import Path
from typing import Any, Literal

MEMORY = 256 * 1024 * 1024
NOWHERE = "/dev/null"  # where it looks for files: there are none under a file
REFUSED = 3
ALL_SHOWN: Literal["a-2b"] = "a-2b"  # a standard by which Typst refuses characters that no font has, each by name
NOT_SHOWN = re.compile(r'the text `"(.+?)"` could not be displayed')
NO_FONT = "Not all of this report is shown here, for want of a font; as HTML it is. Characters that are missing"
TOLD = 12


def main() -> None:
    """The program. What is in the report is data to Typst, never markup; it finds no file and loads nothing."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    template = Path(__file__).with_suffix(".typ").read_bytes()
    report = sys.stdin.buffer.read().decode()
    try:
        made = _typeset(template, report)
    except BaseException:  # a panic of Typst is no Exception
        traceback.print_exc()
        sys.exit(REFUSED)
    sys.stdout.buffer.write(made)


def _typeset(template: bytes, report: str) -> Any:
    import typst  # noqa: PLC0415  large, and the API wants only what is above

    compiler = typst.Compiler(root=NOWHERE)
    given = {"report": report}
    made = compiler.compile(template, sys_inputs=given)
    try:
        compiler.compile(template, sys_inputs=given, pdf_standards=ALL_SHOWN)  # quick, for all is laid out
    except typst.TypstError as error:
        if missing := _missing(error.diagnostic):
            sys.stderr.write(missing)
            made = compiler.compile(template, sys_inputs={**given, "missing": missing})
    return made


def _missing(diagnostic: str) -> str:
    """Says which characters no font has; "" when all are shown."""
    codes = dict.fromkeys(code for text in NOT_SHOWN.findall(diagnostic) for code in _codes(text))
    named = [f"U+{code:04X}" for code in codes]
    more = f" and {len(named) - TOLD} more" if len(named) > TOLD else ""
    return f"{NO_FONT}: {', '.join(named[:TOLD])}{more}." if named else ""


def _codes(text: str) -> list[int]:
    """Of the characters of a text that is quoted as Rust does it: `\\u{e31}`."""
    return [ord(each) for each in re.sub(r"\\u\{(\w+)\}", lambda found: chr(int(found[1], 16)), text)]


if __name__ == "__main__":
    main()

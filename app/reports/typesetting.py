"""Typesets a report, given as JSON on stdin, with `typesetting.typ`, and writes the PDF to stdout.

Given `{"pictures": [SVG, ...]}` instead, it draws each and writes a JSON list of PNGs in Base64.

A separate program, because a document may take more time, memory or stack than an API can spare. It exits with
`REFUSED` if the document cannot be typeset. Characters without a font are listed on stderr and in the PDF.
"""

import base64
import json
import re
import resource
import sys
import traceback
from pathlib import Path
from typing import Any, Literal

MEMORY = 256 * 1024 * 1024
NOWHERE = "/dev/null"  # the root for file access: there are no files under a file
REFUSED = 3
# To be kept (PDF/A-2a) and read by all (PDF/UA-1). By these Typst rejects characters without a font, each by name.
ACCESSIBLE: tuple[Literal["a-2a"], Literal["ua-1"]] = ("a-2a", "ua-1")
PICTURES, PPI = '{"pictures":', 180  # what asks for pictures begins so
_DRAW = b"""#set page(width: auto, height: auto, margin: 0pt)
#for each in json(bytes(sys.inputs.given)).pictures { page(image(bytes(each), format: "svg", width: 17cm)) }"""
NOT_SHOWN = re.compile(r'the text `"(.+?)"` could not be displayed')
NO_FONT = "Some characters of this report have no font here; the HTML report shows all. Missing characters"
TOLD = 12


def main() -> None:
    """The program. To Typst the report is data, never markup; it can load no files."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    given = sys.stdin.buffer.read().decode()
    try:
        made = _drawn(given) if given.startswith(PICTURES) else _typeset(given)
    except BaseException:  # a panic of Typst is not an Exception
        traceback.print_exc()
        sys.exit(REFUSED)
    sys.stdout.buffer.write(made)


def _drawn(given: str) -> bytes:
    import typst  # noqa: PLC0415

    made = typst.Compiler(root=NOWHERE).compile(_DRAW, format="png", ppi=PPI, sys_inputs={"given": given})
    pages = made if isinstance(made, list) else [made]
    return json.dumps([base64.b64encode(each or b"").decode() for each in pages]).encode()


def _typeset(report: str) -> Any:
    import typst  # noqa: PLC0415  large, and the API needs only the constants

    template = Path(__file__).with_suffix(".typ").read_bytes()
    compiler = typst.Compiler(root=NOWHERE)
    given = {"report": report}
    try:
        return compiler.compile(template, sys_inputs=given, pdf_standards=[*ACCESSIBLE])
    except typst.TypstError as error:
        missing = _missing(error.diagnostic)
        sys.stderr.write(missing)
    return compiler.compile(template, sys_inputs={**given, "missing": missing})  # still tagged


def _missing(diagnostic: str) -> str:
    """Lists characters without a font; "" if there are none."""
    codes = dict.fromkeys(code for text in NOT_SHOWN.findall(diagnostic) for code in _codes(text))
    named = [f"U+{code:04X}" for code in codes]
    more = f" and {len(named) - TOLD} more" if len(named) > TOLD else ""
    return f"{NO_FONT}: {', '.join(named[:TOLD])}{more}." if named else ""


def _codes(text: str) -> list[int]:
    """Code points of a text with Rust's escapes: `\\u{e31}`."""
    return [ord(each) for each in re.sub(r"\\u\{(\w+)\}", lambda found: chr(int(found[1], 16)), text)]


if __name__ == "__main__":
    main()

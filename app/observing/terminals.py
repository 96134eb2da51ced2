"""Untrusted text on a terminal: control sequences are replaced by a visible sign.

Text from questions, documents, models and servers can contain sequences that set the title, write the clipboard, clear
the screen or reverse lines. Everything our programs print passes here; files do not.
"""

import re
import sys
from collections.abc import Iterable
from typing import Any, TextIO, cast

SHOWN = "\N{REPLACEMENT CHARACTER}"
_ORDERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 except tab and newline, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional marks, embeddings, overrides and isolates
    "\u2028\u2029\ud800-\udfff]"  # separators of lines and paragraphs; halves of surrogate pairs
)


def harmless(text: str) -> str:
    """The text without control characters, except tabs and newlines."""
    return _ORDERS.sub(SHOWN, text.replace("\r\n", "\n"))


def harmless_json(document: str) -> str:
    """An equivalent JSON document with such characters escaped, as they can only be in its strings."""
    return _ORDERS.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


class Harmless:
    """A text stream that makes all output harmless. It says that it is not a terminal, so that nobody sends it colours;
    `raw` is for writers of already harmless text with our own colours."""

    def __init__(self, stream: TextIO) -> None:
        self.raw = stream

    def write(self, text: str) -> int:
        self.raw.write(harmless(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


def keep_terminals_harmless() -> None:
    """Make everything that this process prints harmless from now on, including tracebacks and log lines."""
    sys.stdout = cast("TextIO", Harmless(raw(sys.stdout)))
    sys.stderr = cast("TextIO", Harmless(raw(sys.stderr)))


def raw(stream: TextIO) -> TextIO:
    """The underlying stream."""
    return stream.raw if isinstance(stream, Harmless) else stream

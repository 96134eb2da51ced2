"""Text of others on a terminal: what would be an order to it is shown as a sign that stands for it.

A question, a document, a model or a server can hold sequences that set the title, write the clipboard, clear the screen
or turn lines around. All that our programs print passes here; what they write to files does not.
"""

import re
import sys
from collections.abc import Iterable
from typing import Any, TextIO, cast

SHOWN = "\N{REPLACEMENT CHARACTER}"
_ORDERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional marks, embeddings, overrides and isolates
    "\u2028\u2029\ud800-\udfff]"  # separators of lines and paragraphs; halves of surrogate pairs
)


def harmless(text: str) -> str:
    """The text without control characters, but for tabs and newlines."""
    return _ORDERS.sub(SHOWN, text.replace("\r\n", "\n"))


def harmless_json(document: str) -> str:
    """A JSON document that says the same, with such characters escaped: they can only be in its strings."""
    return _ORDERS.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


class Harmless:
    """A text stream to which nothing else can be written. It is no terminal to whoever asks, so that nobody sends it
    colours; `raw` is for those who write what `harmless` gave and colours of their own."""

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
    """Let all that this process prints from here on be harmless, tracebacks and log lines included."""
    sys.stdout = cast("TextIO", Harmless(raw(sys.stdout)))
    sys.stderr = cast("TextIO", Harmless(raw(sys.stderr)))


def raw(stream: TextIO) -> TextIO:
    """The stream itself."""
    return stream.raw if isinstance(stream, Harmless) else stream

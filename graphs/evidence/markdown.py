"""How a report's Markdown is parsed, and helpers that inspect or fix its structure."""

import re
from itertools import pairwise

from markdown_it import MarkdownIt

MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
DEEPEST = 12  # levels; a list takes two. Parsers stop at 20 or 100 and drop the rest
_AFTER = "\n\nafter"
_MARKER = r"(?:>|(?:[-+*]|\d{1,9}[.)])(?=\s|$))"
_NESTED = re.compile(rf"^[^\S\n]*(?:({_MARKER})[^\S\n]*)?({_MARKER})?", re.MULTILINE)


def closed(text: str) -> str:
    """The text, fixed so that it does not affect text after it.

    An open fence is closed; what is nested too deeply is flattened.
    """
    tokens = MARKDOWN.parse(text + _AFTER)
    if any(token.level > DEEPEST for token in tokens):
        return closed(_NESTED.sub(_flat, text))
    return f"{text}\n{tokens[-1].markup}" if tokens[-1].type == "fence" else text


def _flat(line: re.Match[str]) -> str:
    """The start of a line in at most one list or quote: the second marker becomes text."""
    first, second = line[1], line[2] or ""
    return f"{first} " * bool(first) + second[:-1] + "\\" * bool(second) + second[-1:]


def below(text: str, title: str) -> range:
    """The section with this title, as a range of characters up to the next heading outside it."""
    lines = [0, *(each.end() for each in re.finditer(r"\r\n?|\n", text)), len(text)]
    begin, level = None, ""
    for token, inline in pairwise(MARKDOWN.parse(text)):
        if token.type == "heading_open" and token.level == 0 and token.map:
            if begin is not None and token.tag <= level:
                return range(begin, lines[token.map[0]])
            if begin is None and inline.content.strip(" :*_") == title:
                begin, level = lines[token.map[1]], token.tag
    return range(0) if begin is None else range(begin, len(text))

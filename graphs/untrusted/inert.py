"""Makes untrusted text harmless as Markdown: nothing in it loads, links or is HTML. All of it stays readable.

Reports are read in editors, terminals, chats and on web pages, which render text differently. Viewing an image sends
its address to its server, so only our own charts are allowed; a link leads to a source of the report, or nowhere.
"""

import re
from collections.abc import Collection

_TEXT = r"\[[^\[\]<>\n]*\]"
CHART = rf"!{_TEXT}\(E\d+\.svg\)"  # a chart in a report
_ADDRESS = re.compile(r"https?://[^\s<>()\[\]\"'`\\|{}^]+")
_ENDS = r"(?=[.,;:!?*_]*(?:[\s<>()\[\]\"'`|]|$))"
_LINKED = {
    r"(?<=[\w+.-]):(?=//)": "[:]",  # no program links https[:]//evil.example
    r"[wW]{3}\.": "www[.]",
    r"(?<=\w)@(?=[\w-]+\.)": "[at]",
}
_LIVE = _LINKED | {
    r"\](?=[(:])": "]\\",  # no link, no image, and no definition that would turn citations into links
    r"<(?=[A-Za-z/!?])": "&lt;",
}
# Markup within a line: emphasis, code, entities, brackets (parsers lose count of them), and what begins a block or ends
# a heading.
_MARKUP = re.compile(
    r"^(\d{1,9})(?=[.)](?:\s|$))|[\\`*\[]|~(?=~)|(?<=~)~|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)|^>|^[#+-](?=[\s#+-]|$)|#(?=#*$)"
)
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")


def inert(text: str, sources: Collection[str] = ()) -> str:
    """The text with links only to these addresses, and with no images except charts by evidence id."""
    known = "|".join(re.escape(each) for each in sources if is_address(each)) or r"(?!)"
    kept = rf"{CHART}|(?<!!){_TEXT}\((?:{known})\)|(?<![\w/])(?:{known}){_ENDS}"
    live = "|".join(f"({pattern})" for pattern in _LIVE)
    written = list(_LIVE.values())
    seen = _UNSEEN.sub("", text)  # first: removed later, it would join parts that are harmless apart
    return re.sub(rf"{kept}|{live}", lambda match: written[match.lastindex - 1] if match.lastindex else match[0], seen)


def one_line(text: str) -> str:
    """The same for a title, a list item or the like: it starts no block, reads as written, and has no links."""
    seen = _UNSEEN.sub("", " ".join(text.split())).strip()
    return inert(_MARKUP.sub(lambda mark: f"{mark[1]}\\" if mark[1] else f"\\{mark[0]}", seen))


def unlinked(code: str) -> str:
    """Text for a code span, with no address that a terminal or an editor would make a link of."""
    code = _UNSEEN.sub("", code)
    for pattern, harmless in _LINKED.items():
        code = re.sub(pattern, harmless, code)
    return code


def is_address(text: str) -> bool:
    """Whether the text is one plain web address, which Markdown may link."""
    return _ADDRESS.fullmatch(text) is not None

"""A report as one self-contained HTML page: nothing is loaded and nothing runs. Its policy says so to the browser.

A number or citation opens the evidence that carries it as a popover, which the browser does by itself.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it.token import Token
from markupsafe import Markup, escape

from app.reports.carriers import CARRIER, ROWS, Carrier
from app.reports.document import Document
from app.reports.drawing import svg
from app.reports.exhibits import Cell, Exhibit, Line, exhibit, lines_around, rows_around
from app.reports.figures import FIGURE
from app.reports.sources import Source
from graphs.evidence.markdown import MARKDOWN

HERE = Path(__file__).parent
CHARS = 200_000  # of a text: all that the store has
_TEMPLATES = Environment(
    loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
STYLE = "\n" + (HERE / "page.css").read_text(encoding="utf-8")
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_OF_THE_FILE = f"default-src 'none'; img-src data:; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"
POLICY = f"{_OF_THE_FILE}; frame-ancestors 'none'; sandbox"


class _Peek(NamedTuple):
    """A popover: a place in the evidence, its source, and what is around it."""

    place: Carrier
    source: Source
    shown: Exhibit
    rows: list[list[Cell]]
    lines: list[Line]


def page(document: Document) -> str:
    """The page."""
    by_id = {each.id: each for each in document.sources}
    exhibits = _exhibits(document)
    places = sorted(each for each in document.carriers if each.evidence in by_id)
    peeks = [_peek(each, by_id[each.evidence], exhibits[each.evidence]) for each in places]
    shown = {place.anchor: f"Source {by_id[place.evidence].number}: {by_id[place.evidence].words}" for place in places}

    def html(tokens: Sequence[Token]) -> Markup:
        return _html(tokens, document, shown)

    given = {"d": document, "html": html, "exhibits": exhibits, "peeks": peeks, "style": Markup(STYLE)}  # noqa: S704  ours
    return str(_module(**given, policy=_OF_THE_FILE).whole()).lstrip()


def article(document: Document) -> str:
    """The report from its body on, for a page of ours: links lead to the evidence further down."""

    def html(tokens: Sequence[Token]) -> Markup:
        return _html(tokens, document, {})

    return str(_module(d=document, html=html, exhibits=_exhibits(document)).article())


def _module(**given: Any) -> Any:
    return _TEMPLATES.get_template("page.html").make_module({"peeks": [], "style": "", "policy": "", **given})


def _exhibits(document: Document) -> dict[str, Exhibit]:
    return {name: exhibit(name, each, document.carriers, ROWS, CHARS) for name, each in document.evidence.items()}


def _peek(place: Carrier, source: Source, shown: Exhibit) -> _Peek:
    return _Peek(place, source, shown, rows_around(shown, place), lines_around(shown, place))


def _html(tokens: Sequence[Token], document: Document, peeks: dict[str, str]) -> Markup:
    made = [each for token in tokens for each in _shown(token, document, peeks)]
    return Markup(MARKDOWN.renderer.render(made, MARKDOWN.options, {}))  # noqa: S704  escaped by the renderer


def _shown(token: Token, document: Document, peeks: dict[str, str]) -> list[Token]:
    """The token as HTML needs it. Tokens of the document stay as they are: other forms show them, too."""
    shown = [token]
    match token.type:
        case "table_open":
            shown = [_ours('<div class="scroll" tabindex="0" role="region" aria-label="Table">'), token]
        case "table_close":
            shown = [token, _ours("</div>")]
        case "inline":
            children = [each for child in token.children or [] for each in _shown(child, document, peeks)]
            shown = [token.copy(children=_kept(_closed(children)))]
        case "image":
            chart = document.evidence[token.meta["chart"]].svg or ""
            address = f"data:image/svg+xml;base64,{base64.b64encode(chart.encode()).decode()}"
            shown = [token.copy(attrs={**token.attrs, "src": address})]
        case "link_open" if CARRIER in token.meta:
            anchor = token.meta[CARRIER].anchor
            shown = [_opener(anchor, peeks[anchor])] if anchor in peeks else shown
        case "link_open":
            shown = [token.copy(attrs={**token.attrs, "rel": "noreferrer"})]
        case "figure":
            shown = [_ours(_figure(token))]
    return shown


def _opener(anchor: str, says: str) -> Token:
    """A button that opens a popover: by a click or key everywhere, by hovering where the browser can."""
    name = f"peek-{anchor}"
    told = {
        "type": "button",
        "class": "cite",
        "popovertarget": name,
        "popovertargetaction": "show",
        "interestfor": name,
    }
    return Token("link_open", "button", 1, attrs={**told, "data-source": says})


def _closed(children: list[Token]) -> list[Token]:
    """The same, with the end of each link as that of its beginning."""
    made, tag = [], "a"
    for each in children:
        tag = each.tag if each.type == "link_open" else tag
        made.append(each.copy(tag=tag) if each.type == "link_close" else each)
    return made


def _kept(children: list[Token]) -> list[Token]:
    """Keep a button on the line of the punctuation around it: a line may break at a button even inside of a word."""
    made: list[Token] = []
    for each in children:
        before = re.search(r"[^\s\w]+$", made[-1].content) if made and made[-1].type == "text" else None
        after = re.match(r"[^\s\w]+", each.content) if each.type == "text" and _ends_button(made) else None
        if each.type == "link_open" and each.tag == "button":
            if before:
                made[-1] = made[-1].copy(content=made[-1].content[: before.start()])
            made += [_ours('<span class="keep">'), Token("text", "", 0, content=before[0] if before else ""), each]
        elif _ends_button(made):
            made += [Token("text", "", 0, content=after[0] if after else ""), _ours("</span>")]
            made.append(each.copy(content=each.content[after.end() :]) if after else each)
        else:
            made.append(each)
    return [*made, _ours("</span>")] if _ends_button(made) else made


def _ends_button(made: list[Token]) -> bool:
    return bool(made) and made[-1].type == "link_close" and made[-1].tag == "button"


def _figure(token: Token) -> str:
    return f"<figure>{svg(token.meta[FIGURE])}<figcaption>{escape(token.content)}</figcaption></figure>\n"


def _ours(markup: str) -> Token:
    return Token("html_block", "", 0, content=markup)

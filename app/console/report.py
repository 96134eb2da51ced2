"""A job's report for reading: each number leads to the place in the evidence that carries it. Pure.

The text comes from a model, so it goes through the same parser as every other form of a report (`report_text`). Links
are added by code, and only where the cited evidence has the number.
"""

import html
import itertools
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from markdown_it.token import Token

from app.api.report_page import inlined
from app.api.report_text import parsed
from graphs.evidence.markdown import MARKDOWN
from graphs.evidence.numbers import Quantity, is_known, numbers_in, quantities
from graphs.evidence.rendering import about
from graphs.evidence.store import Evidence

ROWS = 200  # of a table that are shown
_TITLE = re.compile(r"\A# .*\n")
_CITED = re.compile(r"\[(\d+(?:\s*,\s*\d+)*)\]")
_EVIDENCE = re.compile(r"\(\[(E\d+)\]\(", re.ASCII)
_SOURCE = re.compile(r"^(\d+)\. ", re.MULTILINE)


class Carrier(NamedTuple):
    """The place of a number in evidence: a cell, or without one the whole."""

    evidence: str
    row: int = -1
    column: int = -1

    @property
    def anchor(self) -> str:
        """The id of the place on the page."""
        return self.evidence if self.row < 0 else f"{self.evidence}-{self.row}-{self.column}"


def linked(text: str, evidence: Mapping[str, Evidence]) -> tuple[str, str]:
    """The report without its title, and its evidence, as HTML."""
    sources = _sources(text)
    tokens = parsed(_TITLE.sub("", text), evidence)
    inlined(tokens, evidence)
    carriers: set[Carrier] = set()
    for at, token in enumerate(tokens):
        if token.type == "inline":
            rest = _rest_of_row(tokens[at + 1 :])
            token.children = _linked(token.children or [], rest, sources, evidence, carriers)
    body = MARKDOWN.renderer.render(tokens, MARKDOWN.options, {})
    return body, "".join(
        _shown(name, evidence[name], carriers) for name in sorted(evidence, key=lambda each: int(each[1:]))
    )


def _sources(text: str) -> dict[str, str]:
    """The id of the evidence behind each number in brackets, from the list of sources."""
    listed = text.rpartition("\n## Sources\n")[2]
    starts = [*_SOURCE.finditer(listed)]
    ends = [*(each.start() for each in starts[1:]), len(listed)]
    found = {each[1]: _EVIDENCE.search(listed, each.end(), end) for each, end in zip(starts, ends, strict=True)}
    return {number: match[1] for number, match in found.items() if match}


def _rest_of_row(tokens: Sequence[Token]) -> str:
    """The text of the cells that follow in the same row of a table, which cite for the whole row."""
    cells = itertools.takewhile(lambda each: each.type in {"td_open", "td_close", "inline"}, tokens)
    return " ".join(each.content for each in cells)


def _linked(
    tokens: Sequence[Token],
    rest: str,
    sources: Mapping[str, str],
    evidence: Mapping[str, Evidence],
    carriers: set[Carrier],
) -> list[Token]:
    made: list[Token] = []
    for at, token in enumerate(tokens):
        if token.type != "text":
            made.append(token)
            continue
        after = "".join(each.content for each in tokens[at + 1 :]) + rest
        place = 0
        for start, end, target in _links(token.content, after, sources, evidence):
            carriers.add(target)
            made += [_text(token.content[place:start]), *_link(target.anchor, token.content[start:end])]
            place = end
        made.append(_text(token.content[place:]))
    return made


def _links(
    text: str, after: str, sources: Mapping[str, str], evidence: Mapping[str, Evidence]
) -> list[tuple[int, int, Carrier]]:
    """Where links go: numbers to what carries them in the evidence that their sentence cites next, and citations."""
    whole, found, place = text + after, list[tuple[int, int, Carrier]](), 0
    for cited in _CITED.finditer(text):
        if (name := sources.get(cited[1])) and name in evidence:
            found.append((cited.start(), cited.end(), Carrier(name)))
    for quantity in quantities(text):
        start = text.find(quantity.text, place)
        if start < 0:
            continue
        place = start + len(quantity.text)
        if any(begin < place and start < end for begin, end, _ in found):
            continue  # the number of a citation
        after_it = _CITED.search(whole, place)
        names = [sources.get(each.strip(), "") for each in after_it[1].split(",")] if after_it else []
        if carrier := next((it for name in names if (it := _carrier(quantity, name, evidence.get(name)))), None):
            found.append((start, place, carrier))
    return sorted(found)


def _carrier(quantity: Quantity, name: str, evidence: Evidence | None) -> Carrier | None:
    if evidence is None or not is_known(quantity, evidence.numbers):
        return None
    for row, cells in enumerate((evidence.table or ([], []))[1][:ROWS]):
        for column, cell in enumerate(cells):
            if is_known(quantity, _numbers(cell)):
                return Carrier(name, row, column)
    return Carrier(name)


def _numbers(cell: object) -> frozenset[Decimal]:
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return frozenset({abs(Decimal(str(cell)))})
    return numbers_in([cell]) if isinstance(cell, str) else frozenset()


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _link(anchor: str, content: str) -> list[Token]:
    return [Token("link_open", "a", 1, attrs={"href": f"#{anchor}"}), _text(content), Token("link_close", "a", -1)]


def _shown(name: str, evidence: Evidence, carriers: set[Carrier]) -> str:
    """One evidence: a table with the cells that carry numbers marked, or its text."""
    if evidence.table is None:
        inside = f"<pre>{html.escape(evidence.text)}</pre>"
    else:
        columns, rows = evidence.table
        head = "".join(f'<th scope="col">{html.escape(str(each))}</th>' for each in columns)
        lines = [
            "".join(_cell(cell, Carrier(name, row, column), carriers) for column, cell in enumerate(cells))
            for row, cells in enumerate(rows[:ROWS])
        ]
        more = f"<p>{len(rows) - ROWS} more rows</p>" if len(rows) > ROWS else ""
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        inside = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"
    return (
        f'<details id="{name}" class="evidence"><summary>{name}: {html.escape(f"{evidence.server}.{evidence.tool}")}'
        f'</summary><p>{html.escape(about(evidence))}</p><div class="scroll" tabindex="0">{inside}</div></details>'
    )


def _cell(cell: object, place: Carrier, carriers: set[Carrier]) -> str:
    shown = "" if cell is None else html.escape(str(cell))
    return f'<td id="{place.anchor}" class="cited">{shown}</td>' if place in carriers else f"<td>{shown}</td>"

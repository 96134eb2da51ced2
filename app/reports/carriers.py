"""Links each number of a report to the place in the cited evidence that carries it, and each citation to its evidence.

Links are added by code to what `app.reports.text` has parsed, and only where the cited evidence has the number.
"""

import bisect
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from markdown_it.token import Token

from graphs.evidence.numbers import Quantity, is_known, numbers_in, quantities
from graphs.evidence.store import Evidence

ROWS, LINES = 200, 2000  # of a table and of a text that are looked through
CARRIER = "carrier"  # in the `meta` of a link: where it leads
_DIGITS = re.compile(r"\d+")
_CITED = re.compile(r"\[(\d+(?:\s*,\s*\d+)*)\]")


class Carrier(NamedTuple):
    """The place of a number in evidence: a cell of a table, a line of a text, or without either the whole."""

    evidence: str
    row: int = -1
    column: int = -1

    @property
    def anchor(self) -> str:
        """The id of the place in a document."""
        return "-".join([self.evidence, *(str(each) for each in (self.row, self.column) if each >= 0)])


class Places:
    """Which numbers are where in the evidence, looked up once."""

    def __init__(self, evidence: Mapping[str, Evidence]) -> None:
        self._evidence = evidence
        self._numbers: dict[str, tuple[frozenset[Decimal], list[tuple[Carrier, frozenset[Decimal]]]]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._evidence

    def of(self, quantity: Quantity, name: str) -> Carrier | None:
        """The first place in this evidence that carries the quantity; None if the evidence does not support it."""
        if name not in self._evidence:
            return None
        if name not in self._numbers:
            evidence = self._evidence[name]
            places = [(place, found) for place, found in _numbers_of(name, evidence) if found]
            self._numbers[name] = evidence.numbers, places
        supported, places = self._numbers[name]
        if not is_known(quantity, supported):
            return None
        return next((place for place, found in places if is_known(quantity, found)), Carrier(name))


def link(tokens: Sequence[Token], order: Sequence[str], places: Places) -> None:
    """Add the links. `order` has the ids of the evidence by the numbers of their citations, from 1."""
    sources = {str(number): name for number, name in enumerate(order, start=1) if name in places}
    for at, token in enumerate(tokens):
        if token.type == "inline":
            token.children = _linked(token.children or [], _rest_of_row(tokens[at + 1 :]), sources, places)


def carriers(tokens: Sequence[Token]) -> list[Carrier]:
    """Where the links among the tokens lead, in order."""
    found = []
    for token in tokens:
        found += [token.meta[CARRIER]] if CARRIER in token.meta else []
        found += carriers(token.children or [])
    return found


def _rest_of_row(tokens: Sequence[Token]) -> str:
    """The text of the cells that follow in the same row of a table, which cite for the whole row."""
    cells = itertools.takewhile(lambda each: each.type in {"td_open", "td_close", "inline"}, tokens)
    return " ".join(each.content for each in cells)


def _linked(tokens: Sequence[Token], rest: str, sources: Mapping[str, str], places: Places) -> list[Token]:
    whole = "".join(each.content for each in tokens) + rest
    cited = [
        (each.end(), [sources.get(number, "") for number in _DIGITS.findall(each[0])])
        for each in _CITED.finditer(whole)
    ]
    made: list[Token] = []
    inside = begun = 0  # in a link, which cannot hold another; where the token begins
    for token in tokens:
        inside += {"link_open": 1, "link_close": -1}.get(token.type, 0)
        if token.type != "text" or inside:
            made.append(token)
        else:
            place = 0
            for start, end, target in _links(token.content, begun, cited, sources, places):
                made += [_text(token.content[place:start]), *_link(target, token.content[start:end])]
                place = end
            made.append(_text(token.content[place:]))
        begun += len(token.content)
    return made


def _links(
    text: str, begun: int, cited: Sequence[tuple[int, list[str]]], sources: Mapping[str, str], places: Places
) -> list[tuple[int, int, Carrier]]:
    """Where links go: numbers to what carries them in the evidence that is cited next, and citations. `begun` is where
    the text begins, and `cited` where each citation of the block ends and what it names."""
    found, place = list[tuple[int, int, Carrier]](), 0
    citations = [each.span() for each in _CITED.finditer(text)]
    for start, end in citations:
        for number in re.finditer(r"\[?(\d+)\]?", text[start:end]):
            if name := sources.get(number[1]):
                found.append((start + number.start(), start + number.end(), Carrier(name)))
    for quantity in quantities(text):
        start = text.find(quantity.text, place)
        if start < 0:
            continue
        place = start + len(quantity.text)
        if any(begin < place and start < end for begin, end in citations):
            continue  # the number of a citation
        following = bisect.bisect(cited, begun + place, key=lambda each: each[0])
        names = cited[following][1] if following < len(cited) else []
        if carrier := next((it for name in names if (it := places.of(quantity, name))), None):
            found.append((start, place, carrier))
    return sorted(found)


def _numbers_of(name: str, evidence: Evidence) -> Iterator[tuple[Carrier, frozenset[Decimal]]]:
    """The numbers in each cell, or in each line."""
    if evidence.table is None:
        for row, line in enumerate(evidence.text.splitlines()[:LINES]):
            yield Carrier(name, row), numbers_in([line])
        return
    for row, cells in enumerate(evidence.table[1][:ROWS]):
        for column, cell in enumerate(cells):
            yield Carrier(name, row, column), _numbers(cell)


def _numbers(cell: object) -> frozenset[Decimal]:
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return frozenset({abs(Decimal(str(cell)))})
    return numbers_in([cell]) if isinstance(cell, str) else frozenset()


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _link(target: Carrier, content: str) -> list[Token]:
    opens = Token("link_open", "a", 1, attrs={"href": f"#{target.anchor}"}, meta={CARRIER: target})
    return [opens, _text(content), Token("link_close", "a", -1)]

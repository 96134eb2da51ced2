"""Finds where evidence has a number, and what it says there of when, of where, and of its unit.

In a table that is the row, the name of the column, and what surrounds them: title, notes and call, also of the tables
that it was computed on. In prose it is the sentence.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from graphs.evidence.numbers import Quantity, is_known, numbers_in, readings
from graphs.evidence.periods import Period, hull, of_row, periods, placed
from graphs.evidence.places import countries, larger
from graphs.evidence.plain_results import table_of
from graphs.evidence.scales import scale_of
from graphs.evidence.store import Evidence, evidence_ids
from graphs.evidence.units import CODES, of_name, of_number, words

LONGEST_NAME = 60  # characters; a longer cell is prose
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"*(])|\n")
_TAIL_END = re.compile(  # what follows a number directly belongs to it: `5,000 units in 2024`
    r"[,;:()]|\.(?!\w)|\b(?:and|but|while|whereas|than|versus|vs|against|from|over|after|above|below|compared|ahead"
    r"|behind|more|less|fewer|higher|lower)\b",
    re.IGNORECASE,
)
_RELEASED = re.compile(  # `its report of 27 January 2026`
    r"\b(?:report|release|publication|survey|study|edition|outlook|published)(?: (?:of|from|in|on|for|dated))?"
    r"(?: \d\d?)? $",
    re.IGNORECASE,
)
_RELEASE = re.compile(r" (?:report|release|publication|survey|study|edition|outlook)\b", re.IGNORECASE)
_FROM = re.compile(r">|\b(?:since|after|start|begin|min)\w*\"?\s*:", re.IGNORECASE)
_TO = re.compile(r"<|\bbetween\b|\b(?:until|before|end|max)\w*\"?\s*:", re.IGNORECASE)
_NOT = re.compile(r"!=|<>|\bnot\b|\bexclu|\bexcept", re.IGNORECASE)
_DIGIT, _OF_A_YEAR = re.compile(r"\d"), re.compile(r"\d{4}")
_ADDRESS = re.compile(r"https?://\S+")
_VALUES = re.compile(r'"value_column": "([^"]+)"')
_FIRST, _LAST = 0, 12 * 9999
_NONE: frozenset[str] = frozenset()


class Surroundings(NamedTuple):
    """What is said around a row or a sentence.

    Attributes:
        mentioned: every period; `span` is the one that they lie in, open where the call sets no bound.
        words: all words, in lower case.
        measured: the words of the columns that the table was computed on.
        servers: the servers whose data it rests on.
    """

    mentioned: tuple[Period, ...] = ()
    span: tuple[Period, ...] = ()
    countries: frozenset[str] = _NONE
    words: frozenset[str] = _NONE
    measured: frozenset[str] = _NONE
    servers: frozenset[str] = _NONE

    @property
    def currencies(self) -> frozenset[str]:
        """The currencies among the words."""
        return frozenset(each for each in CODES if each.lower() in self.words)


class Carrier(NamedTuple):
    """One place where evidence has a number.

    Attributes:
        shown: the labels of the row, or the sentence.
        periods: those that the row or the sentence names; `exact` if they are a row's, and so what the number is for.
        unit: the number's, if the column's name, a cell with the unit or the sentence says it.
        column: the words of its column's name; `others` those of the other columns.
        names: for each column of names, the row's own and all of them.
    """

    shown: str
    periods: tuple[Period, ...]
    exact: bool
    countries: frozenset[str]
    larger: frozenset[str]
    unit: str | None
    around: Surroundings
    column: frozenset[str] = _NONE
    others: frozenset[str] = _NONE
    names: tuple[tuple[str, frozenset[str]], ...] = ()


def carriers(number: Quantity, evidence: Evidence, stored: Mapping[str, Evidence]) -> Iterator[Carrier]:
    """All places in this evidence that have the number. `stored` has what the evidence was computed on."""
    around = _surroundings(evidence, stored)
    in_rows = list(_in_rows(number, evidence, around))
    yield from in_rows
    if evidence.table is not None:
        yield from _in_prose(number, "\n".join([_title(evidence), *_notes(evidence)]), around)
    elif not in_rows:
        yield from _in_prose(number, evidence.text, Surroundings(countries=countries(_title(evidence))))


def _in_rows(number: Quantity, evidence: Evidence, around: Surroundings) -> Iterator[Carrier]:
    columns, rows = evidence.table or table_of(evidence.text, evidence.content.get("structured")) or ([], [])
    names = _columns_of_names(columns, rows)
    scales = [scale_of(each, _title(evidence)) for each in columns]
    for row in rows:
        for at, cell in enumerate(row):
            if isinstance(cell, str) and len(cell) > LONGEST_NAME:
                yield from _in_prose(number, cell, Surroundings())
            elif any(
                _may_have(number, each) and is_known(number, _in_cell(each)) for each in _scaled(cell, scales[at])
            ):
                yield _of_cell(columns, row, at, names, around)


def dates(text: str, *, loose: bool = False) -> list[tuple[int, int, Period]]:
    """The periods in the text, each with its start and end, but for those of reports and the like."""
    return [
        each
        for each in placed(text, loose=loose)
        if not _RELEASED.search(text[: each[0]]) and not _RELEASE.match(text[each[1] :])
    ]


def tail_end(text: str, start: int, stop: int) -> int:
    """Where the words end that belong to the number before `start`."""
    found = _TAIL_END.search(text, start, stop)
    return found.start() if found else stop


def _scaled(cell: Any, scale: int) -> list[Any]:
    is_number = isinstance(cell, int | float) and not isinstance(cell, bool)
    return [cell, cell * scale] if is_number and scale > 1 else [cell]


def _may_have(number: Quantity, cell: Any) -> bool:
    """A quick look before the exact one: tables have many cells."""
    if isinstance(cell, str):
        return _DIGIT.search(cell) is not None
    if not isinstance(cell, int | float) or isinstance(cell, bool):
        return False
    if number.ranged and _may_have(number.ranged, cell):
        return True
    try:
        size = abs(float(cell))
    except OverflowError:  # JSON has integers of any length
        return True
    reach = float(number.tolerance) * number.scale + 1e-6 * size
    hundredfold = number.percent and abs(size * 100 - float(number.mantissa)) <= reach * 100
    return abs(size - float(number.value)) <= reach or hundredfold


def _in_cell(cell: Any) -> frozenset[Decimal]:
    if not isinstance(cell, str):
        return frozenset({abs(Decimal(str(cell)))})
    return _in_label(cell)


@functools.lru_cache(maxsize=8192)
def _in_label(cell: str) -> frozenset[Decimal]:
    return numbers_in([cell])


def _of_cell(
    columns: list[str], row: list[Any], at: int, names: dict[int, frozenset[str]], around: Surroundings
) -> Carrier:
    column = columns[at].replace("_", " ")
    beside = [(name, cell) for each, (name, cell) in enumerate(zip(columns, row, strict=True)) if each != at]
    labels = [cell for _, cell in beside if isinstance(cell, str) and len(cell) <= LONGEST_NAME]
    own = periods(column, loose=True) or of_row([name for name, _ in beside], [cell for _, cell in beside])
    named = [str(cell) for name, cell in beside if re.search(r"unit|currency", name, re.IGNORECASE)]
    said_units = [unit for each in (columns[at], *named) if (unit := of_name(each))]
    return Carrier(
        shown=", ".join(dict.fromkeys([*labels, *map(str, own)])) or column,
        periods=tuple(own),
        exact=bool(own),
        countries=countries(column) | _NONE.union(*map(countries, labels)) or around.countries,
        larger=larger(column) | _NONE.union(*map(larger, labels)),
        unit=said_units[0] if said_units else None,
        around=around,
        column=words(columns[at]) | (_NONE if said_units else around.measured),
        others=_NONE.union(*(words(name) for name, _ in beside)),
        names=tuple((str(row[each]), known) for each, known in names.items() if each != at and row[each]),
    )


def _in_prose(number: Quantity, text: str, around: Surroundings) -> Iterator[Carrier]:
    for sentence, has in _read(text):
        for each in has:
            if is_known(number, each.values):
                dated = dates(sentence, loose=True) if dates(sentence) else []
                within = [each.start for each in has if not any(start <= each.start < end for start, end, _ in dated)]
                end = tail_end(sentence, each.end, min((at for at in within if at > each.start), default=len(sentence)))
                bound = [period for start, _, period in dated if each.end <= start < end]
                here = countries(sentence)
                yield Carrier(
                    shown=" ".join(sentence.split()),
                    periods=tuple(bound or [period for _, _, period in dated]),
                    exact=False,
                    countries=here | around.countries,
                    larger=larger(sentence),
                    unit=of_number(sentence[: each.start], each.text, sentence[each.end :]),
                    around=around,
                )


@functools.lru_cache(maxsize=128)
def _read(text: str) -> list[tuple[str, list[Quantity]]]:
    """The sentences of the text, without addresses, and the numbers in each."""
    return [(sentence, readings(sentence)) for sentence in _SENTENCE_END.split(_ADDRESS.sub(" ", text))]


def _columns_of_names(columns: list[str], rows: list[list[Any]]) -> dict[int, frozenset[str]]:
    """The columns with at least two different names, by position."""
    found = {
        at: frozenset(cell for row in rows if isinstance(cell := row[at], str) and _is_name(cell))
        for at in range(len(columns))
    }
    return {at: known for at, known in found.items() if len(known) > 1}


def _is_name(cell: str) -> bool:
    return 1 < len(cell) <= LONGEST_NAME and not (_OF_A_YEAR.search(cell) and periods(cell, loose=True))


def _surroundings(evidence: Evidence, stored: Mapping[str, Evidence]) -> Surroundings:
    chain = list(_computed_on(evidence, stored, set()))
    said = "\n".join(
        text for each in chain for text in (_title(each), *_notes(each), json.dumps(each.arguments, ensure_ascii=False))
    )
    mentioned = tuple(periods(said, loose=True))
    return Surroundings(
        mentioned=mentioned,
        span=(_bounded(hull(mentioned), said),) if mentioned else (),
        countries=_NONE if _NOT.search(said) else countries(said),
        words=words(said),
        measured=_NONE.union(*(words(name) for each in chain for name in _VALUES.findall(json.dumps(each.arguments)))),
        servers=frozenset(each.server for each in chain),
    )


def _bounded(span: Period, said: str) -> Period:
    """The span, open on the side on which the call sets no bound."""
    if bool(_FROM.search(said)) == bool(_TO.search(said)):
        return span
    return Period(span.first, _LAST) if _FROM.search(said) else Period(_FIRST, span.last)


def _computed_on(evidence: Evidence, stored: Mapping[str, Evidence], seen: set[str]) -> Iterator[Evidence]:
    """The evidence, and all that it was computed on."""
    yield evidence
    for each in evidence_ids(evidence.arguments):
        if each in stored and each not in seen:
            seen.add(each)
            yield from _computed_on(stored[each], stored, seen)


def _title(evidence: Evidence) -> str:
    return str(evidence.content.get("title", ""))


def _notes(evidence: Evidence) -> list[str]:
    return [str(each) for each in evidence.content.get("notes", [])]

"""Reads a report's citations and finds statements that their evidence does not support."""

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import zip_longest
from types import MappingProxyType
from typing import NamedTuple

from graphs.evidence.numbers import numbers_in, unknown
from graphs.evidence.store import Evidence
from graphs.evidence.support import contradicted
from graphs.untrusted.inert import CHART

_CITATION = re.compile(r"\[(E\d+(?:\s*[,;]\s*E\d+)*)\]")
_CHART = re.compile(CHART)
_LINE = re.compile(r"^.*$", re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"*(])|(?<=\])\s+(?=[A-Z])")
_RULE = re.compile(r"[\s|:-]*")
_BAR = re.compile(r"(?<!\\)\|")
_LAST_BAR = re.compile(r"\s*(?<!\\)\|$")
_OF_TIME = re.compile(r"^$|\b(?:years?|periods?|quarters?|months?|dates?|when|from|to|until|since)\b", re.IGNORECASE)
_YEAR_ALONE = re.compile(r"[\s*_]*\d{4}[\s*_]*")


class Statement(NamedTuple):
    """A sentence, heading, list item or table row without its charts, and its start and end in the body.

    For a table row below the first, `head` is the first row.
    """

    text: str
    start: int
    end: int
    head: str = ""


class Problem(NamedTuple):
    """An unsupported statement or a missing chart, and the reason as the writer is told."""

    statement: Statement
    reason: str


def statements(body: str) -> Iterator[Statement]:
    """The statements of a Markdown text, in order."""
    head = ""
    for line in _LINE.finditer(_CHART.sub(lambda chart: " " * len(chart[0]), body)):
        is_row = line[0].lstrip().startswith("|")
        if not _RULE.fullmatch(line[0]):
            ends = [] if is_row else _SENTENCE_END.finditer(line.string, *line.span())
            for start, end in _parts(line, ends):
                yield Statement(_CHART.sub("", body[start:end]), start, end, head)
        head = (head or line[0]) if is_row else ""


def _parts(line: re.Match[str], ends: Iterable[re.Match[str]]) -> Iterator[tuple[int, int]]:
    """Start and end of the parts of the line between these ends, without surrounding blanks."""
    begin = line.start()
    for stop, following in [*(each.span() for each in ends), (line.end(), line.end())]:
        part = line.string[begin:stop]
        if part.strip():
            yield begin + len(part) - len(part.lstrip()), begin + len(part.rstrip())
        begin = following


def cited(text: str) -> list[str]:
    """Evidence ids in the order of their first citation, charts included."""
    ids = [each for match in _CITATION.finditer(text) for each in re.findall(r"E\d+", match[1])]
    return list(dict.fromkeys([*ids, *(_shown(chart) for chart in _CHART.findall(text))]))


def problems(body: str, evidence: Mapping[str, Evidence], given: Iterable[str]) -> list[Problem]:
    """Statements that cite evidence that was not retrieved, or contain a number that their evidence does not.

    Numbers of the `given` texts (the question, say) may be repeated without evidence.
    """
    allowed = numbers_in(given)
    found = [(each, _fault(each, evidence, allowed)) for each in statements(body)]
    lost = [chart for chart in _CHART.finditer(body) if _shown(chart[0]) not in evidence]
    return [
        *(Problem(statement, reason) for statement, reason in found if reason),
        *(Problem(Statement(each[0], *each.span()), f"there is no chart {_shown(each[0])}") for each in lost),
    ]


def marked(body: str, found: Iterable[Problem], mark: str) -> str:
    """The body with the mark at the end of each of these statements; missing charts are cut."""
    for (_, start, end, _), _ in sorted(found, key=lambda each: each.statement.end, reverse=True):
        told = body[start:end]
        if _CHART.fullmatch(told):
            body = body[:start] + body[end:]
        else:
            last = _LAST_BAR.search(told) if told.startswith("|") else None
            at = start + last.start() if last else end
            body = f"{body[:at]} {mark}{body[at:]}"
    return body


def numbered(body: str, order: Iterable[str], remarks: Mapping[str, str] = MappingProxyType({})) -> str:
    """The body with `[E3, E5]` written as `[1, 2]`, numbered by the given order of ids.

    The remarks on the evidence follow the citation, each once.
    """
    number = {each: str(index) for index, each in enumerate(order, start=1)}

    def renumbered(match: re.Match[str]) -> str:
        ids = re.findall(r"E\d+", match[1])
        cited = "[" + ", ".join(number.get(each, each) for each in ids) + "]"
        remarked = dict.fromkeys(remarks[each] for each in ids if each in remarks)
        return f"{cited} *({'; '.join(remarked)})*" if remarked else cited

    return _CITATION.sub(renumbered, body)


def with_chart_files(body: str, folder: str) -> str:
    """Chart ids written as paths of files in the folder."""
    return _CHART.sub(lambda chart: f"({folder}/".join(chart[0].rsplit("(", 1)), body)


def _shown(chart: str) -> str:
    return chart.rpartition("(")[2].removesuffix(".svg)")


def _fault(statement: Statement, evidence: Mapping[str, Evidence], allowed: frozenset[Decimal]) -> str | None:
    ids = cited(statement.text)
    if missing := [each for each in ids if each not in evidence]:
        return f"there is no evidence {', '.join(missing)}"
    numbers: frozenset[Decimal] = frozenset().union(allowed, *(evidence[each].numbers for each in ids))
    if lacking := unknown(_measures(_CITATION.sub("", statement.text), statement.head), numbers):
        named = ", ".join(ids) or "any evidence cited"
        return f"{', '.join(lacking)} is not in {named}"
    return "; ".join(contradicted(_CITATION.sub("", statement.text), ids, evidence, allowed)) or None


def _measures(text: str, head: str) -> str:
    """The text; for a table row, without the years that are in the first row or in a time column."""
    if not text.startswith("|"):
        return text
    cells = zip_longest(_BAR.split(text), _BAR.split(head), fillvalue="")
    return "|".join("..." if _YEAR_ALONE.fullmatch(cell) and _OF_TIME.search(title) else cell for cell, title in cells)

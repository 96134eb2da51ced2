"""Reads the citations of a report and says which statements their evidence does not carry."""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from graphs.evidence import Evidence
from graphs.numbers import numbers_in, unknown

_CITATION = re.compile(r"\[(E\d+(?:\s*[,;]\s*E\d+)*)\]")
_CHART = re.compile(r"!\[[^\]]*\]\((E\d+)\.svg\)")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"*(])|(?<=\])\s+(?=[A-Z])")
_RULE = re.compile(r"[\s|:-]*")


class Problem(NamedTuple):
    """A statement of the report that does not stand, and why, as it is said to the writer."""

    statement: str
    reason: str


def statements(body: str) -> list[str]:
    """The sentences, headings, table rows and list items of a Markdown text, charts left out."""
    lines = [line.strip() for line in _CHART.sub("", body).splitlines()]
    spoken = [line for line in lines if not _RULE.fullmatch(line)]
    return [part for line in spoken for part in ([line] if line.startswith("|") else _SENTENCE_END.split(line)) if part]


def cited(text: str) -> list[str]:
    """Evidence ids in the order of their first citation, charts included."""
    ids = [each for match in _CITATION.finditer(text) for each in re.findall(r"E\d+", match[1])]
    return list(dict.fromkeys([*ids, *_CHART.findall(text)]))


def problems(body: str, evidence: Mapping[str, Evidence], given: Iterable[str]) -> list[Problem]:
    """Statements that cite what was not retrieved, or hold a number that their evidence does not.

    Numbers of the `given` texts (the question, say) may be repeated without evidence.
    """
    allowed = numbers_in(given)
    found = [(each, _fault(each, evidence, allowed)) for each in statements(body)]
    lost = [match for match in _CHART.finditer(body) if match[1] not in evidence]
    return [
        *(Problem(statement, reason) for statement, reason in dict(found).items() if reason),
        *(Problem(match[0], f"there is no chart {match[1]}") for match in lost),
    ]


def marked(body: str, found: Iterable[Problem], mark: str) -> str:
    """The body with the mark behind each of these statements, wherever it stands; a chart that is not there is cut."""
    for statement, _ in found:
        if _CHART.fullmatch(statement):
            body = body.replace(statement, "")
        elif statement.startswith("|"):
            body = body.replace(statement, f"{statement[:-1].rstrip()} {mark} |")
        else:
            body = body.replace(statement, f"{statement} {mark}")
    return body


def numbered(body: str, order: Iterable[str], remarks: Mapping[str, str] = MappingProxyType({})) -> str:
    """The body with `[E3, E5]` written as `[1, 2]`, numbered by the given order of ids.

    Behind the citation stands what there is to be remarked on its evidence, each remark once.
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
    return _CHART.sub(lambda match: match[0].replace(f"({match[1]}.svg)", f"({folder}/{match[1]}.svg)"), body)


def _fault(statement: str, evidence: Mapping[str, Evidence], allowed: frozenset[Decimal]) -> str | None:
    ids = cited(statement)
    if missing := [each for each in ids if each not in evidence]:
        return f"there is no evidence {', '.join(missing)}"
    numbers: frozenset[Decimal] = frozenset().union(allowed, *(evidence[each].numbers for each in ids))
    if lacking := unknown(_CITATION.sub("", statement), numbers):
        named = ", ".join(ids) or "any evidence cited"
        return f"{', '.join(lacking)} is not in {named}"
    return None

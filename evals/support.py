"""Whether the cited evidence carries a whole statement, and not its number alone. Independent of the product's checks.

In a table the row with the number must fit: it is of a period and of names that the statement says, its column has the
unit and the direction of the number, and what the table was filtered by is said. In prose the sentence with the number
must be of the same period and about the same names, and share words with the statement. It cannot see that a statement
without a number is wrong, nor that two numbers of one fitting row were swapped.
"""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.report_text import CITATION, Number, answer, carries, cited_files, numbers, result_of, statements, values

LEAST_SHARED = 0.3  # of a statement's words, with a sentence in prose
_YEAR = re.compile(r"(?<![\d.,])((?:19|20)\d\d)(?!\d|[.,]\d)")
_CURRENCY = re.compile(r"\b(EUR|USD|GBP|NOK|SEK|CHF|JPY)\b|([€$£])", re.IGNORECASE)
_CURRENCIES = {"€": "eur", "$": "usd", "£": "gbp"}
_LITERAL = re.compile(r"'([^']*)'")
_PERIODS = re.compile(r"year|quarter|month|date|period|time|label", re.IGNORECASE)
_NAME = re.compile(r"\b[A-Z][\w&'-]*[A-Za-z]\b")
_WORD = re.compile(r"[^\W\d_]{4,}")
_SHARE = re.compile(r"pct|percent|share|rate|change|growth", re.IGNORECASE)
FALLING = re.compile(
    r"\b(?:fell|fall|declin|decreas|drop|shr[aiu]nk|lower|down\b|less\b|below|minus)|[-\u2212]\d", re.IGNORECASE
)
RISING = re.compile(r"\b(?:rose|ris(?:e|ing)|gr[eo]w|increas|higher|up\b|above|plus\b|gain)|\+\d", re.IGNORECASE)


@dataclass(frozen=True)
class Said:
    """A statement with the headings above it, the question, and what it names."""

    text: str
    around: str

    @property
    def words(self) -> str:
        return f"{self.around} {self.text}".lower()

    @property
    def years(self) -> set[str]:
        return set(_YEAR.findall(self.text)) or set(_YEAR.findall(self.around))


@dataclass(frozen=True)
class Evidence:
    """An evidence file: its title, the values it was filtered by, and its rows or sentences."""

    title: str
    filters: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    sentences: tuple[tuple[str, str], ...] = ()  # with the heading above
    names: frozenset[str] = field(default=frozenset())


def unsupported(report: str, folder: Path, question: str = "") -> list[str]:
    """Numbers whose cited evidence does not carry their statement, each with its statement and the reason."""
    return [f"{number.text} ({why}): {text}" for number, text, why in _judged(report, folder, question) if why]


def share_supported(report: str, folder: Path, question: str = "") -> float | None:
    """The share of the report's numbers that are carried together with their statement; None without a number."""
    verdicts = [not why for _, _, why in _judged(report, folder, question)]
    return sum(verdicts) / len(verdicts) if verdicts else None


def _judged(report: str, folder: Path, question: str) -> Iterator[tuple[Number, str, str]]:
    files, asked = cited_files(report), [each.value for each in numbers(question)]
    read = {name: _read(folder, path) for name, path in files.items()}
    for text, under in statements(answer(report)):
        cited = [each for group in CITATION.findall(text) for each in group.split(", ")]
        said = Said(CITATION.sub(" ", text), f"{under} {question}")
        for number in numbers(text):
            if any(carries(value, number) for value in asked):
                continue
            reasons = [why for each in cited if each in read for why in _places(number, said, read[each])]
            yield number, text, "" if "" in reasons else next(iter(reasons), "not in the evidence")


def _places(number: Number, said: Said, evidence: Evidence) -> Iterator[str]:
    """For each place in the evidence that has the number, what does not fit; "" if all does."""
    for row in evidence.rows:
        for column, cell in zip(evidence.columns, row, strict=True):
            if any(carries(value, number) for value in values(cell)):
                yield (
                    _unfit_filters(said, evidence)
                    or _unfit_row(said, evidence, row)
                    or _unfit_unit(number, said, column, cell)
                )
    for heading, sentence in evidence.sentences:
        if any(carries(value, number) for value in values(sentence)):
            yield _unfit_prose(said, evidence, f"{evidence.title} {heading}", sentence)


def _unfit_filters(said: Said, evidence: Evidence) -> str:
    unsaid = [several for several in evidence.filters if not any(_is_said(each, said.words) for each in several)]
    if unsaid:
        return f"the evidence is about {' or '.join(unsaid[0])} only"
    return _unfit_years(said, evidence.title) if not any(map(_YEAR.search, sum(evidence.rows, ()))) else ""


def _unfit_row(said: Said, evidence: Evidence, row: Sequence[str]) -> str:
    for index, (column, cell) in enumerate(zip(evidence.columns, row, strict=True)):
        others = {each[index] for each in evidence.rows}
        if (years := set(_YEAR.findall(cell))) and (_PERIODS.search(column) or not _is_number(cell)):
            if said.years and not years & said.years:
                return f"the row is of {cell}"
        elif not _is_number(cell) and len(others) > 1:
            named = {each for each in others if each and _is_said(each, said.text.lower())}
            if named and cell not in named:
                return f"the row is of {cell}"
    return ""


def _unfit_unit(number: Number, said: Said, column: str, cell: str) -> str:
    if not _is_number(cell):
        return ""
    money, given = _currency(column.replace("_", " ")), _currency(_before(number, said.text))
    is_share = bool(_SHARE.search(column))
    if given and ((money and money != given) or (is_share and not money)):
        return f"{column} is not in {given.upper()}"
    if number.is_percent and not is_share and abs(float(cell)) > 1:
        return f"{column} is no percentage"
    if money and not given and not number.is_percent and _counted(number, said.text):
        return f"{column} counts nothing"
    rising, falling = RISING.search(said.text), FALLING.search(said.text)
    wrong = (rising and not falling) if float(cell) < 0 else (falling and not rising)
    return "the other direction" if is_share and "change" in column and wrong else ""


def _unfit_prose(said: Said, evidence: Evidence, around: str, sentence: str) -> str:
    if why := _unfit_years(said, sentence if _YEAR.search(sentence) else around):
        return why
    place = f"{around} {sentence}".lower()
    known = [each for each in _names(said.text) if each in evidence.names]
    if known and not any(each in place for each in known):
        return f"the sentence does not name {known[0]}"
    words = [] if evidence.rows else [each[:5].lower() for each in _WORD.findall(said.text)]  # notes are about a table
    shared = [each for each in words if each in place]
    return "the sentence says something else" if len(shared) < LEAST_SHARED * len(words) else ""


def _unfit_years(said: Said, context: str) -> str:
    years = [int(each) for each in _YEAR.findall(context)]
    if not years or not said.years or any(min(years) <= int(each) <= max(years) for each in said.years):
        return ""
    return f"the evidence is of {', '.join(map(str, sorted(set(years))))}"


def _read(folder: Path, path: str) -> Evidence:
    file = (folder / path).read_text(encoding="utf-8")
    lines = result_of(file).strip("\n`").splitlines()
    title = lines.pop(0) if lines and lines[0].startswith("# ") else ""
    try:
        rows = list(csv.reader(each for each in lines if not each.startswith("# ")))
    except csv.Error:  # a line beyond the module's limit, which is no table
        rows = []
    filters, names = tuple(_filters(folder, file)), frozenset(_names(file))
    if len(rows) > 1 and len(rows[0]) > 1 and all(len(each) == len(rows[0]) for each in rows):
        notes = tuple((title, each) for each in lines if each.startswith("# "))
        return Evidence(title, filters, tuple(rows[0]), tuple(map(tuple, rows[1:])), notes, names)
    return Evidence(title, filters, sentences=tuple(_sentences([title, *lines])), names=names)


def _sentences(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for text, under in statements("\n".join(lines)):
        yield under, text


def _filters(folder: Path, file: str) -> Iterator[tuple[str, ...]]:
    """What the evidence was filtered by, and what the evidence that it was computed on was."""
    asked = re.search(r"^Asked with `(\{.*\})`", file, re.MULTILINE)
    try:
        arguments: Any = json.loads(asked[1]) if asked else {}
    except ValueError:
        arguments = {}
    for chosen in (arguments.get("filters") or {}).values():
        yield tuple(map(str, chosen if isinstance(chosen, list) else [chosen]))
    for clause in re.split(r"\bAND\b", str(arguments.get("sql", ""))):
        literals = _LITERAL.findall(clause)
        if texts := tuple(each for each in literals if _WORD.search(each) and "%" not in each):
            yield texts
    for name in re.findall(r'"evidence_id": "(E\d+)"', asked[1] if asked else ""):
        if (path := folder / "evidence" / f"{name}.md").exists():
            yield from _filters(folder, path.read_text(encoding="utf-8"))


def _is_said(value: str, text: str) -> bool:
    """Whether the text names it, in another form perhaps: as an adjective, or short."""
    words = [each.lower() for each in re.findall(r"\w+", value)]
    initials = "".join(each[0] for each in words)
    return all(re.search(rf"\b{each[:5]}", text) for each in words) or (
        len(words) > 1 and bool(re.search(rf"\b{initials}\b", text))
    )


def _names(text: str) -> set[str]:
    return {each.lower().removesuffix("'s") for each in _NAME.findall(text)}


def _currency(text: str) -> str:
    found = _CURRENCY.search(text)
    return (found[1] or _CURRENCIES[found[2]]).lower() if found else ""


def _before(number: Number, text: str) -> str:
    """The word before the number, where a currency stands; the head of a table's column has it otherwise."""
    at = re.search(rf"(?<![\d.,]){re.escape(number.text)}", text)
    return text[max(0, at.start() - 5) : at.start()] if at else ""


def _counted(number: Number, text: str) -> bool:
    after = text.partition(number.text)[2].lstrip()
    return bool(re.match(r"(?:units?|orders?|pieces|customers?|cars|vehicles|points)\b", after))


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", cell))

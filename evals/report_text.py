"""Reads a finished report and its evidence files as a reader would, without the product's code."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_AFTER_THE_ANSWER = re.compile(
    r"^(?:## (?:What was read|What could not be answered|Dropped claims|Statements not verified|Remarks|Sources)|---)$",
    re.MULTILINE,
)
_SENTENCE_END = re.compile(r"(?<=\])\.\s+|(?<=[.!?])\s+(?=[A-Z*\"])")
CITATION = re.compile(r"\[(\d+(?:, \d+)*)\]")
_LABEL = re.compile(r"\d{4}-(?:\d\d|[QH]\d)|\b(?:19|20)\d\d\b|[A-Z]\w*\d\w*")
_NUMBER = re.compile(
    r"(?<![\w.])(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+|\d+)(?:\s?(%|(?:thousand|million|billion|mn|bn|k|m)\b))?",
    re.IGNORECASE,
)
_SCALES = {"thousand": 1e3, "k": 1e3, "million": 1e6, "mn": 1e6, "m": 1e6, "billion": 1e9, "bn": 1e9}


class Number(NamedTuple):
    """A number as written, its scaled value, and half a unit of its last digit."""

    text: str
    value: float
    step: float

    @property
    def is_percent(self) -> bool:
        """Whether a fraction of one in the evidence may support it."""
        return self.text.endswith("%")


class Statement(NamedTuple):
    """A sentence, list item or table row, and the headings above it, including the table head."""

    text: str
    under: str


def answer(report: str) -> str:
    """The report without its introduction (title, question, notices) and its gaps, sources and figures.

    Charts are left out: they are drawn from evidence, not stated.
    """
    lines = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", _AFTER_THE_ANSWER.split(report)[0]).splitlines()
    return "\n".join(line for line in lines if not re.match(r"# |> |\*Written by|\*\*This report is", line)).strip()


def statements(text: str) -> Iterator[Statement]:
    """Every statement of a Markdown text."""
    heading, head = "", ""
    for line in text.splitlines():
        if line.startswith("#"):
            heading, head = line.strip("# "), ""
            yield Statement(heading, "")
        elif line.startswith("|"):
            yield Statement(line, f"{heading} {head}".strip())
            head = head or line
        else:
            head = ""
            yield from (Statement(each, heading) for each in _SENTENCE_END.split(line) if each.strip())


def numbers(text: str) -> list[Number]:
    """The numbers in a text that claim something, without years, periods, identifiers and citations."""
    text = re.sub(r"\b(EUR|USD|GBP|NOK|SEK)(?=\d)", r"\1 ", text)
    return _read(_LABEL.sub(" ", CITATION.sub(" ", text)))


def uncarried(report: str, folder: Path, question: str = "") -> list[str]:
    """Statements with a number that no cited evidence file contains, one entry per number.

    Independent of the product's checks. `folder` has the report; numbers in the question may be repeated.
    """
    checked = _checked(report, folder, question)
    return [f"{number.text}: {statement}" for number, statement, is_carried in checked if not is_carried]


def share_carried(report: str, folder: Path, question: str = "") -> float | None:
    """The share of supported numbers, 0 to 1; None without a number."""
    verdicts = [is_carried for _, _, is_carried in _checked(report, folder, question)]
    return sum(verdicts) / len(verdicts) if verdicts else None


def _checked(report: str, folder: Path, question: str) -> Iterator[tuple[Number, str, bool]]:
    files = cited_files(report)
    asked = [each.value for each in numbers(question)]
    for statement, _ in statements(answer(report)):
        cited = [each for group in CITATION.findall(statement) for each in group.split(", ")]
        texts = [result_of((folder / files[each]).read_text(encoding="utf-8")) for each in cited if each in files]
        known = [value for text in texts for value in values(text)]
        for number in numbers(statement):
            yield number, statement, any(carries(value, number) for value in [*asked, *known])


def cited_files(report: str) -> dict[str, str]:
    """The evidence files that the report lists, by the number that cites them."""
    return dict(re.findall(r"^(\d+)\. .*\((evidence/E\d+\.md)\)", report, re.MULTILINE))


def result_of(file: str) -> str:
    """The tool's result, without the file's head, whose times and sizes support nothing."""
    return file.partition("\n```")[2] or file


def values(evidence: str) -> set[float]:
    """All values in the evidence. A comma groups digits in prose and separates cells in CSV: both readings count. So do
    years, which may be values there, and numbers without their scale."""
    read = [*_read(evidence), *_read(evidence.replace(",", " "))]
    return {each.value for each in read} | {float(re.sub(r"[^\d.]", "", each.text)) for each in read}


def carries(value: float, number: Number) -> bool:
    """Whether the value matches the number, within the rounding of its last digit; small integers must be exact."""
    exact = number.value < 100 and number.step == 0.5 and not number.is_percent
    near = 0 if exact else number.step * 1.000001
    return abs(number.value - value) <= near or (number.is_percent and abs(number.value - 100 * value) <= near)


def _read(text: str) -> list[Number]:
    return [_number(match[0], match[1].replace(",", ""), match[2] or "") for match in _NUMBER.finditer(text)]


def _number(text: str, digits: str, suffix: str) -> Number:
    scale = _SCALES.get(suffix.lower(), 1)
    return Number(text, float(digits) * scale, 0.5 * 10 ** -len(digits.partition(".")[2]) * scale)

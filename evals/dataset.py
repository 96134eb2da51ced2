"""The user's own questions, from a file: JSON Lines or CSV. `evals/README.md` describes the form."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.errors import BadInput
from evals.questions import Expected, Kind, Question

TOLERANCE = 0.005  # of the value, and half a point of percentages: three digits in prose are a fair answer
_POINTS = 0.5
_LISTS = ("said_with", "gap", "parts")  # in CSV, separated by semicolons
_NUMBER = ("value", "unit", "tolerance", "said_with", "is_forecast", "source")

Word = Annotated[str, Field(min_length=1)]


class GivenNumber(BaseModel):
    """A number that the answer must state; see `evals.questions.Expected`."""

    model_config = ConfigDict(extra="forbid")

    value: Annotated[float, Field(allow_inf_nan=False)]
    unit: str = ""
    tolerance: Annotated[float, Field(ge=0)] | None = None
    said_with: tuple[Word, ...] = ()
    is_forecast: bool = False
    source: str = ""

    def expected(self) -> Expected:
        """What the evaluators take."""
        usual = _POINTS if self.unit.startswith("%") else abs(self.value) * TOLERANCE
        tolerance = usual if self.tolerance is None else self.tolerance
        return Expected(self.value, self.unit, tolerance, self.said_with, self.source, self.is_forecast)


class GivenQuestion(BaseModel):
    """A line of the file; see `evals.questions.Question`."""

    model_config = ConfigDict(extra="forbid")

    id: Word
    kind: Kind
    text: Word
    expected: tuple[GivenNumber, ...] = ()
    gap: tuple[Word, ...] = ()
    parts: tuple[Word, ...] = ()

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind == "unanswerable" and (self.expected or self.parts or not self.gap):
            raise ValueError("an unanswerable question needs `gap`, words that name what is missing, and no more")
        if self.kind != "unanswerable" and (self.gap or not (self.expected or self.parts)):
            raise ValueError("an answerable question needs `expected` or `parts`, and no `gap`")
        return self

    def question(self) -> Question:
        """What is asked."""
        expected = tuple(each.expected() for each in self.expected)
        return Question(self.id, self.kind, self.text, expected, self.gap, self.parts)


def read_questions(path: Path) -> tuple[Question, ...]:
    """The questions of the file. Raises BadInput, which names the line and the field."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
    found: dict[str, Question] = {}
    for line, given in _rows(path, text) if path.suffix.lower() == ".csv" else _lines(path, text):
        try:
            question = GivenQuestion.model_validate(given).question()
        except ValidationError as error:
            raise BadInput(f"{path}, line {line}: {_first(error)}") from error
        if question.id in found:
            raise BadInput(f"{path}, line {line}: there is a question {question.id} already")
        found[question.id] = question
    if not found:
        raise BadInput(f"{path} has no question")
    return tuple(found.values())


def _lines(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):  # JSON may have other ends of lines in its strings
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise BadInput(f"{path}, line {number} is no JSON: {error}") from error


def _rows(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    """A row for each expected number; rows with one id are one question, the first one says the rest."""
    reader = csv.DictReader(io.StringIO(text))
    known = {"id", "kind", "text", "gap", "parts", *_NUMBER}
    if unknown := sorted(set(reader.fieldnames or ()) - known):
        raise BadInput(f"{path}: there is no column {', '.join(unknown)}; use {', '.join(sorted(known))}")
    questions: dict[str, tuple[int, dict[str, Any]]] = {}
    for row in _rows_of(path, reader):
        if None in row:
            raise BadInput(f"{path}, line {reader.line_num} has more cells than there are columns; quote its commas")
        given: dict[str, Any] = {key: value.strip() for key, value in row.items() if key and value and value.strip()}
        given |= {key: [each.strip() for each in given[key].split(";")] for key in _LISTS if key in given}
        number = {key: given.pop(key) for key in _NUMBER if key in given}
        _, question = questions.setdefault(given.get("id", ""), (reader.line_num, {**given, "expected": []}))
        question["expected"] += [number] if number else []
    yield from questions.values()


def _rows_of(path: Path, reader: "csv.DictReader[str]") -> Iterator[dict[str, Any]]:
    try:
        yield from reader
    except csv.Error as error:
        raise BadInput(f"{path}, line {reader.line_num} is no CSV: {error}") from error


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    place = ".".join(map(str, found["loc"]))
    return f"{place}: {found['msg']}" if place else found["msg"].removeprefix("Value error, ")

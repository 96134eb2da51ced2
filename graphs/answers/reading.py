"""Finds the JSON that a model was asked for in the text that it gave.

Models wrap it in fences, prose and thoughts, write it as JavaScript or Python would, or put it into a string once more.
Each of these forms is read. What is missing is never made up: a parser that completes half an answer turns "EUR 12" of
"EUR 1,234" into a finding.
"""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any, TypeVar

import pyjson5
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from graphs.errors import UnusableAnswer

Answer = TypeVar("Answer", bound=BaseModel)

LONGEST = 400_000  # characters of a text that is looked into
MOST_OBJECTS = 20  # in one text
DEEPEST = 3  # wrappings, one in another

_CLASS = re.compile(r" or instance of \w+$")  # as which pydantic would take a value too
_THOUGHTS = re.compile(r"<(think|thinking|thought|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_REST_OF_A_THOUGHT = re.compile(r"\A.*</(?:think|thinking|thought|reasoning)>", re.DOTALL | re.IGNORECASE)
_FENCED = re.compile(r"```[\w-]*[ \t]*\n?(.*?)```", re.DOTALL)


def read(text: str, model: type[Answer], wanted: str) -> Answer:
    """The one answer of this kind in the text.

    Args:
        text: what the model gave.
        model: what an answer has to be.
        wanted: what was asked for, as in "instead of ...".

    Raises:
        UnusableAnswer: there is none, or more than one; it says what is wrong with what there is.
    """
    spoken = without_thoughts(text).strip()
    if not spoken:
        raise UnusableAnswer(f"the model answered with nothing instead of {wanted}")
    problem: ValidationError | None = None
    fitting: dict[str, Answer] = {}
    for value in values_in(spoken):
        try:
            answer = fitted(value, model)
            fitting[answer.model_dump_json()] = answer
        except ValidationError as error:
            problem = problem or error
    if len(fitting) == 1:
        return fitting.popitem()[1]
    if fitting:
        said = f"the model gave {len(fitting)} different answers at once instead of {wanted}"
    elif problem is not None:
        said = f"what the model gave instead of {wanted} does not fit: {told(problem)}"
    elif spoken.startswith(("{", "[", "```")):
        said = f"the model's JSON breaks off, or is none, instead of {wanted}"
    else:
        said = f"the model answered in prose instead of {wanted}"
    raise UnusableAnswer(said, spoken)


def fitted(value: Any, model: type[Answer]) -> Answer:
    """The value as this model, taken out of what it is wrapped in; fields that nobody asked for are left out.

    Raises:
        ValidationError: it does not fit. It says what is wrong with the outermost value.
    """
    problem: ValidationError | None = None
    for form in unwrapped(value):
        try:
            return model.model_validate(form, extra="ignore")
        except ValidationError as error:
            problem = problem or error
    raise problem or AssertionError("a value is a form of itself")


def without_thoughts(text: str) -> str:
    """What is meant for the reader: not what a reasoning model says to itself before."""
    return _REST_OF_A_THOUGHT.sub("", _THOUGHTS.sub("", text))


def values_in(text: str) -> Iterator[Any]:
    """The JSON values that the text is or holds, whole ones only: the text, what is fenced in it, objects in prose."""
    text = text[:LONGEST].strip()
    fenced = [each.strip() for each in _FENCED.findall(text)]
    found = False
    for candidate in [text, *fenced[:MOST_OBJECTS]]:
        for value in parsed(candidate):
            found = True
            yield value
    if found:
        return
    for candidate in [text, *fenced[:MOST_OBJECTS]]:
        yield from _objects(candidate)
        start, end = candidate.find("{"), candidate.rfind("}")
        if 0 <= start < end:
            yield from parsed(candidate[start : end + 1])


def parsed(text: str) -> list[Any]:
    """The value of the text as JSON, JSON5 (trailing commas, single quotes, comments) or Python; [] when it is none."""
    for parse in (_DECODER.decode, ast.literal_eval, pyjson5.decode):
        try:
            value = parse(text)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, pyjson5.Json5Exception):
            continue
        if is_json(value):
            return [value]
    return []


def is_json(value: Any) -> bool:
    """Whether this can be told on as JSON, to tools and into a checkpoint: no NaN, no half of a character (as of an
    emoji that was cut), nothing nested without end."""
    try:
        json.dumps(value, allow_nan=False)
        to_json(value)  # it knows the last two
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def unwrapped(value: Any, depth: int = 0) -> Iterator[Any]:
    """The value, and what it is once it is taken out of a string, a list of one or an object with one key."""
    yield value
    if depth == DEEPEST:
        return
    inner: list[Any] = []
    if isinstance(value, str):
        inner = parsed(value)
    elif isinstance(value, list | dict) and len(value) == 1:
        inner = list(value.values() if isinstance(value, dict) else value)
    elif isinstance(value, dict) and "name" in value:  # a call, written out
        inner = [value[key] for key in ("arguments", "parameters", "args", "input") if key in value]
    for each in inner:
        if isinstance(each, str | list | dict):
            yield from unwrapped(each, depth + 1)


def told(error: ValidationError) -> str:
    """What does not fit, in a line that a model and a reader understand."""
    found = error.errors(include_url=False, include_input=False)
    problems = [f"{'.'.join(map(str, each['loc'])) or 'all of it'}: {_CLASS.sub('', each['msg'])}" for each in found]
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return f"{'; '.join(problems[:3])}{more}"


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


_DECODER = json.JSONDecoder(strict=False, parse_constant=_no_number)  # takes line breaks in strings


def _objects(text: str) -> Iterator[Any]:
    """The JSON objects in a text that is more than that."""
    at = text.find("{")
    for _ in range(MOST_OBJECTS):
        if at < 0:
            return
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            at = text.find("{", at + 1)
            continue
        if is_json(value):
            yield value
        at = text.find("{", end)

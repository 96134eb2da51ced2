"""Finds the requested JSON in a model's text.

Models wrap it in fences, prose and reasoning, write it as JavaScript or Python, or encode it as a string. Each of these
forms is read. Missing parts are never made up: a parser that completes half an answer turns "EUR 12" of "EUR 1,234"
into a finding.
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

LONGEST = 400_000  # characters; longer text is not searched
MOST_OBJECTS = 20  # in one text
DEEPEST = 3  # nested wrappings

_CLASS = re.compile(r" or instance of \w+$")  # pydantic's alternative to a plain value
_THOUGHTS = re.compile(r"<(think|thinking|thought|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_REST_OF_A_THOUGHT = re.compile(r"\A.*</(?:think|thinking|thought|reasoning)>", re.DOTALL | re.IGNORECASE)
_FENCED = re.compile(r"```[\w-]*[ \t]*\n?(.*?)```", re.DOTALL)


def read(text: str, model: type[Answer], wanted: str) -> Answer:
    """The one answer of type `model` in the text.

    Args:
        text: the model's output.
        model: the type of the answer.
        wanted: what was requested, to complete "instead of ...".

    Raises:
        UnusableAnswer: there is no such answer, or more than one. The message says what is wrong.
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
        said = f"the model's JSON is incomplete or invalid instead of {wanted}"
    else:
        said = f"the model answered in prose instead of {wanted}"
    raise UnusableAnswer(said, spoken)


def fitted(value: Any, model: type[Answer]) -> Answer:
    """The value, unwrapped, as this model. Unknown fields are dropped.

    Raises:
        ValidationError: it does not fit; says what is wrong with the outermost value.
    """
    problem: ValidationError | None = None
    for form in unwrapped(value):
        try:
            return model.model_validate(form, extra="ignore")
        except ValidationError as error:
            problem = problem or error
    raise problem or AssertionError("a value is a form of itself")


def without_thoughts(text: str) -> str:
    """The text without a reasoning model's thoughts."""
    return _REST_OF_A_THOUGHT.sub("", _THOUGHTS.sub("", text))


def values_in(text: str) -> Iterator[Any]:
    """The complete JSON values in the text: the text itself, fenced blocks, objects in prose."""
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
    """The text parsed as JSON, JSON5 (trailing commas, single quotes, comments) or Python; [] when it is none of
    them."""
    for parse in (_DECODER.decode, ast.literal_eval, pyjson5.decode):
        try:
            value = parse(text)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, pyjson5.Json5Exception):
            continue
        if is_json(value):
            return [value]
    return []


def is_json(value: Any) -> bool:
    """Whether this can be serialised for tools and checkpoints: no NaN, no lone surrogate (as of a cut emoji), not too
    deeply nested."""
    try:
        json.dumps(value, allow_nan=False)
        to_json(value)  # detects the last two
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def unwrapped(value: Any, depth: int = 0) -> Iterator[Any]:
    """The value, and what is inside it if it is a string, a list of one or an object with one key."""
    yield value
    if depth == DEEPEST:
        return
    inner: list[Any] = []
    if isinstance(value, str):
        inner = parsed(value)
    elif isinstance(value, list | dict) and len(value) == 1:
        inner = list(value.values() if isinstance(value, dict) else value)
    elif isinstance(value, dict) and "name" in value:  # a written-out call
        inner = [value[key] for key in ("arguments", "parameters", "args", "input") if key in value]
    for each in inner:
        if isinstance(each, str | list | dict):
            yield from unwrapped(each, depth + 1)


def told(error: ValidationError) -> str:
    """What does not fit, in one line for models and readers."""
    found = error.errors(include_url=False, include_input=False)
    problems = [f"{'.'.join(map(str, each['loc'])) or 'all of it'}: {_CLASS.sub('', each['msg'])}" for each in found]
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return f"{'; '.join(problems[:3])}{more}"


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} is not a number")


_DECODER = json.JSONDecoder(strict=False, parse_constant=_no_number)  # accepts line breaks in strings


def _objects(text: str) -> Iterator[Any]:
    """The JSON objects embedded in a text."""
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

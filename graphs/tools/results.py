"""A tool's result: text for the model, and content of a known shape for the evidence store.

Structured content of a known kind (table, document, chart) is validated here, once. Everything else has the kind
"text", with the complete `text` and any structured content as `structured`. Most third-party servers send only text.
"""

import json
import math
import re
from typing import Annotated, Any, Literal, Self

from mcp.types import Result
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from graphs.errors import ToolFailure
from graphs.state import Json

MOST_COLUMNS = 200  # in a table: their names go into the state
MOST_LINE = 2048  # characters of a string in the state: as many as an address may have
EMPTY = "[an empty result: the tool returned neither text nor data]"
_CELLS = {str, int, float, bool, type(None)}
_COUNTED = re.compile(r"\d+ validation errors? for [\w.\[\], ]+")
_INSIDES = re.compile(
    r"\s*\[type=\w+, input_value=.*?, input_type=\w+\]|\s*For further information visit https://errors\.pydantic\.dev\S+",
    re.DOTALL,
)
_NAMED = ("title", "url", "data_version")  # string fields of an object of another shape


class Answer(Result):
    """A raw result. Every field is lenient, because one that failed validation would lose the whole result."""

    meta: Any = Field(None, alias="_meta")
    content: Any = None
    structured: Any = Field(None, alias="structuredContent")
    failed: Any = Field(None, alias="isError")


_Line = Annotated[str, Field(max_length=MOST_LINE)]


class _Content(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    title: _Line = ""
    data_version: _Line = ""
    untrusted: bool = False


class _Table(_Content):
    kind: Literal["table"]
    columns: list[_Line] = Field(max_length=MOST_COLUMNS)
    rows: list[list[Any]]
    notes: list[str] = []
    unreliable_rows: list[int] = []

    @model_validator(mode="after")
    def _even(self) -> Self:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise PydanticCustomError("rows", "a row has more or fewer cells than there are columns")
        if not {type(cell) for row in self.rows for cell in row} <= _CELLS:
            raise PydanticCustomError("cells", "a cell is neither text nor a number")
        return self


class _Document(_Content):
    kind: Literal["document"]
    unreliable: bool = False
    id: _Line = ""
    publisher: _Line = ""
    date: _Line = ""
    url: _Line = ""
    confidence: _Line = ""
    retrieved: _Line = ""


class _Chart(_Content):
    kind: Literal["chart"]
    svg: str = Field(pattern=r"<svg[\s>]")


_KINDS: TypeAdapter[Any] = TypeAdapter(Annotated[_Table | _Document | _Chart, Field(discriminator="kind")])
OURS = ("table", "document", "chart")


def read(answer: Answer, most_chars: int) -> tuple[str, Json]:
    """The text, cut to about `most_chars` characters, and the content.

    Raises:
        ToolFailure: the tool reports a failure; the message is its own.
    """
    structured = answer.structured
    text = "\n".join(map(_shown, _blocks(answer.content)))
    if not text and structured is not None:
        text = json.dumps(structured, ensure_ascii=False)
    if answer.failed is True:
        raise ToolFailure(_cut(plain(text).strip() or "the tool failed without a message", most_chars))
    if isinstance(structured, dict) and structured.get("kind") in OURS:
        if (fault := _fault(structured)) is None:
            return _cut(text, most_chars), structured
        text += f"\n# not to be used as a {structured['kind']}: {fault}"
    text = text if text.strip() else EMPTY
    return _cut(text, most_chars), _plain(text, structured)


def plain(said: str) -> str:
    """A program's error message without internals: pydantic names classes, repeats its input, and links to its
    manual."""
    return _INSIDES.sub("", _COUNTED.sub("what was given does not fit:", said))


def as_json(text: str, content: Json) -> bytes:
    """Both as JSON, with null for NaN, which JSON lacks but some programs write."""
    try:
        return json.dumps([text, content], allow_nan=False).encode()
    except ValueError:
        return json.dumps([text, _finite(content)]).encode()


def _plain(text: str, structured: Any) -> Json:
    content: Json = {"kind": "text", "text": text}
    if isinstance(structured, dict):
        told = {key: structured.get(key) for key in _NAMED}
        content |= {key: each for key, each in told.items() if isinstance(each, str) and len(each) <= MOST_LINE}
        content |= {"untrusted": True} if structured.get("untrusted") is True else {}
    return content if structured is None else {**content, "structured": structured}


def _fault(content: Json) -> str | None:
    """What is wrong with an object that claims one of our kinds."""
    try:
        _KINDS.validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}".removeprefix(": ")
    return None


def _blocks(content: Any) -> list[Any]:
    if content is None:
        return []
    return content if isinstance(content, list) else [content]


def _shown(block: Any) -> str:
    """A content block as text. What cannot be shown is named."""
    match block:
        case str(text) | {"type": "text", "text": str(text)}:
            shown = text
        case {"type": "image" | "audio" as kind, "data": str(data)}:
            shown = f"[{kind} {_line(block.get('mimeType'))}, {_size(data)}: not shown]"
        case {"type": "resource_link", "uri": uri}:
            shown = f"[resource link: {_line(block.get('title') or block.get('name'))} <{_line(uri)}>]"
        case {"type": "resource", "resource": {"uri": uri, "text": str(text)}}:
            shown = f"[resource <{_line(uri)}>]\n{text}"
        case {"type": "resource", "resource": {"uri": uri, "blob": str(data)} as resource}:
            shown = f"[resource <{_line(uri)}> {_line(resource.get('mimeType'))}, {_size(data)}: not shown]"
        case _:
            shown = f"[{_line(block.get('type') if isinstance(block, dict) else None)}: not shown]"
    return shown


def _line(value: Any) -> str:
    return " ".join(str(value or "unnamed").split())[:MOST_LINE]


def _size(data: str) -> str:
    """The size of Base64 data."""
    size = len(data) * 3 // 4
    return f"{size} bytes" if size < 1024 else f"{round(size / 1024)} KB"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_finite(each) for each in value]
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return value


def _cut(text: str, most_chars: int) -> str:
    """The text cut at a line end, unless the last line is most of it."""
    if len(text) <= most_chars:
        return text
    lines, _, rest = text[:most_chars].rpartition("\n")
    kept = lines if len(rest) < most_chars // 2 else text[:most_chars]
    return f"{kept}\n# cut: {len(text)} characters in all; ask for less"

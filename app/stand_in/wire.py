"""The wire format of OpenAI's chat completions: requests as they come in, and what the rules answer."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Json = dict[str, Any]
ErrorKind = Literal["invalid_request_error", "server_error", "requests"]

CHARACTERS_PER_TOKEN = 4
MOST_ANSWER_TOKENS = 128_000  # the longest answer of this model, when a request sets no limit of its own


class BadRequestError(Exception):
    """The request cannot be understood; the message says which part, for an error answer with status 400."""


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Function(_Lenient):
    """A call as the model made it: `arguments` is JSON text."""

    name: str = ""
    arguments: str = "{}"


class WireCall(_Lenient):
    id: str = ""
    function: Function = Function()


class Message(_Lenient):
    """One message. `content` may be a string or OpenAI's list of parts."""

    role: str
    content: str | list[Json] | None = None
    tool_calls: list[WireCall] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The text of the content, parts joined."""
        if isinstance(self.content, list):
            return "".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""


class FunctionSpec(_Lenient):
    name: str
    description: str = ""
    parameters: Json = {}


class ToolSpec(_Lenient):
    type: str = "function"
    function: FunctionSpec | None = None


class JsonSchema(_Lenient):
    name: str = ""
    schema_: Json = Field(default={}, alias="schema")


class ResponseFormat(_Lenient):
    type: str = "text"
    json_schema: JsonSchema | None = None


class StreamOptions(_Lenient):
    include_usage: bool = False


class ChatRequest(_Lenient):
    """A chat completion request; fields that rules have no use for (temperature, ...) are ignored."""

    model: str
    messages: list[Message] = Field(min_length=1)
    tools: list[ToolSpec] | None = None
    tool_choice: str | Json | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)

    @property
    def answer_tokens(self) -> int:
        """The most tokens that the answer may have; `max_tokens` is the older name of the same limit."""
        return min(self.max_completion_tokens or self.max_tokens or MOST_ANSWER_TOKENS, MOST_ANSWER_TOKENS)

    @property
    def wants_usage(self) -> bool:
        """Whether a streamed answer ends in a chunk with the usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def schema_name(self) -> str:
        """The name of the JSON schema that the answer must follow, or ""."""
        wanted = self.response_format.json_schema if self.response_format else None
        return wanted.name if wanted else ""

    @property
    def schema_body(self) -> Json:
        """The JSON schema that the answer must follow, or {}."""
        wanted = self.response_format.json_schema if self.response_format else None
        return wanted.schema_ if wanted else {}

    @property
    def forced_tool(self) -> str:
        """The one function that the request insists on, or ""."""
        chosen = self.tool_choice.get("function") if isinstance(self.tool_choice, dict) else None
        return str(chosen.get("name", "")) if isinstance(chosen, dict) else ""

    @property
    def functions(self) -> list[FunctionSpec]:
        """The functions on offer; none when the request forbids calls."""
        if self.tool_choice == "none":
            return []
        return [tool.function for tool in self.tools or [] if tool.function]

    @property
    def tool_names(self) -> list[str]:
        """The names of the functions on offer."""
        return [each.name for each in self.functions]


@dataclass(frozen=True)
class Call:
    """A tool call that the rules want made."""

    name: str
    arguments: Json


@dataclass(frozen=True)
class Reply:
    """What the model says: text, tool calls, words before its calls, or a refusal."""

    text: str = ""
    refusal: str = ""
    calls: list[Call] = field(default_factory=list)


def parse_request(body: bytes) -> ChatRequest:
    """Raises BadRequestError with the first thing that is wrong."""
    try:
        return ChatRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "body"
        raise BadRequestError(f"{where}: {first['msg']}") from error


def prompt_of(body: bytes) -> str:
    """What the model reads of a request that was parsed, in the order in which OpenAI reads it.

    The schema and the tools come first, so that a conversation that grows keeps its beginning.
    """
    sent = json.loads(body)
    parts = [sent.get("response_format"), *(sent.get("tools") or []), *sent["messages"]]
    return "\n".join(json.dumps(part, ensure_ascii=False, separators=(",", ":")) for part in parts if part is not None)


def error_body(message: str, kind: ErrorKind, code: str | None) -> Json:
    """OpenAI's error document."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}

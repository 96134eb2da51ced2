"""The wire format of OpenAI's chat completions: requests in, completions and chunks out."""

import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Json = dict[str, Any]

CHARACTERS_PER_TOKEN = 4
PIECE = 48


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
    def tool_names(self) -> list[str]:
        """The functions on offer; none when the request forbids calls."""
        if self.tool_choice == "none":
            return []
        return [tool.function.name for tool in self.tools or [] if tool.function]


@dataclass(frozen=True)
class Call:
    """A tool call that the rules want made."""

    name: str
    arguments: Json


@dataclass(frozen=True)
class Reply:
    """What the model says: text, or tool calls."""

    text: str = ""
    calls: list[Call] = field(default_factory=list)


@dataclass(frozen=True)
class Usage:
    """Estimated tokens, about four characters each."""

    prompt: int
    completion: int

    @classmethod
    def of(cls, request: ChatRequest, reply: Reply) -> "Usage":
        """The same for a streamed and a plain answer: what the model reads, and what it says."""
        read = request.model_dump_json(exclude_none=True, include={"messages", "tools", "response_format"})
        return cls(_tokens(read), _tokens(_spoken(reply)))

    def body(self) -> Json:
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }


def parse_request(body: bytes) -> ChatRequest:
    """Raises BadRequestError with the first thing that is wrong."""
    try:
        return ChatRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "body"
        raise BadRequestError(f"{where}: {first['msg']}") from error


def completion(request: ChatRequest, reply: Reply) -> Json:
    """The whole answer as one JSON document."""
    message: Json = {"role": "assistant", "content": reply.text if not reply.calls else None, "refusal": None}
    if reply.calls:
        message["tool_calls"] = _tool_calls(request, reply)
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(reply), "logprobs": None}
    return _envelope(request, "chat.completion", [choice]) | {"usage": Usage.of(request, reply).body()}


def chunks(request: ChatRequest, reply: Reply) -> Iterator[Json]:
    """The same answer in pieces, with a last chunk that carries the usage when the request wants it."""

    def chunk(delta: Json, finish_reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return _envelope(request, "chat.completion.chunk", [choice])

    yield chunk({"role": "assistant", "content": None if reply.calls else ""})
    for index, call in enumerate(_tool_calls(request, reply)):
        opening = call | {"index": index, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield chunk({"tool_calls": [opening]})
        for piece in _pieces(call["function"]["arguments"]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    for piece in _pieces("" if reply.calls else reply.text):
        yield chunk({"content": piece})
    yield chunk({}, _finish_reason(reply))
    if request.stream_options and request.stream_options.include_usage:
        usage = Usage.of(request, reply).body()
        yield _envelope(request, "chat.completion.chunk", []) | {"usage": usage}


def error_body(message: str, kind: Literal["invalid_request_error", "server_error"], code: str | None) -> Json:
    """OpenAI's error document."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _envelope(request: ChatRequest, kind: str, choices: list[Json]) -> Json:
    return {
        "id": f"chatcmpl-{_digest(request, 'completion')}",
        "object": kind,
        "created": int(time.time()),
        "model": request.model,
        "system_fingerprint": "rules",
        "choices": choices,
    }


def _tool_calls(request: ChatRequest, reply: Reply) -> list[Json]:
    turn = len(request.messages)
    return [
        {
            "id": f"call_{_digest(request, f'{turn}.{index}')}",
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
        }
        for index, call in enumerate(reply.calls)
    ]


def _digest(request: ChatRequest, salt: str) -> str:
    return hashlib.blake2b((salt + request.messages[-1].text).encode(errors="replace"), digest_size=12).hexdigest()


def _finish_reason(reply: Reply) -> str:
    return "tool_calls" if reply.calls else "stop"


def _pieces(text: str) -> Iterator[str]:
    return (text[start : start + PIECE] for start in range(0, len(text), PIECE))


def _spoken(reply: Reply) -> str:
    return reply.text + "".join(call.name + json.dumps(call.arguments) for call in reply.calls)


def _tokens(text: str) -> int:
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)

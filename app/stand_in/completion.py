"""Answers on the wire: whole completions and chunks of a stream, cut where the request says so."""

import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from app.stand_in.wire import CHARACTERS_PER_TOKEN, ChatRequest, Function, Json, Reply

PIECE = 48


@dataclass(frozen=True)
class Usage:
    """Tokens, about four characters each. `cached` of the `prompt` tokens were known from earlier requests."""

    prompt: int
    cached: int
    completion: int

    def body(self) -> Json:
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }


@dataclass(frozen=True)
class Spoken:
    """An answer as text: words, a refusal, or calls whose arguments are JSON text, sound or not."""

    text: str = ""
    refusal: str = ""
    calls: tuple[Function, ...] = ()
    is_cut: bool = False

    @classmethod
    def of(cls, reply: Reply) -> "Spoken":
        """What the rules reply, written out."""
        calls = [Function(name=each.name, arguments=_written(each.arguments)) for each in reply.calls]
        return cls(text=reply.text, refusal=reply.refusal, calls=tuple(calls))

    @property
    def tokens(self) -> int:
        called = sum(len(call.name) + len(call.arguments) for call in self.calls)
        return tokens_in(len(self.text) + len(self.refusal) + called)

    @property
    def finish_reason(self) -> Literal["length", "tool_calls", "stop"]:
        if self.is_cut:
            return "length"
        return "tool_calls" if self.calls else "stop"

    def within(self, tokens: int) -> "Spoken":
        """The answer as far as that many tokens reach: arguments end in the middle, later calls are missing."""
        if self.tokens <= tokens:
            return self
        left = tokens * CHARACTERS_PER_TOKEN
        calls: list[Function] = []
        for call in self.calls:
            left -= len(call.name)
            if left < 0:
                break
            calls.append(Function(name=call.name, arguments=call.arguments[:left]))
            left -= len(calls[-1].arguments)
        return replace(self, text=self.text[:left], refusal=self.refusal[:left], calls=tuple(calls), is_cut=True)


def tokens_in(characters: int) -> int:
    """How many tokens a text of that length has."""
    return math.ceil(characters / CHARACTERS_PER_TOKEN)


def completion(request: ChatRequest, spoken: Spoken, usage: Usage | None) -> Json:
    """The whole answer as one JSON document; without `usage` when that is None."""
    message: Json = {"role": "assistant", "content": _content(spoken), "refusal": spoken.refusal or None}
    if spoken.calls:
        message["tool_calls"] = _tool_calls(request, spoken)
    choice = {"index": 0, "message": message, "finish_reason": spoken.finish_reason, "logprobs": None}
    told = {"usage": usage.body()} if usage else {}
    return _envelope(request, "chat.completion") | {"choices": [choice]} | told


def chunks(request: ChatRequest, spoken: Spoken, usage: Usage | None) -> Iterator[Json]:
    """The same answer in pieces, with a last chunk that carries the usage when the request wants it."""
    envelope = _envelope(request, "chat.completion.chunk")

    def chunk(delta: Json, finish_reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return envelope | {"choices": [choice]}

    yield chunk({"role": "assistant", "content": None if _content(spoken) is None else ""})
    for index, call in enumerate(_tool_calls(request, spoken)):
        opening = call | {"index": index, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield chunk({"tool_calls": [opening]})
        for piece in _pieces(call["function"]["arguments"]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    for piece in _pieces(spoken.text):
        yield chunk({"content": piece})
    for piece in _pieces(spoken.refusal):
        yield chunk({"refusal": piece})
    yield chunk({}, spoken.finish_reason)
    if request.wants_usage and usage:
        yield envelope | {"choices": [], "usage": usage.body()}


def _content(spoken: Spoken) -> str | None:
    return spoken.text or (None if spoken.calls or spoken.refusal else "")


def _envelope(request: ChatRequest, kind: str) -> Json:
    return {
        "id": f"chatcmpl-{_digest(request, 'completion')}",
        "object": kind,
        "created": int(time.time()),
        "model": request.model,
        "system_fingerprint": "rules",
    }


def _tool_calls(request: ChatRequest, spoken: Spoken) -> list[Json]:
    turn = len(request.messages)
    return [
        {
            "id": f"call_{_digest(request, f'{turn}.{index}')}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for index, call in enumerate(spoken.calls)
    ]


def _digest(request: ChatRequest, salt: str) -> str:
    return hashlib.blake2b((salt + request.messages[-1].text).encode(errors="replace"), digest_size=12).hexdigest()


def _pieces(text: str) -> Iterator[str]:
    return (text[start : start + PIECE] for start in range(0, len(text), PIECE))


def _written(arguments: Json) -> str:
    return json.dumps(arguments, ensure_ascii=False)

"""What one model's server does not accept, learned from its refusals and kept for the life of the process.

Requests are written for OpenAI. `spoken` translates them: it drops refused parameters, renames the token limit, asks
for an answer as a tool call instead of by schema, or writes tools into the prompt. See `docs/architecture.md`.
"""

import logging
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_core.utils.json_schema import dereference_refs

from graphs.answers.refusals import Refusal
from graphs.answers.written import in_writing, with_schema

logger = logging.getLogger(__name__)

Json = dict[str, Any]
Limit = Literal["max_completion_tokens", "max_tokens"]

LIMITS: tuple[Limit, Limit] = ("max_completion_tokens", "max_tokens")
LEAST_TOKENS = 256  # a lower maximum is not the model's limit but the room left beside the prompt
# Parameters that a request can do without. When any other is refused, the request fails.
OPTIONAL = frozenset(
    {
        *("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "stop", "logprobs", "logit_bias"),
        *("parallel_tool_calls", "stream_options", "service_tier", "reasoning_effort", "user", "metadata", "store"),
    }
)

_QUOTED = re.compile(
    r"""(?:unsupported\ (?:parameter|value)|unknown\ parameter|unknown\ name|unrecognized\ request\ argument\ supplied
        |unsupported\ param|extra\ inputs[^']*|unexpected\ (?:field|argument))\W+(\w+)
        |\bloc\W+body\W+(\w+)
        |['"`](\w+)['"`]\ (?:is\ not\ supported|does\ not\ support|is\ only\ allowed)""",
    re.IGNORECASE | re.VERBOSE,
)
_MOST = (
    re.compile(r"supports at most (\d+) completion tokens"),
    re.compile(r"valid range of max_tokens is \[1, (\d+)\]"),
    re.compile(r"max_(?:completion_)?tokens\W+must be less than or equal to\W+(\d+)"),
    re.compile(r"max_(?:completion_)?tokens.{0,120}expected a value <= (\d+)"),
    re.compile(r"\d+ > (\d+), which is the maximum allowed number of output tokens"),
)
_CONTEXT = re.compile(r"maximum context length is (\d+) tokens")
_PROMPT = re.compile(r"(\d+)(?: input tokens| in the messages)")
_NO_TOOLS = re.compile(
    r"does not support tools|support tool use|tools param requires|unsupported param: tools|--enable-auto-tool-choice"
    r"|tool calling is not supported|unknown name \"tools\"",
    re.IGNORECASE,
)
_NO_CHOICE = re.compile(r"tool_choice|tool choice|tool-choice", re.IGNORECASE)
_NO_FORMAT = re.compile(
    r"response_format|response format|json_schema|response mime type|structured output", re.IGNORECASE
)
_STRICT = re.compile(r"\bstrict\b", re.IGNORECASE)
_GRAMMAR = re.compile(r"failed to parse grammar|not supported by xgrammar", re.IGNORECASE)
_SIZES = {"minItems", "maxItems", "minLength", "maxLength", "pattern"}  # too much for some servers' grammars
_BY_NAME = {"properties", "$defs"}  # in JSON Schema, objects whose keys are names
_KEYWORD = re.compile(r"unknown name \W?([\w$]+)\W? at \W*tools", re.IGNORECASE)


@dataclass
class Dialect:
    """How requests to one model must be written.

    Attributes:
        limit: the name of the token limit that its server obeys.
        without: parameters to leave out.
        most_tokens: the most tokens in an answer, if the server names a maximum.
        forces: whether a tool call can be required.
        strict: whether schemas may be marked strict.
        schema: how a structured answer is requested: by its schema, as a tool call, or in the prompt.
        tools: how tools are offered: natively, or written into the prompt.
        keywords: JSON Schema keywords to leave out of the schemas of tools and answers.
        signs: whether earlier calls need Gemini's signature.
        has_called: whether the model has ever called a natively offered tool.
        has_fitted: whether it has ever given an answer that fits a schema.
        changes: how many times something was learned; a request may have been in flight meanwhile.
    """

    limit: Limit = "max_tokens"
    without: set[str] = field(default_factory=set)
    most_tokens: int | None = None
    forces: bool = True
    strict: bool = True
    schema: Literal["schema", "tool", "prompt"] = "schema"
    tools: Literal["offered", "written"] = "offered"
    keywords: set[str] = field(default_factory=set)
    signs: bool = False
    has_called: bool = False
    has_fitted: bool = False
    changes: int = 0
    refused_limits: set[str] = field(default_factory=set)

    def spoken(self, payload: Json) -> Json:
        """The request as this server accepts it. `payload` is an OpenAI request and is not modified."""
        said = self._formed({**payload})
        if said.get("tools") and self.tools == "written":
            said = in_writing(said, constrained=self.schema == "schema")
        if not self.forces and said.get("tool_choice") not in (None, "none"):
            said["tool_choice"] = "auto"
        if not self.strict:
            said = _without_strict(said)
        if self.keywords:
            said |= {key: _plain(said[key], self.keywords) for key in ("tools", "response_format") if key in said}
        if self.signs:
            said["messages"] = [_signed(each) for each in said["messages"]]
        allowed = min(said.pop(name) for name in LIMITS if name in said) if set(LIMITS) & said.keys() else None
        if allowed is not None:
            said[self.limit] = min(allowed, self.most_tokens or allowed)
        return {key: value for key, value in said.items() if key not in self.without}

    def learns(self, refusal: Refusal, sent: Json) -> bool:
        """Whether the refusal says what to change. If so, it is changed for this request and all later ones."""
        learned = self._learned(refusal, sent)
        if learned:
            self.changes += 1
            logger.info("%s is asked %s from now on: its server said “%s”", sent.get("model"), learned, refusal.says)
        return bool(learned)

    def gives_up_on_tools(self) -> bool:
        """Switch to tools written into the prompt if the model never called one; whether it switched."""
        if self.has_called or self.tools == "written":
            return False
        self.tools = "written"
        self.changes += 1
        logger.info("tools are written into the prompt from now on: the model answers in prose when they are offered")
        return True

    def gives_up_on_schemas(self) -> bool:
        """Switch to another way of requesting structured answers if none ever fitted, because some servers accept a
        schema and ignore it; whether it switched."""
        if self.has_fitted or self.schema == "prompt":
            return False
        self.schema = "tool" if self.schema == "schema" and self.tools == "offered" else "prompt"
        self.changes += 1
        logger.info("answers are asked for by %s from now on: the model ignores schemas", self.schema)
        return True

    def _learned(self, refusal: Refusal, sent: Json) -> str:
        if refusal.kind in {"account", "withheld", "busy"}:
            return ""
        named = _named(refusal)
        for learn in (self._of_limits, self._of_schemas, self._of_tools, self._of_formats):
            if learned := learn(refusal, named, sent):
                return learned
        if "thought_signature" in refusal.text and not self.signs:
            self.signs = True
            return "with signed calls"
        dropped = named & OPTIONAL & sent.keys()
        self.without |= dropped
        return f"without {', '.join(sorted(dropped))}" if dropped else ""

    def _of_limits(self, refusal: Refusal, named: set[str], sent: Json) -> str:
        current = sent.get(self.limit)
        most = _most(refusal.text)
        if most and current and LEAST_TOKENS <= most < current:
            self.most_tokens = most
            return f"for at most {most} tokens"
        other = next(each for each in LIMITS if each != self.limit)
        is_named = self.limit in named and refusal.kind != "context"
        if is_named and current and not most and other not in self.refused_limits:
            self.refused_limits.add(self.limit)
            self.limit = other
            return f"with {other}"
        return ""

    def _of_schemas(self, refusal: Refusal, _: set[str], sent: Json) -> str:
        """Drop keywords from the schemas of tools or answers; tools written into the prompt have theirs in the call's
        schema."""
        refused = set(_KEYWORD.findall(refusal.text)) | (_SIZES if _GRAMMAR.search(refusal.text) else set())
        new = refused - self.keywords if {"tools", "response_format"} & sent.keys() else set()
        self.keywords |= new
        return f"without {', '.join(sorted(new))} in schemas" if new else ""

    def _of_tools(self, refusal: Refusal, named: set[str], sent: Json) -> str:
        if not sent.get("tools"):
            return ""
        if _NO_TOOLS.search(refusal.text) or "tools" in named:
            self.tools, self.schema = "written", "prompt" if self.schema == "tool" else self.schema
            return "with tools written into the prompt"
        if self.forces and sent.get("tool_choice") not in (None, "auto", "none") and _NO_CHOICE.search(refusal.text):
            self.forces = False
            return "without insisting on a call"
        return ""

    def _of_formats(self, refusal: Refusal, named: set[str], sent: Json) -> str:
        form = str(sent.get("response_format") or sent.get("tools"))
        if self.strict and "strict" in form and _STRICT.search(refusal.text):
            self.strict = False
            return "without strict schemas"
        if "response_format" in sent and (_NO_FORMAT.search(refusal.text) or "response_format" in named):
            self.schema = "tool" if self.schema == "schema" and self.tools == "offered" else "prompt"
            return "for answers as calls of a tool" if self.schema == "tool" else "for answers by the prompt"
        return ""

    def _formed(self, payload: Json) -> Json:
        """Put the answer's schema where this server reads it."""
        wanted = (payload.get("response_format") or {}).get("json_schema")
        if wanted is None or self.schema == "schema":
            return payload
        del payload["response_format"]
        if self.schema == "prompt":
            return with_schema(payload, wanted["name"], wanted["schema"])
        function = {"name": wanted["name"], "parameters": wanted["schema"], "strict": wanted.get("strict", False)}
        tool = {"type": "function", "function": function}
        return {**payload, "tools": [tool], "tool_choice": {"type": "function", "function": {"name": wanted["name"]}}}


def _named(refusal: Refusal) -> set[str]:
    """The request fields that the refusal names."""
    found = {name for groups in _QUOTED.findall(refusal.text) for name in groups if name}
    return found | {refusal.param.partition(".")[0].partition("[")[0]}


def _most(text: str) -> int | None:
    """The most tokens in an answer, if the text says so."""
    found = next((match for match in (each.search(text) for each in _MOST) if match), None)
    return int(found[1]) if found else None


def room_beside(prompt: Refusal) -> int | None:
    """The most tokens for an answer to this prompt, if it was refused as too long together with its answer. Applies to
    this request only: a shorter prompt leaves more room."""
    context, used = _CONTEXT.search(prompt.text), _PROMPT.search(prompt.text)
    room = int(context[1]) - int(used[1]) if context and used else 0
    return room if room >= LEAST_TOKENS else None


def _without_strict(payload: Json) -> Json:
    said = dict(payload)
    if form := (said.get("response_format") or {}).get("json_schema"):
        plain = {key: value for key, value in form.items() if key != "strict"}
        said["response_format"] = {"type": "json_schema", "json_schema": plain}
    if tools := said.get("tools"):
        said["tools"] = [
            {**each, "function": {key: value for key, value in each["function"].items() if key != "strict"}}
            for each in tools
        ]
    return said


def _plain(value: Any, without: set[str], *, by_name: bool = False) -> Any:
    """Tools, or the form of an answer, without these schema keywords; references are inlined. Where parameters are
    listed by name (`by_name`), a key that looks like a keyword is not one."""
    if not isinstance(value, dict):
        return [_plain(each, without) for each in value] if isinstance(value, list) else value
    if "$defs" in value and without & {"$ref", "$defs"}:
        value = {key: each for key, each in dereference_refs(value).items() if key != "$defs"}
    return {
        key: _plain(each, without, by_name=key in _BY_NAME and not by_name)
        for key, each in value.items()
        if by_name or key not in without
    }


def _signed(message: Json) -> Json:
    """The message with a placeholder that Gemini accepts for signatures, which OpenAI's message format lacks
    (https://ai.google.dev/gemini-api/docs/thought-signatures)."""
    if not message.get("tool_calls"):
        return message
    signature = {"google": {"thought_signature": "skip_thought_signature_validator"}}
    return {**message, "tool_calls": [{**each, "extra_content": signature} for each in message["tool_calls"]]}

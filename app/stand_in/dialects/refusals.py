"""What servers refuse, in their own words. Each function gives the status and body of a refusal, or None."""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from app.stand_in.completion import tokens_in
from app.stand_in.strict_mode import violations
from app.stand_in.wire import Json

Refused = tuple[int, Any]
Refuse = Callable[[Json], Refused | None]

_MISTRAL_FIELDS = frozenset(
    {
        *("model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "random_seed", "metadata"),
        *("response_format", "tools", "tool_choice", "presence_penalty", "frequency_penalty", "n", "prediction"),
        *("parallel_tool_calls", "reasoning_effort", "prompt_mode", "service_tier", "safe_prompt"),
    }
)
_MISTRAL_ID = re.compile(r"[a-zA-Z0-9]{9}")
_GEMINI_FIELDS = ("frequency_penalty", "presence_penalty", "logit_bias", "user", "store", "seed")
_GEMINI_KEYWORDS = frozenset({"additionalProperties", "$ref", "$defs", "const", "default", "title", "exclusiveMinimum"})


def openai_unsupported(field: str, instead: str = "") -> Refuse:
    """A field that the model does not have."""
    said = f"Unsupported parameter: '{field}' is not supported with this model. {instead}".strip()
    return lambda asked: (400, _openai(said, "unsupported_parameter", field)) if field in asked else None


def openai_only_default(field: str) -> Refuse:
    """A field that the model has, with one value."""

    def refuse(asked: Json) -> Refused | None:
        if asked.get(field) in {None, 1}:
            return None
        said = (
            f"Unsupported value: '{field}' does not support {asked[field]} with this model. "
            "Only the default (1) value is supported."
        )
        return 400, _openai(said, "unsupported_value", field)

    return refuse


def empty_tools(asked: Json) -> Refused | None:
    """No tools are told by no field."""
    said = "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead."
    return (400, _openai(said, "empty_array", "tools")) if asked.get("tools") == [] else None


def long_ids(asked: Json) -> Refused | None:
    """Ids of calls have 40 characters at most."""
    for number, call in _calls(asked):
        if len(call.get("id") or "") > 40:
            where = f"messages[{number}].tool_calls[0].id"
            said = f"Invalid '{where}': string too long. Expected a string with maximum length 40."
            return 400, _openai(said, "string_above_max_length", where)
    return None


def unanswered_calls(asked: Json) -> Refused | None:
    """Each call has its answer, and each answer its call."""
    made = [call.get("id") for _, call in _calls(asked)]
    answered = [each.get("tool_call_id") for each in asked["messages"] if each["role"] == "tool"]
    if sorted(map(str, made)) == sorted(map(str, answered)):
        return None
    said = "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'."
    return 400, _openai(said, None, "messages")


def not_strict(asked: Json) -> Refused | None:
    """A schema that says it is strict is checked to be."""
    form = (asked.get("response_format") or {}).get("json_schema") or {}
    if form.get("strict") and (found := violations(form.get("schema", {}))):
        said = f"Invalid schema for response_format '{form.get('name')}': In context=(), {found[0]}."
        return 400, _openai(said, None, "response_format")
    for number, tool in enumerate(asked.get("tools") or []):
        function = tool["function"]
        if function.get("strict") and (found := violations(function.get("parameters", {}))):
            said = f"Invalid schema for function '{function['name']}': In context=(), {found[0]}."
            return 400, _openai(said, "invalid_function_parameters", f"tools[{number}].function.parameters")
    return None


def azure_unrecognized(field: str) -> Refuse:
    """A field that is newer than the API version. The answer names it in its words only."""
    body = {"error": {"message": f"Unrecognized request argument supplied: {field}", "type": "invalid_request_error",
                      "param": None, "code": None}}  # fmt: skip
    return lambda asked: (400, body) if field in asked else None


def at_most(most: int, wording: str) -> Refuse:
    """Answers of so many tokens."""

    def refuse(asked: Json) -> Refused | None:
        wanted = asked.get("max_tokens") or asked.get("max_completion_tokens") or 0
        said = wording.format(asked=wanted, most=most)
        return (400, _openai(said, "invalid_value", "max_tokens")) if wanted > most else None

    return refuse


def broken_history(asked: Json) -> Refused | None:
    """Arguments of past calls are read again."""
    for _, call in _calls(asked):
        if not _is_object(call["function"].get("arguments")):
            return 400, {"error": {"message": "invalid tool call arguments", "type": "invalid_request_error"}}
    return None


def empty_content(asked: Json) -> Refused | None:
    """A message has content, or calls."""
    for each in asked["messages"]:
        if each.get("content") is None and not each.get("tool_calls"):
            return 400, {"error": {"message": "invalid message content type: <nil>", "type": "invalid_request_error"}}
    return None


def ollama_without_tools(asked: Json) -> Refused | None:
    """The model's template has no place for tools."""
    said = "registry.ollama.ai/library/rules:latest does not support tools"
    body = {"error": {"message": said, "type": "invalid_request_error", "param": None, "code": None}}
    return (400, body) if asked.get("tools") else None


def llama_without_jinja(asked: Json) -> Refused | None:
    """A fault of the request that comes as one of the server."""
    for field in ("tools", "tool_choice"):
        if asked.get(field) not in (None, [], "auto"):
            said = f"{field} param requires --jinja flag"
            return 500, {"error": {"code": 500, "message": said, "type": "server_error"}}
    return None


def vllm_context(tokens: int) -> Refuse:
    """Prompt and answer share the context."""

    def refuse(asked: Json) -> Refused | None:
        prompt, answer = tokens_in(len(json.dumps(asked["messages"]))), asked.get("max_tokens") or 0
        if prompt + answer <= tokens:
            return None
        said = (
            f"This model's maximum context length is {tokens} tokens. However, you requested {answer} output tokens "
            f"and your prompt contains {prompt} input tokens, for a total of {prompt + answer} tokens. Please reduce "
            "the length of the input prompt or the number of requested output tokens."
        )
        return 400, {"error": {"message": said, "type": "BadRequestError", "param": "input_tokens", "code": 400}}

    return refuse


def vllm_without_parser(asked: Json) -> Refused | None:
    """The server was started without what reads the model's calls."""
    if not asked.get("tools"):
        return None
    forced = asked.get("tool_choice") not in {None, "auto"} if not isinstance(asked.get("tool_choice"), dict) else True
    said = (
        f'tool_choice="{asked["tool_choice"]}" requires --tool-call-parser to be set'
        if forced
        else '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    )
    return 400, {"error": {"message": said, "type": "BadRequestError", "param": None, "code": 400}}


def mistral_fields(asked: Json) -> Refused | None:
    """Every unknown field, all at once; the message is an object."""
    unknown = [each for each in asked if each not in _MISTRAL_FIELDS]
    detail = [
        {"type": "extra_forbidden", "loc": ["body", each], "msg": "Extra inputs are not permitted"} for each in unknown
    ]
    body = {"object": "error", "message": {"detail": detail}, "type": "invalid_request_error", "code": None}
    return (422, body) if unknown else None


def mistral_ids(asked: Json) -> Refused | None:
    """Ids of calls as it makes them itself."""
    for _, call in _calls(asked):
        if not _MISTRAL_ID.fullmatch(call.get("id") or ""):
            said = f"Tool call id was {call.get('id')} but must be a-z, A-Z, 0-9, with a length of 9."
            return 400, {"object": "error", "message": said, "type": "invalid_function_call", "code": "3280"}
    return None


def mistral_turns(asked: Json) -> Refused | None:
    """After a tool comes the assistant."""
    roles = [each["role"] for each in asked["messages"]]
    if any(pair == ("tool", "user") for pair in itertools.pairwise(roles)):
        said = "Unexpected role 'user' after role 'tool'"
        return 400, {"object": "error", "message": said, "type": "invalid_request_message_order", "code": "3230"}
    return None


def gemini_fields(asked: Json) -> Refused | None:
    """Unknown fields, one a line. Every error is in a list."""
    unknown = [each for each in _GEMINI_FIELDS if each in asked]
    lines = [f'Invalid JSON payload received. Unknown name "{each}": Cannot find field.' for each in unknown]
    return _gemini("\n".join(lines)) if unknown else None


def gemini_keywords(asked: Json) -> Refused | None:
    """Keywords of JSON Schema that it does not know, in the schemas of tools."""
    for number, tool in enumerate(asked.get("tools") or []):
        where = f"tools[0].function_declarations[{number}].parameters"
        if unknown := sorted(_keywords(tool["function"].get("parameters", {})) & _GEMINI_KEYWORDS):
            lines = [
                f"Invalid JSON payload received. Unknown name \"{each}\" at '{where}': Cannot find field."
                for each in unknown
            ]
            return _gemini("\n".join(lines))
    return None


def gemini_signatures(asked: Json) -> Refused | None:
    """A call of the past carries the signature that it came with."""
    for _, call in _calls(asked):
        if not ((call.get("extra_content") or {}).get("google") or {}).get("thought_signature"):
            return _gemini("Function call is missing a thought_signature in functionCall parts. This is required for "
                           "tools to work correctly.")  # fmt: skip
    return None


def openrouter_forced(asked: Json) -> Refused | None:
    """No provider of the model can be made to call."""
    said = "No endpoints found that support the provided 'tool_choice' value. To learn more, visit the documentation."
    return (404, {"error": {"message": said, "code": 404}}) if asked.get("tool_choice") not in {None, "auto"} else None


def openrouter_upstream(field: str) -> Refuse:
    """What a provider said is text inside of the answer."""
    raw = json.dumps(_openai(f"Unknown parameter: '{field}'.", "unknown_parameter", field))
    metadata = {"raw": raw, "provider_name": "OpenAI"}
    body = {"error": {"message": "Provider returned error", "code": 400, "metadata": metadata}}
    return lambda asked: (400, body) if field in asked else None


def deepseek_schemas(asked: Json) -> Refused | None:
    """JSON, but to no schema."""
    is_schema = (asked.get("response_format") or {}).get("type") == "json_schema"
    return (400, _openai("This response_format type is unavailable now", None, None)) if is_schema else None


def lmstudio_choice(asked: Json) -> Refused | None:
    """The error is a text."""
    said = "Invalid tool_choice type: 'object'. Supported string values: none, auto, required"
    return (400, {"error": said}) if isinstance(asked.get("tool_choice"), dict) else None


def _openai(message: str, code: str | None, param: str | None) -> Json:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def _gemini(message: str) -> Refused:
    return 400, [{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}]


def _calls(asked: Json) -> Iterator[tuple[int, Json]]:
    """The calls of the conversation, each with the number of its message."""
    for number, each in enumerate(asked["messages"]):
        for call in each.get("tool_calls") or []:
            yield number, call


def _is_object(text: Any) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (TypeError, ValueError):
        return False


def _keywords(schema: Any) -> set[str]:
    """The keywords of a schema, not the names of its properties."""
    if isinstance(schema, list):
        return set().union(*map(_keywords, schema))
    if not isinstance(schema, dict):
        return set()
    found: set[str] = set()
    for key, value in schema.items():
        found.add(key)
        inner = value.values() if key in {"properties", "$defs"} and isinstance(value, dict) else [value]
        for each in inner:
            found |= _keywords(each) if key not in {"enum", "required"} else set()
    return found

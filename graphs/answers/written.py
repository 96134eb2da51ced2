"""Tools and schemas written into the prompt, for servers without native support.

The model is told which tools there are and how to call them, as JSON. If the server supports constrained decoding,
answers are constrained to calls of these tools. `message.py` reads the calls.
"""

import json
from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

FUNCTIONS = (
    "You have these functions. Call one of them in each answer. Your answer is the call and nothing else, as JSON: "
    '{"name": "the function", "arguments": {...}}. You are told what it returned.\n'
)
SCHEMA = "Answer with one JSON object and nothing else: no prose, no fence. It has to fit this JSON schema:\n"
RETURNED = "It returned:\n"


def with_schema(payload: Json, name: str, schema: Json) -> Json:
    """The request with the answer's schema in the prompt."""
    return {**payload, "messages": _told(payload["messages"], SCHEMA + _line({"title": name, **schema}))}


def in_writing(payload: Json, *, constrained: bool) -> Json:
    """The request with its tools in the prompt, and earlier calls and results as text.

    Args:
        payload: a request with tools.
        constrained: whether the server supports constrained decoding.
    """
    tools = [each["function"] for each in payload["tools"]]
    described = [{key: each.get(key, "") for key in ("name", "description", "parameters")} for each in tools]
    rest = {key: value for key, value in payload.items() if key not in {"tools", "tool_choice", "parallel_tool_calls"}}
    messages = _told(_in_turns(map(_as_text, payload["messages"])), FUNCTIONS + _line(described))
    if not constrained:
        return {**rest, "messages": messages}
    calls = {"anyOf": [_call_of(each) for each in tools]}
    form = {"type": "json_schema", "json_schema": {"name": "call", "schema": calls}}
    return {**rest, "messages": messages, "response_format": form}


def _call_of(function: Json) -> Json:
    return {
        "type": "object",
        "properties": {"name": {"type": "string", "enum": [function["name"]]}, "arguments": function["parameters"]},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _as_text(message: Json) -> Json:
    if message["role"] == "tool":
        return {"role": "user", "content": f"{RETURNED}{message['content']}"}
    if calls := message.get("tool_calls"):
        made = [{"name": each["function"]["name"], "arguments": _read(each["function"]["arguments"])} for each in calls]
        return {"role": "assistant", "content": "\n".join(map(_line, made))}
    return message


def _in_turns(messages: Iterable[Json]) -> list[Json]:
    """Merge consecutive messages of one role: many templates require user and assistant to alternate."""
    turns: list[Json] = []
    for each in messages:
        if turns and turns[-1]["role"] == each["role"]:
            turns[-1] = {**turns[-1], "content": f"{turns[-1]['content']}\n\n{each['content']}"}
        else:
            turns.append(each)
    return turns


def _read(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


def _told(messages: list[Json], text: str) -> list[Json]:
    """The messages with this text appended to the system message, which comes first."""
    first, *rest = messages
    if first["role"] in {"system", "developer"}:
        return [{**first, "content": f"{first['content']}\n\n{text}"}, *rest]
    return [{"role": "system", "content": text}, *messages]


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

"""Tools and schemas that a client wrote into the prompt, read as a model would: rules want them in their fields."""

import json
import re
from typing import Any

from app.stand_in.wire import Json
from graphs.answers.written import FUNCTIONS, RETURNED, SCHEMA

_CALL = re.compile(r'\{"name": ')


def understood(asked: Json) -> Json:
    """The request with what stands in its prompt in the fields that are there for it."""
    system = asked["messages"][0].get("content") or ""
    if FUNCTIONS in system:
        described = json.loads(system.partition(FUNCTIONS)[2])
        tools = [{"type": "function", "function": each} for each in described]
        rest = {key: value for key, value in asked.items() if key != "response_format"}
        return {**rest, "tools": tools, "messages": _called(asked["messages"]), "parallel_tool_calls": False}
    if SCHEMA in system:
        schema = json.loads(system.partition(SCHEMA)[2])
        form = {"type": "json_schema", "json_schema": {"name": schema["title"], "schema": schema}}
        return {**asked, "response_format": form}
    return asked


def written_out(document: Json) -> Json:
    """A completion with its first call as text."""
    choice = document["choices"][0]
    if calls := choice["message"].get("tool_calls"):
        function = calls[0]["function"]
        text = json.dumps({"name": function["name"], "arguments": json.loads(function["arguments"])})
        message = {"role": "assistant", "content": text}
        return {**document, "choices": [{**choice, "message": message, "finish_reason": "stop"}]}
    return document


def is_written(asked: Json) -> bool:
    """Whether the tools of a request stand in its prompt."""
    return FUNCTIONS in (asked["messages"][0].get("content") or "")


def _called(messages: list[Json]) -> list[Json]:
    """The conversation with its calls and their answers as such."""
    found: list[Json] = []
    waiting: list[str] = []
    for number, each in enumerate(messages):
        text = each.get("content") or ""
        if each["role"] == "assistant" and _CALL.match(text):
            made = [_made(line, f"{number}-{at}") for at, line in enumerate(text.splitlines())]
            waiting = [call["id"] for call in made]
            found.append({"role": "assistant", "content": None, "tool_calls": made})
        elif each["role"] == "user" and RETURNED in text and waiting:
            answers = text.split(RETURNED)[1:]
            found += [
                {"role": "tool", "tool_call_id": name, "content": answer.strip("\n")}
                for name, answer in zip(waiting, answers, strict=False)
            ]
        else:
            found.append(each)
    return found


def _made(line: str, name: str) -> Json:
    call: dict[str, Any] = json.loads(line)
    function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
    return {"id": name, "type": "function", "function": function}

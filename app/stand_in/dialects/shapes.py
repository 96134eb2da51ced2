"""What a completion looks like where it comes from: the same content in each server's own form."""

import copy
import json
from collections.abc import Callable
from typing import Any

from app.stand_in.wire import Json

Shape = Callable[[Json], Json]

THOUGHT = 'The user wants data. Perhaps {"action": "report"}? No, I look first.'
_SAFE = {"hate": {"filtered": False, "severity": "safe"}}


def plain(document: Json) -> Json:
    """As documented."""
    return document


def openai(document: Json) -> Json:
    """With what its reasoning models add."""
    return {**document, "service_tier": "default", "system_fingerprint": None}


def azure(document: Json) -> Json:
    """With the results of its filters."""

    def change(choice: Json, _: Json) -> None:
        choice["content_filter_results"] = _SAFE

    return {
        **_changed(document, change),
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _SAFE}],
    }


def ollama(document: Json) -> Json:
    """Thoughts in `reasoning`, ids of completions that return."""

    def change(_: Json, message: Json) -> None:
        message["reasoning"] = THOUGHT
        if message["content"] is None:
            message["content"] = ""

    return {**_changed(document, change), "id": "chatcmpl-271", "usage": _without_details(document)}


def llama(document: Json) -> Json:
    """Timings, and thoughts in the text, as a template without a place for them leaves them."""

    def change(_: Json, message: Json) -> None:
        if message["content"]:
            message["content"] = f"<think>\n{THOUGHT}\n</think>\n\n{message['content']}"

    return {**_changed(document, change), "timings": {"predicted_n": 1}, "usage": _without_details(document)}


def vllm(document: Json) -> Json:
    """Lists that are always there, parts that are null."""

    def change(choice: Json, message: Json) -> None:
        message |= {"reasoning_content": None, "tool_calls": message.get("tool_calls") or []}
        choice["stop_reason"] = None

    usage = document.get("usage")
    return {**_changed(document, change), "usage": usage and {**usage, "prompt_tokens_details": None}}


def mistral(document: Json) -> Json:
    """Content in parts, arguments as an object."""

    def change(_: Json, message: Json) -> None:
        if text := message["content"]:
            thinking = {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}
            half = len(text) // 2
            message["content"] = [thinking, *({"type": "text", "text": part} for part in (text[:half], text[half:]))]
        for call in message.get("tool_calls") or []:
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])

    return _changed(document, change)


def gemini(document: Json) -> Json:
    """Empty ids, calls that end with `stop`, thoughts that only the total counts."""

    def change(choice: Json, message: Json) -> None:
        for call in message.get("tool_calls") or []:
            call |= {"id": "", "extra_content": {"google": {"thought_signature": "c2lnbmVk"}}}
        choice["finish_reason"] = "stop"

    usage = document.get("usage")
    return {**_changed(document, change), "usage": usage and {**usage, "total_tokens": usage["total_tokens"] + 7}}


def anthropic(document: Json) -> Json:
    """Words around everything, JSON in a fence."""

    def change(_: Json, message: Json) -> None:
        if message.get("tool_calls"):
            message["content"] = "I'll look that up."
        elif message["content"]:
            message["content"] = (
                f"Here is my answer:\n\n```json\n{message['content']}\n```\n\nLet me know if you need more."
            )

    return {**_changed(document, change), "usage": _without_details(document)}


def openrouter(document: Json) -> Json:
    """Where it came from, what was thought, arguments that are null where there are none."""

    def change(choice: Json, message: Json) -> None:
        message |= {"reasoning": THOUGHT, "reasoning_details": []}
        choice["native_finish_reason"] = "STOP"
        for call in message.get("tool_calls") or []:
            if call["function"]["arguments"] == "{}":
                call["function"]["arguments"] = None

    return {**_changed(document, change), "provider": "OpenAI"}


def deepseek(document: Json) -> Json:
    """Thoughts beside the text, the same id for every call of a turn."""

    def change(_: Json, message: Json) -> None:
        message["reasoning_content"] = THOUGHT
        for call in message.get("tool_calls") or []:
            call["id"] = "call_0"

    return _changed(document, change)


def lmstudio(document: Json) -> Json:
    """Ids that are numbers as texts, counted anew in each answer."""

    def change(_: Json, message: Json) -> None:
        for number, call in enumerate(message.get("tool_calls") or []):
            call["id"] = str(number)

    return {**_changed(document, change), "usage": _without_details(document)}


def _changed(document: Json, change: Callable[[Json, Json], None]) -> Json:
    changed = copy.deepcopy(document)
    for choice in changed["choices"]:
        change(choice, choice["message"])
    return changed


def _without_details(document: Json) -> Any:
    usage = document.get("usage")
    return usage and {key: value for key, value in usage.items() if not key.endswith("_details")}

"""Normalises a completion's message to what OpenAI would have sent: text, and executable calls.

Servers give content as a list of parts, arguments as an object, empty or reused ids, names with a prefix, and calls
written into the text. All of these are normalised. What cannot be read is never guessed.
"""

import json
import re
import secrets
import string
from collections.abc import Collection, Iterable
from typing import Any

from graphs.answers.reading import parsed, unwrapped, without_thoughts
from graphs.errors import AnswerWithheld, UnusableAnswer

Json = dict[str, Any]

# Mistral wants exactly this; everybody else takes it.
_ID_CHARACTERS, _ID_LENGTH = string.ascii_letters + string.digits, 9
_FENCE = re.compile(r"\A\s*```[\w-]*\s*(.*?)\s*```\s*\Z", re.DOTALL)
_TAGGED = re.compile(r"<tool_call>(.*?)</tool_call>|\[TOOL_CALLS\](.*)", re.DOTALL)  # of Hermes and Qwen; of Mistral
_GIVEN = ("arguments", "parameters", "args", "input")
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
_TEXT_PARTS = ("text", "output_text", None)


def message_of(choice: Json, offered: Collection[str]) -> Json:
    """The assistant's message, with calls of the offered tools under ids of our own.

    Args:
        choice: a completion's choice, with a message.
        offered: names of the tools offered to the model.

    Raises:
        AnswerWithheld: the model refused, or a content filter withheld the answer.
        UnusableAnswer: a call names no tool, or its arguments cannot be read.
    """
    given = choice["message"]
    if refusal := given.get("refusal"):
        raise AnswerWithheld(f"the model refused to answer: “{str(refusal)[:200]}”")
    if choice.get("finish_reason") == "content_filter":
        raise AnswerWithheld("the model provider's content filter withheld the answer")
    text = without_thoughts(_text(given.get("content"))).strip()
    calls = [_call(each, offered) for each in _calls(given)]
    if not calls and (written := list(_written_out(text, offered))):
        text, calls = "", written
    message: Json = {"role": "assistant", "content": text}
    return {**message, "tool_calls": calls} if calls else message


def new_id() -> str:
    """A new id for a call; providers' ids can be empty or reused."""
    return "".join(secrets.choice(_ID_CHARACTERS) for _ in range(_ID_LENGTH))


def _text(content: Any) -> str:
    """Content as text: a string, or the text parts of a list. Reasoning parts are left out."""
    if isinstance(content, list):
        return "".join(
            each if isinstance(each, str) else str(each.get("text") or "")
            for each in content
            if isinstance(each, str) or (isinstance(each, dict) and each.get("type") in _TEXT_PARTS)
        )
    if isinstance(content, dict):  # an object instead of its JSON
        return str(content["text"]) if isinstance(content.get("text"), str) else json.dumps(content)
    return content if isinstance(content, str) else ""


def _calls(message: Json) -> list[Json]:
    """The calls of a message as sent, from whichever field holds them."""
    given = message.get("tool_calls") or message.get("function_call") or []
    return [each for each in (given if isinstance(given, list) else [given]) if isinstance(each, dict)]


def _call(given: Json, offered: Collection[str]) -> Json:
    function = given["function"] if isinstance(given.get("function"), dict) else given
    name = str(function.get("name") or "").strip()
    if not name:
        raise UnusableAnswer("the model made a call without naming a tool", json.dumps(given))
    return _as_call(_named(name, offered), function.get("arguments"))


def _as_call(name: str, given: Any) -> Json:
    """A call under a new id. Raises UnusableAnswer when its arguments are not an object."""
    arguments = _arguments(given)
    if arguments is None:
        raise UnusableAnswer(f"the arguments of {name} are not a complete JSON object", str(given))
    return {"id": new_id(), "type": "function", "function": {"name": name, "arguments": arguments}}


def _named(name: str, offered: Collection[str]) -> str:
    """The offered tool that is meant: by exact name, or one that differs in punctuation or a `functions.` prefix."""
    if name in offered:
        return name
    plain = _plain(name)
    meant = [each for each in offered if _plain(each) in {plain, plain.removeprefix("functions_")}]
    return meant[0] if len(meant) == 1 else name


def _plain(name: str) -> str:
    return _NOT_IN_A_NAME.sub("_", name.lower()).strip("_")


def _arguments(given: Any) -> str | None:
    """Arguments as the JSON text of an object; None when they are not one."""
    if given is None:
        return "{}"
    if not isinstance(given, str):
        return json.dumps(given) if isinstance(given, dict) else None
    text = _FENCE.sub(r"\1", given).strip()
    if text in {"", "null"}:
        return "{}"
    forms = (form for value in parsed(text) for form in unwrapped(value))
    return next((json.dumps(form) for form in forms if isinstance(form, dict)), None)


def _written_out(text: str, offered: Collection[str]) -> Iterable[Json]:
    """Calls that the model wrote as text: as the whole text, or in the tags that some models use. JSON in the middle of
    prose may be a quotation and is not a call."""
    tagged = ["".join(groups) for groups in _TAGGED.findall(text)]
    for written in tagged or [_FENCE.sub(r"\1", text)]:
        for value in parsed(written.strip()):
            for form in value if isinstance(value, list) else [value]:
                if isinstance(form, dict) and (name := _called(form, offered)):
                    given = [form[key] for key in _GIVEN if key in form]
                    yield _as_call(name, given[0] if given else None)


def _called(form: Json, offered: Collection[str]) -> str:
    """The offered tool that an object calls; "" when it is not a call."""
    named = form.get("name") or form.get("tool") or form.get("function")
    name = _named(named, offered) if isinstance(named, str) else ""
    return name if name in offered else ""

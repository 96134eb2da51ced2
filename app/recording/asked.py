"""Requests compared: what is chosen at random or by a process's history does not count.

These are the ids of tool calls, the marks around untrusted text, how long an answer may be, and the service tier.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]  # as in graphs.state, which the stand-in, where this is used too, is too light to import
NOT_ASKED = frozenset({"max_tokens", "max_completion_tokens", "service_tier"})
LINES = 12  # of a difference
LINE = 200  # characters of a line of it

_MARKED = re.compile(r"<data-([0-9a-f]{8})([^>\n]*)>\n(.*?)\n</data-\1>", re.DOTALL)


def same(one: Json, other: Json) -> bool:
    """Whether both ask the same."""
    return canonical(one) == canonical(other)


def digest(request: Json) -> str:
    """The same for requests that ask the same."""
    return hashlib.sha256(json.dumps(canonical(request), sort_keys=True).encode()).hexdigest()


def canonical(request: Json) -> Json:
    """The request without what does not count."""
    numbers: dict[str, str] = {}

    def number(call_id: str) -> str:
        return numbers.setdefault(call_id, f"call-{len(numbers) + 1}")

    def plain(message: Json) -> Json:
        told = {**message}
        if isinstance(told.get("content"), str):
            told["content"] = _MARKED.sub(_unmarked, told["content"])
        if told.get("tool_calls"):
            told["tool_calls"] = [{**each, "id": number(str(each.get("id")))} for each in told["tool_calls"]]
        if "tool_call_id" in told:
            told["tool_call_id"] = number(str(told["tool_call_id"]))
        return told

    asked = {name: value for name, value in request.items() if name not in NOT_ASKED}
    return {**asked, "messages": [plain(each) for each in asked.get("messages", ())]}


def difference(then: Json, now: Json) -> list[str]:
    """What differs, as the lines of a short diff; before each part that differs, its name."""
    one, other = canonical(then), canonical(now)
    found: list[str] = []
    for name in dict.fromkeys([*one, *other]):
        if name != "messages" and one.get(name) != other.get(name):
            found += [f"{name}:", *_changed(_lines(one.get(name)), _lines(other.get(name)))]
    ours, theirs = one["messages"], other["messages"]
    for place in range(max(len(ours), len(theirs))):
        before, after = (each[place] if place < len(each) else {} for each in (ours, theirs))
        if before != after:
            role = (after or before).get("role")
            found += [f"message {place + 1} ({role}):", *_changed(_lines(before), _lines(after))]
            break  # those after it differ because of it
    return [each if len(each) <= LINE else f"{each[:LINE]}…" for each in found[:LINES]]


def nearest(request: Json, known: Sequence[Json]) -> int:
    """The place of the request that is the most like this one."""
    wanted = _lines(canonical(request))

    def likeness(other: Json) -> float:
        return difflib.SequenceMatcher(None, wanted, _lines(canonical(other)), autojunk=False).ratio()

    return max(range(len(known)), key=lambda place: likeness(known[place]))


def _unmarked(match: re.Match[str]) -> str:
    mark, label, text = match.groups()
    if label:
        text = "\n".join(line.removeprefix(f"{mark[:4]}| ") for line in text.split("\n"))
    return f"<data{label}>\n{text}\n</data>"


def _lines(value: object) -> list[str]:
    """A value as lines: JSON, with the line breaks of its texts."""
    return json.dumps(value, indent=1, ensure_ascii=False).replace("\\n", "\n").splitlines()


def _changed(then: list[str], now: list[str]) -> list[str]:
    diff = difflib.unified_diff(then, now, lineterm="", n=0)
    return [line for line in diff if line[:3] not in {"---", "+++"} and not line.startswith("@@")]

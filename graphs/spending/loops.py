"""The loop guard: detects loops in hand-offs and in tool calls. Pure, no I/O.

Wording alone cannot identify a loop: an honest plan asks the same about each region. So nothing that brought something
new counts as a repetition, and long enough without anything new is a loop in any wording.

Both functions check every prefix of the list: once a loop, always a loop. To try again, start a new list.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from rapidfuzz import fuzz
from typing_extensions import TypedDict  # pydantic cannot use the one of typing before Python 3.12

from graphs.spending.limits import Limits
from graphs.state import HandoffRecord
from graphs.stop_reasons import StopReason

# Percent of `token_set_ratio`, which ignores order and politeness: rewordings of one request score 75 to 90. Requests
# that share only their opening words come close, which is why similarity alone never counts.
ALIKE = 75
COMPARED_CHARS = 2_000
QUOTED_CHARS = 120

_SENTENCE_START = re.compile(r"(?:^|[.!?:]\s)\W*\w+")
_WORD = re.compile(r"\w+")


class ToolCallRecord(TypedDict):
    """One tool call of one agent in one task. `digest` is that of the result's content; None when the call failed."""

    tool: str
    arguments: dict[str, Any]
    digest: str | None


class Loop(NamedTuple):
    """The kind of loop, and what was repeated."""

    reason: StopReason
    detail: str


def in_handoffs(handoffs: Sequence[HandoffRecord], limits: Limits) -> Loop | None:
    """The first loop in the hand-offs of a job, oldest first.

    Identical and reworded: one agent, `repeats` tasks with the same objective, none of which brought anything new.
    Ping-pong: two agents in turn, twice each, with nothing new. No progress: nothing new in `idle_handoffs` hand-offs
    in a row. A task that verification sent back counts once; if its first attempt brought something, the second need
    not.
    """
    counted = _without_second_attempts(handoffs)
    beginnings = (counted[: end + 1] for end, each in enumerate(counted) if not each["fresh"])
    return next((loop for each in beginnings if (loop := _closed_by_handoff(each, limits))), None)


def in_tool_calls(calls: Sequence[ToolCallRecord], limits: Limits) -> Loop | None:
    """The first loop in the tool calls of one agent in one task, oldest first.

    A call brings something new when it succeeds with content that no earlier call returned. Identical: the same
    arguments for the `repeats`-th time. Reworded: `repeats` + 1 consecutive calls of one tool with similar arguments
    and nothing new, so that an agent may fail, correct its arguments and fail again. No progress: `idle_handoffs`
    consecutive calls without anything new.
    """
    seen: set[str] = set()
    idle = 0
    for end, call in enumerate(calls, start=1):
        if call["digest"] is None or call["digest"] in seen:
            idle += 1
            if loop := _closed_by_call(calls[:end], idle, limits):
                return loop
        else:
            idle = 0
            seen.add(call["digest"])
    return None


def _closed_by_handoff(handoffs: Sequence[HandoffRecord], limits: Limits) -> Loop | None:
    last = handoffs[-1]
    idle = [each for each in _without_result(handoffs) if each["agent"] == last["agent"]]
    asked = f'{last["agent"]}: "{_short(last["objective"])}"'
    same = sum(_normalised(each["objective"]) == _normalised(last["objective"]) for each in idle)
    if same >= limits.repeats:
        return Loop(StopReason.LOOP_IDENTICAL, f"{same} times {asked}")
    similar = sum(_alike(each["objective"], last["objective"]) for each in idle)
    if similar >= limits.repeats:
        return Loop(StopReason.LOOP_REWORDED, f"{similar} times {asked}")
    tail = list(takewhile(lambda each: not each["fresh"], reversed(handoffs)))[::-1]
    earlier = {each["task"] for each in handoffs[: -len(tail)]}
    players = [each["agent"] for each in _first_of_each_task(tail) if each["task"] not in earlier][-4:]
    if len(players) == 4 and players[:2] == players[2:] and players[0] != players[1]:
        return Loop(StopReason.LOOP_PING_PONG, f"{players[0]} and {players[1]}, at last {asked}")
    if len(tail) >= limits.idle_handoffs:
        return Loop(StopReason.LOOP_NO_PROGRESS, f"{len(tail)} hand-offs, at last {asked}")
    return None


def _closed_by_call(calls: Sequence[ToolCallRecord], idle: int, limits: Limits) -> Loop | None:
    last, text = calls[-1], _text(calls[-1])
    called = f"{last['tool']}({_short(_canonical(last))})"
    same = sum(each["tool"] == last["tool"] and _canonical(each) == _canonical(last) for each in calls)
    if same >= limits.repeats:
        return Loop(StopReason.LOOP_IDENTICAL, f"{same} times {called}")
    tail = reversed(calls[-idle:])
    similar = len([*takewhile(lambda each: each["tool"] == last["tool"] and _alike(_text(each), text), tail)])
    if similar > limits.repeats:
        return Loop(StopReason.LOOP_REWORDED, f"{similar} calls, at last {called}")
    if idle >= limits.idle_handoffs:
        return Loop(StopReason.LOOP_NO_PROGRESS, f"{idle} calls, at last {called}")
    return None


def _without_second_attempts(handoffs: Sequence[HandoffRecord]) -> list[HandoffRecord]:
    """The hand-offs without fruitless second attempts at tasks whose first attempt brought something."""
    attempts: dict[str, list[int]] = {}
    counted = []
    for each in handoffs:
        earlier = attempts.setdefault(each["task"], [])
        if each["fresh"] or len(earlier) != 1 or not earlier[0]:
            counted.append(each)
        earlier.append(each["fresh"])
    return counted


def _without_result(handoffs: Sequence[HandoffRecord]) -> list[HandoffRecord]:
    """The first hand-off of each task that brought nothing new in any attempt."""
    fruitful = {each["task"] for each in handoffs if each["fresh"]}
    return [each for each in _first_of_each_task(handoffs) if each["task"] not in fruitful]


def _first_of_each_task(handoffs: Sequence[HandoffRecord]) -> list[HandoffRecord]:
    firsts: dict[str, HandoffRecord] = {}
    for each in handoffs:
        firsts.setdefault(each["task"], each)
    return list(firsts.values())


def _alike(one: str, other: str) -> bool:
    """Whether one rewords the other: similar words, and the same names and numbers, because north is not south."""
    alike = fuzz.token_set_ratio(_normalised(one), _normalised(other), score_cutoff=ALIKE)
    return alike > 0 and _names_and_numbers(one) == _names_and_numbers(other)


def _names_and_numbers(text: str) -> set[str]:
    """Words with a digit, and capitalised words that do not begin a sentence."""
    inside = _WORD.findall(_SENTENCE_START.sub(" ", text[:COMPARED_CHARS]))
    return {each.casefold() for each in inside if each[0].isupper() or any(map(str.isdigit, each))}


def _normalised(text: str) -> str:
    """The text's words in lower case; text without words is unchanged."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_WORD.findall(folded[:COMPARED_CHARS])) or folded


def _canonical(call: ToolCallRecord) -> str:
    return json.dumps(call["arguments"], sort_keys=True)


def _text(call: ToolCallRecord) -> str:
    return " ".join(_leaves(call["arguments"]))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _leaves(each)
    else:
        yield str(value)


def _short(text: str) -> str:
    return text if len(text) <= QUOTED_CHARS else f"{text[:QUOTED_CHARS]}…"

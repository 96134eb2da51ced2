"""Describes a source in words: what was asked of which data and when, or which document it is; and the call behind it.

All of it follows from the call and its result, so it holds for any server.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from graphs.evidence.rendering import about, counted
from graphs.evidence.store import Evidence, evidence_ids
from graphs.state import EvidenceRef, Json
from graphs.untrusted.inert import is_address

MOST_ARGUMENTS = 2000  # characters
_KINDS = {"chart": "Chart", "document": "Document"}


class Source(NamedTuple):
    """A source, by its number if it is cited. `address` may be followed; `call` is what was asked of which tool."""

    number: int | None
    id: str
    words: str
    address: str
    doubts: list[str]
    call: list[tuple[str, str]]


def source(
    ref: EvidenceRef,
    stored: Evidence | None,
    agent: str,
    known: Mapping[str, EvidenceRef],
    numbers: Mapping[str, int],
) -> Source:
    """The source. `agent` is who asked; `known` is all evidence of the job, and `numbers` those of the cited."""
    title = stored.tool_title if stored else ""
    cited = ref["source"]
    url = (cited or {}).get("url", "")
    follow = url if is_address(url) and not ref["flags"] else ""
    words = _document(cited, ref, "" if follow else url) if cited else _data(ref, title, known, numbers)
    return Source(numbers.get(ref["id"]), ref["id"], words, follow, _doubts(ref), _call(ref, title, stored, agent))


def asked_at(called_at: str) -> str:
    """`2026-11-30 14:02 UTC`; "" if the time is unknown."""
    return datetime.fromisoformat(called_at).strftime("%Y-%m-%d %H:%M UTC") if called_at else ""


def in_words(name: str) -> str:
    """`knowledge_base` as `Knowledge base`."""
    words = " ".join(name.replace("_", " ").replace("-", " ").split())
    return words[:1].upper() + words[1:]


def arguments_in_words(value: Any) -> str:
    """Arguments as a reader would say them: `country = X, Y; from = 2024`."""
    if isinstance(value, dict):
        told = {key: each for key, each in value.items() if each not in (None, "", [], {})}
        return "; ".join(f"{key.replace('_', ' ')} {_is(each)}" for key, each in told.items())
    if isinstance(value, list):
        return ", ".join(map(arguments_in_words, value))
    return " ".join(str(value).split())


def _is(value: Any) -> str:
    if isinstance(value, dict):
        return f"({arguments_in_words(value)})"
    return f"= {arguments_in_words(value)}"


def _document(cited: Json, ref: EvidenceRef, address: str) -> str:
    day = cited.get("retrieved", "")
    parts = [
        f"Document: {ref['title']}",
        cited["publisher"],
        cited["date"],
        address,
        f"read {day}" if day else _when("read", ref),
    ]
    return ", ".join(filter(None, parts))


def _data(ref: EvidenceRef, title: str, known: Mapping[str, EvidenceRef], numbers: Mapping[str, int]) -> str:
    """`Sales: Revenue by year, asked 2026-11-30 14:02 UTC`."""
    asked = title or in_words(ref["tool"])
    if ref["title"] != ref["tool"]:
        asked = f"{_KINDS[ref['kind']]}: {ref['title']}" if ref["kind"] in _KINDS else ref["title"]
    elif told := arguments_in_words(ref["arguments"]):
        asked = f"{asked}, for {told}"
    under = [each for each in dict.fromkeys(evidence_ids(ref["arguments"])) if each in known]
    named = [f"{f'source {numbers[each]}' if each in numbers else each} ({known[each]['title']})" for each in under]
    computed = f"computed on {' and '.join(named)}" if named else ""
    parts = [f"{in_words(ref['server'])}: {asked}", computed, _when("asked", ref)]
    return ", ".join(filter(None, parts))


def _when(verb: str, ref: EvidenceRef) -> str:
    at = asked_at(ref["called_at"])
    return f"{verb} {at}" if at else ""


def _doubts(ref: EvidenceRef) -> list[str]:
    outside = ["from outside, not verified"] if ref["untrusted"] else []
    return outside + ([f"reads like instructions ({', '.join(ref['flags'])})"] if ref["flags"] else [])


def _call(ref: EvidenceRef, title: str, stored: Evidence | None, agent: str) -> list[tuple[str, str]]:
    asked = json.dumps(ref["arguments"], ensure_ascii=False)
    rows = f"{counted(ref['rows'], 'row')}: {', '.join(ref['columns'])}" if ref["columns"] else ref["kind"]
    told = {
        "Asked by": f"{agent}, task {ref['task']}",
        "Tool": f"{ref['server']}.{ref['tool']}" + (f" ({title})" if title else ""),
        "Arguments": asked if len(asked) <= MOST_ARGUMENTS else f"{asked[:MOST_ARGUMENTS]}\u2026",
        "Result": rows,
        "Call": about(stored) if stored else "no longer stored",
        "Evidence": ref["id"],
    }
    return list(told.items())

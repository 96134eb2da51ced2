"""Upgrades stored states of earlier versions for reading. Their jobs are not continued, and nothing is rewritten.

One function per version adds what that version added. `tests/app/stored_jobs` has jobs of each.
"""

from typing import Any

from graphs.state import SCHEMA_VERSION, Json


def upgraded(values: Json) -> Json:
    """The state with all current fields; its version number stays."""
    version = values.get("schema_version", SCHEMA_VERSION)
    if version < 2:
        values = _marks(values)
    return _reasons(values) if version < 3 else values


def _marks(values: Json) -> Json:
    """Version 2 added marks, and how evidence was obtained. The first jobs of version 1 lack both."""
    evidence = {
        name: {"cached": False, "called_at": "", "untrusted": False, "flags": [], "size": each.get("bytes", 0), **each}
        for name, each in values.get("evidence", {}).items()
    }
    return {**values, "evidence": evidence, "findings": _each(values, "findings", marks=[])}


def _reasons(values: Json) -> Json:
    """Version 3 added why a task failed, and which sources did not answer it."""
    return {**values, "tasks": _each(values, "tasks", reason=None, unanswered=[])}


def _each(values: Json, name: str, **added: Any) -> Json:
    return {key: {**added, **each} for key, each in values.get(name, {}).items()}

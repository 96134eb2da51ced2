"""A job's events in words: who did what. For terminals and for the console."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from graphs.evidence.rendering import counted
from graphs.state import Json
from graphs.stop_reasons import EXPLAINED, StopReason

ARGUMENTS = 90  # characters of a call's arguments


class Line(NamedTuple):
    """What somebody did. Without `who` it goes on with the line before."""

    who: str
    what: str


def told(event: Json) -> list[Line]:
    """The lines of an event; none if people need not read of it."""
    tell = _TOLD.get(event["type"])
    return list(tell(event)) if tell else []


def _job(event: Json) -> Iterator[Line]:
    shown = str(event.get("status", event["job_id"]))
    until = f": {event['stop_detail']}" if event.get("stop_detail") else ""
    if shown != "running":
        yield Line("job", f"{shown.replace('_', ' ')}{until}")


def _decision(event: Json) -> Iterator[Line]:
    yield Line("human", f"decides: {event['action']}")


def _gap(event: Json) -> Iterator[Line]:
    yield Line("warning", f"{counted(event['missed'], 'event')} before this were dropped")


def _plan(event: Json) -> Iterator[Line]:
    tasks = event["tasks"]
    yield Line("supervisor", f"plans {counted(len(tasks), 'task')}" if tasks else "has enough, asks for the report")
    for task in tasks:
        after = f" after {', '.join(task['depends_on'])}" if task["depends_on"] else ""
        yield Line("", f"{task['id']} → {task['agent']}{after}: {task['objective']}")


def _task_started(event: Json) -> Iterator[Line]:
    yield Line(event["agent"], f"starts {event['task']}")


def _tool_call(event: Json) -> Iterator[Line]:
    given = ", ".join(f"{key}={value!r}" for key, value in event["arguments"].items())
    shown = given if len(given) <= ARGUMENTS else f"{given[:ARGUMENTS]}…"
    took = "from the cache" if event.get("cached") else f"{event.get('ms')} ms"
    outcome = f"→ {event['evidence']}, {took}" if "evidence" in event else f"→ {event['error']}"
    if event.get("flags"):
        outcome += f", reads like instructions ({', '.join(event['flags'])})"
    yield Line(event["agent"], f"{event['tool'].replace('__', '.')}({shown}) {outcome}")


def _task_finished(event: Json) -> Iterator[Line]:
    yield Line(event["agent"], f"failed: {event['error']}" if event["error"] else f"finishes {event['id']}")
    for gap in event["gaps"]:
        yield Line(event["agent"], f"gap: {gap}")


def _task_paused(event: Json) -> Iterator[Line]:
    yield Line(event["agent"], f"pauses {event['id']}: {event['error']}")


def _budget(event: Json) -> Iterator[Line]:
    if "stop_reason" in event:
        detail = f" ({event['stop_detail']})" if event["stop_detail"] else ""
        yield Line("budget", f"{event['route']}: {EXPLAINED[StopReason(event['stop_reason'])]}{detail}")


def _verified(event: Json) -> Iterator[Line]:
    counts = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in event["findings"].items())
    doubtful = f", {event['marked']} of them marked as doubtful" if event.get("marked") else ""
    yield Line("verify", f"findings: {counts or 'none'}{doubtful}")


def _report(event: Json) -> Iterator[Line]:
    yield Line("report", f"draft {event['attempt']} written")


def _report_verified(event: Json) -> Iterator[Line]:
    problems = event["problems"]
    found = f"{counted(problems, 'statement')} without evidence" if problems else "every number is in evidence"
    yield Line("verify", found + (", sent back" if event["sent_back"] else ""))


def _warning(event: Json) -> Iterator[Line]:
    yield Line("warning", event["message"])


_TOLD: Mapping[str, Callable[[Json], Iterator[Line]]] = {
    "job": _job,
    "decision": _decision,
    "gap": _gap,
    "plan": _plan,
    "task_started": _task_started,
    "tool_call": _tool_call,
    "task_finished": _task_finished,
    "task_paused": _task_paused,
    "budget": _budget,
    "verified": _verified,
    "report": _report,
    "report_verified": _report_verified,
    "warning": _warning,
}

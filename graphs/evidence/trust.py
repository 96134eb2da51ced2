"""Marks what should not be believed at face value. Code decides, from the origin of evidence and from what agents read.

A mark follows the data: from a result to whatever was computed from it by reference, and from a flagged result to all
that its agent said and to the agents that build on it, because their words may be under its influence.
"""

from collections.abc import Callable, Iterable, Mapping

from agents.base import Confidence
from graphs.evidence.store import evidence_ids
from graphs.state import EvidenceRef, ResearchState, TaskState

FLAGGED, EXPOSED, OUTSIDE = "flagged_source", "exposed_agent", "untrusted_source"
# What readers see beside a citation, worst first, and the highest confidence of a finding with each mark.
SAID = {FLAGGED: "source reads like instructions", EXPOSED: "agent had read instructions", OUTSIDE: "from outside"}
_AT_MOST: Mapping[str, Confidence] = {FLAGGED: "low", EXPOSED: "low", OUTSIDE: "medium"}
RISING = ("low", "medium", "high")


def marks_of(state: ResearchState, cited: Iterable[str], task_id: str) -> list[str]:
    """The marks of what an agent said in this task about this evidence, worst first."""
    evidence = state["evidence"]
    rests_on = [evidence[each] for each in closure(cited, evidence)]
    holds = {
        FLAGGED: any(each["flags"] for each in rests_on),
        EXPOSED: any(each["flags"] for each in _read_by(task_id, state)),
        OUTSIDE: any(each["untrusted"] for each in rests_on),
    }
    return [mark for mark in SAID if holds[mark]]


def at_most(confidence: str, marks: Iterable[str]) -> str:
    """The confidence, capped at what the marks allow."""
    return min([confidence, *(_AT_MOST[each] for each in marks)], key=RISING.index)


def said_of_evidence(state: ResearchState) -> dict[str, str]:
    """What readers see beside citations, for each marked piece of evidence."""
    marks = {name: marks_of(state, [name], each["task"]) for name, each in state["evidence"].items()}
    return {name: SAID[own[0]] for name, own in marks.items() if own}


def closure(cited: Iterable[str], evidence: Mapping[str, EvidenceRef]) -> set[str]:
    """This evidence, and what it was computed from."""

    def computed_on(name: str) -> list[str]:
        return [each for each in evidence_ids(evidence[name]["arguments"]) if each in evidence]

    return _reached([each for each in cited if each in evidence], computed_on)


def _read_by(task_id: str, state: ResearchState) -> list[EvidenceRef]:
    """The evidence of the task and of the tasks it builds on."""
    tasks = _ancestry(task_id, state["tasks"])
    return [each for each in state["evidence"].values() if each["task"] in tasks]


def _ancestry(task_id: str, tasks: Mapping[str, TaskState]) -> set[str]:
    return _reached([task_id], lambda name: tasks[name]["depends_on"] if name in tasks else [])


def _reached(start: Iterable[str], onward: Callable[[str], Iterable[str]]) -> set[str]:
    """Everything reachable from `start`, included."""
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        found.add(name := waiting.pop())
        waiting += [each for each in onward(name) if each not in found]
    return found

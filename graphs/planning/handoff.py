"""What an agent is handed: its task, and the findings and evidence it builds on. Bounded, and complete or refused."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from agents.base import AgentSpec
from graphs.errors import HandoffRefused
from graphs.evidence.store import Evidence
from graphs.state import MAX_ENTRIES, EvidenceRef, FindingState, Json, ResearchState, TaskState, of_status
from graphs.untrusted.spotlight import FLAGGED, UNTRUSTED

MOST_EVIDENCE = 12
MOST_FINDINGS = 40
PREVIEW_LINES = 6
PREVIEW_CHARS = 1000
PACKET_CHARS = 60_000
_SHOWN_OF_EVIDENCE = ("id", "tool", "title", "arguments", "columns", "rows")
_SHOWN_OF_FINDING = ("claim", "value", "unit", "period", "evidence")

T = TypeVar("T")


class Handoff(TypedDict):
    """One task for its agent, and the account. `omitted` counts what the bounds left out; `findings_left` and
    `evidence_left` are how many new ones the state has room for."""

    job_id: str
    tenant: str
    limits: Json
    deadline_at: str
    question: str
    task: TaskState
    findings: list[FindingState]
    evidence: list[EvidenceRef]
    omitted: int
    findings_left: int
    evidence_left: int


_HANDOFF = TypeAdapter(Handoff)


def handoff(task: TaskState, state: ResearchState, agents: Sequence[AgentSpec] = ()) -> Handoff:
    """The hand-off of this task, with the newest of what it builds on. What its agents were briefed with is of no use
    to others."""
    sources = {*task["depends_on"], task["id"]}
    useful = [each for each in state["evidence"].values() if not is_briefing(each, agents)]
    findings, fewer = newest([each for each in of_status(state, "verified") if each["task"] in sources], MOST_FINDINGS)
    evidence, less = newest([each for each in useful if each["task"] in sources], MOST_EVIDENCE)
    return Handoff(
        job_id=state["job_id"],
        tenant=state["tenant"],
        limits=state["limits"],
        deadline_at=state["deadline_at"],
        question=state["question"],
        task=task,
        findings=findings,
        evidence=evidence,
        omitted=fewer + less,
        findings_left=_share(state["findings"], state),
        evidence_left=_share(state["evidence"], state),
    )


def _share(entries: Mapping[str, object], state: ResearchState) -> int:
    """How many entries each of the tasks dispatched together may still add."""
    return (MAX_ENTRIES - len(entries)) // max(1, len(state.get("dispatch", [])))


def newest(entries: Sequence[T], most: int) -> tuple[list[T], int]:
    """The last `most` entries, and how many were left out."""
    return list(entries[-most:]), max(0, len(entries) - most)


def packet(given: Handoff, stored: dict[str, Evidence]) -> str:
    """The hand-off as JSON for its agent. What is the same in every call comes first.

    Raises:
        HandoffRefused: a part is missing, or it is too large. It is refused rather than shortened, because an agent
            cannot know what it was not told.
    """
    try:
        checked = _HANDOFF.validate_python(given, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise HandoffRefused(f"a hand-off is incomplete: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if missing := [each["id"] for each in checked["evidence"] if each["id"] not in stored]:
        raise HandoffRefused(f"a hand-off names evidence that is not stored: {', '.join(missing)}")
    task = checked["task"]
    text = json.dumps(
        {
            "question": checked["question"],
            "task": {"id": task["id"], "objective": task["objective"]},
            "evidence": [at_hand(each, stored[each["id"]]) for each in checked["evidence"]],
            "findings": [told(each, _SHOWN_OF_FINDING) for each in checked["findings"]],
            "omitted": checked["omitted"],
            "feedback": task["feedback"],
        },
        ensure_ascii=False,
    )
    if len(text) > PACKET_CHARS:
        raise HandoffRefused(f"a hand-off of {len(text)} characters is too large; {PACKET_CHARS} are allowed")
    return text


def is_briefing(evidence: EvidenceRef, agents: Sequence[AgentSpec]) -> bool:
    """Whether agents are briefed with it: then it is nobody's finding."""
    return any(f"{evidence['server']}.{evidence['tool']}" in agent.briefing for agent in agents)


def told(finding: FindingState, shown: Iterable[str]) -> Json:
    """These fields of a finding, without those that are empty."""
    return {key: value for key in shown if (value := finding[key]) not in (None, "")}  # type: ignore[literal-required]


def at_hand(reference: EvidenceRef, stored: Evidence) -> Json:
    """What an agent sees of a table: its description and first lines. Tools get all of it by id."""
    lines = stored.text.splitlines()
    preview = "\n".join(lines[:PREVIEW_LINES])[:PREVIEW_CHARS]
    whole = preview == "\n".join(lines)
    shown: Json = {key: reference[key] for key in _SHOWN_OF_EVIDENCE}  # type: ignore[literal-required]
    if reference["untrusted"] or reference["flags"]:
        shown["untrusted"] = FLAGGED if reference["flags"] else UNTRUSTED
    return {**shown, "preview": preview, "preview_is_whole": whole}

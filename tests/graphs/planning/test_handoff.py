"""A hand-off is bounded, and whole or refused; what the bounds leave out is counted."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.errors import HandoffRefused
from graphs.evidence.store import Evidence
from graphs.planning.handoff import MOST_EVIDENCE, MOST_FINDINGS, PACKET_CHARS, Handoff, handoff, newest, packet
from graphs.spending.limits import Limits
from graphs.state import FindingState, ResearchState, TaskState


def evidence(number: int, text: str = "year,revenue\n2024,7") -> Evidence:
    content = {"kind": "table", "title": "Revenue", "columns": ["year", "revenue"], "rows": [["2024", number]]}
    given: dict[str, Any] = {"task": "T1", "server": "sales", "tool": "revenue_by", "arguments": {"n": number}}
    return Evidence(**given, text=text, content=content, duration_ms=1)


def task(name: str, *depends_on: str) -> TaskState:
    return TaskState(
        id=name,
        agent="sales",
        objective="find it out",
        depends_on=list(depends_on),
        status="pending",
        attempts=0,
        feedback=[],
        gaps=[],
        error=None,
        reason=None,
        unanswered=[],
    )


def finding(number: int) -> FindingState:
    return FindingState(
        id=f"T1.1.{number}",
        task="T1",
        agent="sales",
        claim=f"Claim {number}.",
        value=None,
        unit="",
        period="",
        evidence=["E1"],
        confidence="high",
        marks=[],
        status="verified",
        refused=None,
    )


def state(findings: int, results: int) -> ResearchState:
    return ResearchState(
        question="?",
        job_id="j",
        tenant="local",
        limits=Limits().model_dump(mode="json"),
        deadline_at="2026-01-01T00:00:00+00:00",
        tasks={"T1": task("T1"), "T2": task("T2", "T1")},
        findings={each["id"]: each for each in map(finding, range(findings))},
        evidence={f"E{n}": evidence(n).reference(f"E{n}") for n in range(1, results + 1)},
        handoffs=[],
        halted=None,
        remaining_steps=50,
    )


def stored(given: Handoff) -> dict[str, Evidence]:
    return {each["id"]: evidence(int(each["id"][1:])) for each in given["evidence"]}


@given(st.integers(0, 2 * MOST_FINDINGS), st.integers(0, 2 * MOST_EVIDENCE))
def test_it_is_bounded_and_says_what_it_leaves_out(findings: int, results: int) -> None:
    built = handoff(task("T2", "T1"), state(findings, results))
    told = json.loads(packet(built, stored(built)))
    assert len(told["findings"]) + len(told["evidence"]) + told["omitted"] == findings + results
    assert len(told["findings"]) <= MOST_FINDINGS
    assert [each["id"] for each in told["evidence"]] == [f"E{n}" for n in range(1, results + 1)][-MOST_EVIDENCE:]


def test_only_what_the_task_builds_on_goes_along() -> None:
    built = handoff(task("T3"), state(3, 3))
    assert (built["findings"], built["evidence"]) == ([], [])


@pytest.mark.parametrize("part", ["question", "task", "findings", "evidence", "omitted"])
def test_a_hand_off_that_lost_a_part_is_refused(part: str) -> None:
    built: Any = handoff(task("T2", "T1"), state(3, 3))
    kept = stored(built)
    del built[part]
    with pytest.raises(HandoffRefused, match=f"is incomplete: {part}"):
        packet(built, kept)


def test_a_hand_off_whose_evidence_is_gone_is_refused() -> None:
    built = handoff(task("T2", "T1"), state(1, 3))
    with pytest.raises(HandoffRefused, match="not stored: E2"):
        packet(built, {name: each for name, each in stored(built).items() if name != "E2"})


def test_a_hand_off_that_is_too_large_is_refused_and_not_shortened() -> None:
    built = handoff({**task("T2", "T1"), "feedback": ["x" * PACKET_CHARS]}, state(1, 1))
    with pytest.raises(HandoffRefused, match="too large"):
        packet(built, stored(built))


@given(st.text(max_size=3000))
def test_a_preview_says_whether_it_is_the_whole(text: str) -> None:
    built = handoff(task("T2", "T1"), state(0, 1))
    (shown,) = json.loads(packet(built, {"E1": evidence(1, text)}))["evidence"]
    assert shown["preview_is_whole"] is (shown["preview"] == "\n".join(text.splitlines()))
    assert len(shown["preview"]) <= 1000


@given(st.lists(st.integers()), st.integers(1, 10))
def test_the_newest_are_kept_and_the_others_counted(entries: list[int], most: int) -> None:
    kept, omitted = newest(entries, most)
    assert entries[omitted:] == kept
    assert len(kept) <= most

"""How a job ends is decided in one place, and never says more than was seen."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.outcome import outcome
from graphs.state import Report
from graphs.stop_reasons import EXPLAINED, StopReason

Json = dict[str, Any]
REPORT = Report(title="", body="", attempts=1, by_code=False, problems=[])


def task(number: int, status: str, reason: str | None = None, unanswered: tuple[str, ...] = ()) -> Json:
    return {
        "id": f"T{number}",
        "agent": "sales",
        "objective": "find it out",
        "status": status,
        "error": "it went wrong" if status == "failed" else None,
        "reason": reason,
        "unanswered": list(unanswered),
    }


TASKS = st.builds(
    task,
    st.just(1),
    st.sampled_from(["pending", "done", "failed", "withdrawn"]),
    st.sampled_from([None, "no_usable_answer", "source_unavailable", "nothing_looked_up", "agent_tool_call_limit"]),
    st.sampled_from([(), ("sales",)]),
)
FINDINGS = st.sampled_from(["verified", "dropped", "sent_back", "repeated"])
STATES = st.fixed_dictionaries(
    {
        "tasks": st.lists(TASKS, max_size=4).map(lambda each: dict(enumerate(each))),
        "findings": st.lists(FINDINGS, max_size=4).map(lambda each: dict(enumerate({"status": it} for it in each))),
        "evidence": st.integers(0, 2).map(lambda count: {f"E{number}": {} for number in range(count)}),
        "stop_reason": st.none() | st.sampled_from([each.value for each in StopReason]),
        "stop_detail": st.just(""),
        "report": st.sampled_from([None, REPORT]),
    }
)


@given(STATES)
def test_completed_says_no_more_than_was_seen(state: Any) -> None:
    ended = outcome(state)
    assert EXPLAINED[ended.reason]
    if ended.status != "completed":
        assert ended.reason not in {StopReason.ANSWERED, StopReason.NOT_IN_DATA} or state["stop_reason"] == ended.reason
        return
    tasks, findings = state["tasks"].values(), [each["status"] for each in state["findings"].values()]
    assert (state["stop_reason"], state["report"]) == (None, REPORT)
    assert {each["status"] for each in tasks} <= {"done", "withdrawn"}
    assert not any(each["unanswered"] for each in tasks if each["status"] == "done")
    if ended.reason is StopReason.ANSWERED:
        assert "verified" in findings
    else:
        assert ended.reason is StopReason.NOT_IN_DATA
        assert state["evidence"], "something was looked up"
        assert "done" in {each["status"] for each in tasks}
        assert not {"verified", "dropped"} & set(findings)


DONE = task(1, "done")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("completed", "not_in_data")),
        ({"evidence": {}}, ("partial", "nothing_looked_up")),
        ({"findings": {"1": {"status": "dropped"}}}, ("partial", "findings_dropped")),
        ({"findings": {"1": {"status": "dropped"}, "2": {"status": "verified"}}}, ("completed", "answered")),
        ({"tasks": {"T1": task(1, "failed", "no_usable_answer"), "T2": DONE}}, ("partial", "no_usable_answer")),
        ({"tasks": {"T1": task(1, "failed", "source_unavailable"), "T2": task(2, "failed", "nothing_looked_up")}},
         ("partial", "source_unavailable")),
        ({"tasks": {"T1": task(1, "done", None, ("sales",))}, "findings": {"1": {"status": "verified"}}},
         ("partial", "source_unavailable")),
        ({"tasks": {"T1": task(1, "withdrawn"), "T2": DONE}}, ("completed", "not_in_data")),
        ({"tasks": {"T1": task(1, "withdrawn")}}, ("partial", "task_failed")),
        ({"stop_reason": "budget_reached"}, ("partial", "budget_reached")),
        ({"stop_reason": "aborted_by_human"}, ("failed", "aborted_by_human")),
        ({"report": None}, ("failed", "task_failed")),
    ],
)  # fmt: skip
def test_each_end_has_its_reason(changes: Json, expected: tuple[str, str]) -> None:
    state: Any = {"tasks": {"T1": DONE}, "findings": {}, "evidence": {"E1": {}}, "report": REPORT, **changes}
    assert outcome(state)[:2] == expected

"""What the console makes of a job's events, and its pictures."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.console import drawings
from app.console.frame import shown
from app.console.story import Story
from app.jobs.events import Event

TASK = {"id": "T1", "agent": "sales", "objective": "Look it up.", "depends_on": [], "status": "pending"}
MODEL = {"type": "model_call", "agent": "sales", "model": "m", "cost_micro_usd": 70, "reserved_micro_usd": 90} | {
    "seconds": 0.5, "prompt_bytes": 900, "input_tokens": 300, "cached_tokens": 100, "output_tokens": 20,
}  # fmt: skip
TOOL = {"type": "tool_call", "agent": "sales", "tool": "sales__find", "arguments": {}, "evidence": "E1", "ms": 400}
HOSTILE = '"]; click T1 "javascript:alert(1)" %% <script>\n'


def events(*told: dict[str, Any], seconds: float = 1.0) -> list[Event]:
    """Events one after the other, so many seconds apart."""
    found = []
    for at, each in enumerate(told):
        document = {**each, "at": f"2026-11-21T10:00:{at * seconds:06.3f}+00:00"}
        found.append(Event(f"{at}-{at + 1}", each["type"], json.dumps(document).encode()))
    return found


def story(*told: dict[str, Any]) -> Story:
    """The story of these events."""
    made = Story()
    made.read(events(*told))
    return made


def test_it_follows_a_job() -> None:
    began = {"type": "job", "job_id": "j", "status": "running"}
    plan = {"type": "plan", "tasks": [TASK, {**TASK, "id": "T2", "agent": "analyst", "depends_on": ["T1"]}]}
    started = {"type": "task_started", "task": "T1", "agent": "sales", "objective": "Look it up."}
    done = {"type": "task_finished", **TASK, "status": "done", "error": None, "gaps": []}
    assert story(began).at_work == ["supervisor"]
    assert story(began, plan).at_work == ["budget"]
    now = story(
        began, plan, {"type": "budget", "route": "assign", "micro_usd": 0, "budget_micro_usd": 9}, started, MODEL
    )
    assert now.at_work == ["sales"]
    assert [each["status"] for each in now.tasks.values()] == ["running", "pending"]
    now.read(events(began, plan, began, started, MODEL, TOOL, done)[5:])
    assert now.at_work == ["verify"]
    assert now.tasks["T1"]["status"] == "done"
    model, tool = now.calls
    assert (model.starts, model.ends, model.micro_usd, model.size, model.cached_tokens) == (3.5, 4.0, 70, 900, 100)
    assert (tool.name, tool.evidence, tool.seconds) == ("sales.find", "E1", 0.4)
    assert ("sales", "sales_tools", "find E1") in now.talk
    assert "T1 --> T2;" in drawings.plan(now.tasks)
    waits = story(began, started, {"type": "job", "job_id": "j", "status": "awaiting_human"})
    assert waits.at_work == ["escalate"]
    assert story(began, {"type": "job", "job_id": "j", "status": "completed"}).at_work == []


def test_it_says_how_many_events_are_gone() -> None:
    made = Story()
    made.read(events(*[MODEL] * 9)[6:])
    assert made.gone == 6


@given(st.text(max_size=30) | st.just(HOSTILE))
def test_pictures_have_no_words_of_others(text: str) -> None:
    task = {**TASK, "agent": text, "objective": text, "status": text, "depends_on": [text]}
    made = story({"type": "plan", "tasks": [task]}, {**TOOL, "agent": text, "tool": f"a__{text}", "evidence": text})
    drawn = drawings.plan(made.tasks) + drawings.sequence(made.talk)
    for mark in ("<script", "javascript:", "%%", "]; click"):
        assert mark not in drawn
    assert drawn.count("\n") < 15


def test_the_flame_chart_has_a_row_for_each_call_at_the_same_time() -> None:
    slow = {**MODEL, "seconds": 1.5}
    drawn = drawings.flame(story(MODEL, slow, {**TOOL, "agent": "analyst"}, {**slow, "seconds": 2.5}))
    rows = [bar["y"] // drawings.ROW for bar in drawn["bars"]]
    assert rows == [0, 0, 1, 2]
    assert [each["agent"] for each in drawn["labels"]] == ["sales", "analyst"]
    assert all(drawings.LEFT <= bar["x"] <= drawings.WIDTH for bar in drawn["bars"])


def test_what_is_shown_is_escaped() -> None:
    made = story({"type": "warning", "message": HOSTILE}, {**MODEL, "agent": HOSTILE})
    log = shown("log.html", lines=made.lines, left_out=0, gone=0)
    assert "<script" not in log + shown("calls.html", calls=made.calls, left_out=0)
    assert "<script" not in shown("flame.html", **drawings.flame(made))

"""2. The plan. The supervisor names tasks and what each needs; the graph knows what can start."""

import pytest

from agents.base import Task
from graphs.errors import PlanError
from graphs.planning.plan import ready, validated

AGENTS = ["researcher", "sales", "analyst"]


def test_independent_tasks_start_together_and_dependent_ones_wait() -> None:
    tasks = validated(
        [
            Task(id="T1", agent="researcher", objective="Find the German market.", depends_on=[]),
            Task(id="T2", agent="sales", objective="Fetch our revenue in Germany.", depends_on=[]),
            Task(id="T3", agent="analyst", objective="Forecast it.", depends_on=["T2"]),
        ],
        known={},
        agents=AGENTS,
    )
    assert [each["id"] for each in ready(tasks)] == ["T1", "T2"]

    tasks["T1"]["status"] = tasks["T2"]["status"] = "done"
    assert [each["id"] for each in ready(tasks)] == ["T3"]


def test_a_deadlock_is_refused_before_anything_runs() -> None:
    waiting = [
        Task(id="T1", agent="sales", objective="Wait for T2.", depends_on=["T2"]),
        Task(id="T2", agent="analyst", objective="Wait for T1.", depends_on=["T1"]),
    ]
    with pytest.raises(PlanError, match="wait for one another"):
        validated(waiting, known={}, agents=AGENTS)

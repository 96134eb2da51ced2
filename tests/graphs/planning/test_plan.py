"""A plan that could deadlock is refused before anything runs; any other can be carried out to its end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base import Task
from graphs.errors import PlanError
from graphs.planning.plan import ready, validated

AGENTS = ["researcher", "sales"]


def task(number: int, *depends_on: str, agent: str = "sales") -> Task:
    return Task(id=f"T{number}", agent=agent, objective="find it out", depends_on=list(depends_on))


@st.composite
def acyclic(draw: st.DrawFn) -> list[Task]:
    size = draw(st.integers(1, 12))
    earlier = [draw(st.sets(st.integers(1, number - 1))) if number > 1 else set() for number in range(1, size + 1)]
    tasks = [task(number, *(f"T{each}" for each in depends)) for number, depends in enumerate(earlier, start=1)]
    return draw(st.permutations(tasks))


@given(acyclic())
def test_every_acyclic_plan_runs_to_its_end_in_order(plan: list[Task]) -> None:
    tasks = validated(plan, {}, AGENTS)
    finished: list[str] = []
    while batch := ready(tasks):
        for each in batch:
            assert set(each["depends_on"]) <= set(finished)
        for each in batch:
            tasks[each["id"]]["status"] = "done"
            finished.append(each["id"])
    assert sorted(finished) == sorted(each.id for each in plan)


@given(acyclic(), st.data())
def test_a_cycle_is_refused_and_named(plan: list[Task], data: st.DataObject) -> None:
    ring = data.draw(st.integers(1, 5))
    first = len(plan) + 1
    members = [task(first + n, f"T{first + (n + 1) % ring}") for n in range(ring)]
    with pytest.raises(PlanError, match="wait for one another"):
        validated([*plan, *members], {}, AGENTS)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ([task(1, agent="wizard")], "names the agent 'wizard'; there are: researcher, sales"),
        ([task(1), task(1)], "used twice: T1"),
        ([task(1, "T9")], "depends on T9"),
        ([task(number) for number in range(1, 30)], "at most 24 tasks"),
    ],
)
def test_refusals_name_what_is_wrong(plan: list[Task], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        validated(plan, {}, AGENTS)


def test_an_id_of_an_earlier_plan_is_refused() -> None:
    known = validated([task(1)], {}, AGENTS)
    with pytest.raises(PlanError, match="used twice: T1"):
        validated([task(1)], known, AGENTS)


def test_a_failed_dependency_does_not_block() -> None:
    tasks = validated([task(1), task(2, "T1")], {}, AGENTS)
    tasks["T1"]["status"] = "failed"
    assert [each["id"] for each in ready(tasks)] == ["T2"]

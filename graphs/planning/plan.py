"""A plan is a DAG of tasks, validated before anything runs: a deadlock is a refused plan, not an incident."""

import functools
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Literal, TypeVar, get_origin

from pydantic import BaseModel, Field, create_model

from agents.base import SupervisorDecision, Task
from graphs.errors import PlanError
from graphs.state import MAX_TASKS, TaskState

Narrowed = TypeVar("Narrowed", bound=BaseModel)

MOST_NEW = 12  # as many as a decision may have
IDS = tuple(f"T{number}" for number in range(1, MAX_TASKS + 1))


def validated(new: Iterable[Task], known: Mapping[str, TaskState], agents: Iterable[str]) -> dict[str, TaskState]:
    """The new tasks as state entries.

    Raises:
        PlanError: an unknown agent, an id used twice, an unknown dependency, a cycle or too many tasks.
    """
    tasks = list(new)
    names = sorted(agents)
    ids = [task.id for task in tasks]
    if repeated := sorted({each for each in ids if ids.count(each) > 1 or each in known}):
        raise PlanError(f"task ids are used twice: {', '.join(repeated)}; give every new task a new id")
    if len(known) + len(tasks) > MAX_TASKS:
        raise PlanError(f"a plan has at most {MAX_TASKS} tasks, this one has {len(known) + len(tasks)}")
    for task in tasks:
        if task.agent not in names:
            raise PlanError(f"{task.id} names the agent '{task.agent}'; there are: {', '.join(names)}")
        if missing := sorted(set(task.depends_on) - set(ids) - set(known)):
            raise PlanError(f"{task.id} depends on {', '.join(missing)}, and the plan has no such task")
    _check_acyclic(tasks)
    return {task.id: _entry(task) for task in tasks}


def decision_for(agents: Iterable[str], known: Iterable[str]) -> type[SupervisorDecision]:
    """The decision model for these agents and used task ids. Its schema lists all valid names, so that constrained
    decoding cannot produce others; before any task has run, it must assign."""
    return _decision(tuple(agents), frozenset(known))


@functools.lru_cache  # building its classes takes longer than all else of a decision
def _decision(agents: tuple[str, ...], known: frozenset[str]) -> type[SupervisorDecision]:
    free = [name for name in IDS if name not in known][:MOST_NEW]
    if not free:
        return SupervisorDecision
    some_of = list[_one_of([*sorted(known), *free])]  # type: ignore[misc, valid-type]
    task = _narrowed(Task, id=_one_of(free), agent=_one_of(agents), depends_on=some_of)
    if known:
        return _narrowed(SupervisorDecision, tasks=list[task])  # type: ignore[valid-type]
    some = Annotated[list[task], Field(min_length=1)]  # type: ignore[valid-type]
    return _narrowed(SupervisorDecision, action=_one_of(["assign"]), tasks=some)


def _narrowed(model: type[Narrowed], **types: Any) -> type[Narrowed]:
    """The model with these field types. Lists keep the length limits of the model."""
    fields: Any = {}
    for name, kind in types.items():
        known = model.model_fields[name]
        bounds = known.metadata if get_origin(known.annotation) is list else []
        fields[name] = Annotated[kind, Field(description=known.description), *bounds]
    return create_model(model.__name__, __base__=model, __doc__=model.__doc__, **fields)


def _one_of(names: Iterable[str]) -> Any:
    return Literal[tuple(names)]


def ready(tasks: Mapping[str, TaskState]) -> list[TaskState]:
    """Pending tasks whose dependencies are all done or failed: partial input beats no attempt."""
    return [
        task
        for task in tasks.values()
        if task["status"] == "pending" and all(tasks[each]["status"] != "pending" for each in task["depends_on"])
    ]


def _check_acyclic(tasks: list[Task]) -> None:
    try:
        TopologicalSorter({task.id: task.depends_on for task in tasks}).prepare()
    except CycleError as error:
        cycle = " → ".join(error.args[1])
        raise PlanError(f"the tasks wait for one another: {cycle}; remove one of these dependencies") from error


def _entry(task: Task) -> TaskState:
    return TaskState(
        id=task.id,
        agent=task.agent,
        objective=task.objective,
        depends_on=list(task.depends_on),
        status="pending",
        attempts=0,
        feedback=[],
        gaps=[],
        error=None,
        reason=None,
        unanswered=[],
    )

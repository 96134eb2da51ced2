"""intake: screens the question and fills in what the input lacks."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from langchain_core.runnables import RunnableConfig

from graphs.deps import Deps
from graphs.spending.limits import Limits
from graphs.state import SCHEMA_VERSION, ResearchState
from graphs.stop_reasons import StopReason
from graphs.untrusted.screening import refused, screened

LOCAL = "local"


def intake(deps: Deps) -> Any:
    """The node. A job started in Studio brings only a question; its id comes from the thread."""

    async def intake_node(state: ResearchState, config: RunnableConfig) -> dict[str, Any]:
        limits = Limits.model_validate(state.get("limits") or deps.limits.model_dump())
        questions = state.get("questions", 0) + 1
        update: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "job_id": _job_id(state, config, questions),
            "tenant": state.get("tenant") or LOCAL,
            "questions": questions,
            "limits": limits.model_dump(mode="json"),
            "first_limits": limits.model_dump(mode="json"),
            "deadline_at": (deps.job_time(config) + timedelta(seconds=limits.deadline_s)).isoformat(),
            # In Studio a thread may get a second question: nothing from the first may answer it.
            "tasks": None,
            "findings": None,
            "evidence": None,
            "handoffs": [],
            "halted": None,
            "plans": 0,
            "then": "decide",
            "note": None,
            "stop_reason": None,
            "stop_detail": "",
            "report": None,
            "status": None,
        }
        above = limits.above(deps.ceiling)
        if problem := refused(state["question"]) or above:
            return {**update, "flags": [problem], "stop_reason": StopReason.REFUSED.value}
        question, flags = screened(state["question"])
        return {**update, "question": question, "flags": flags}

    return intake_node


def _job_id(state: ResearchState, config: RunnableConfig, questions: int) -> str:
    """The given id, or the thread's with a number: a second question in Studio is a job of its own.

    A fork from before this node gets the same number, so it spends from the same budget.
    """
    thread_id = config.get("configurable", {}).get("thread_id", LOCAL)
    given = state.get("job_id")
    return given if given and given != f"{thread_id}-{questions - 1}" else f"{thread_id}-{questions}"


def after_intake(planner: str) -> Callable[[ResearchState], str]:
    """A refused question goes straight to the end."""
    return lambda state: "finish" if state.get("stop_reason") else planner

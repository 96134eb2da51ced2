"""intake: screens the question and gives the job what it did not bring."""

from datetime import timedelta
from typing import Any

from langchain_core.runnables import RunnableConfig

from graphs.deps import Deps
from graphs.governance.limits import JobLimits, StopReason
from graphs.screening import refused, screened
from graphs.state import SCHEMA_VERSION, ResearchInput


def intake(deps: Deps) -> Any:
    """The node. A job started in Studio brings a question only; its thread gives the job its id."""

    async def intake_node(state: ResearchInput, config: RunnableConfig) -> dict[str, Any]:
        limits = JobLimits.model_validate(state.get("limits") or deps.limits.model_dump())
        thread_id = str(config.get("configurable", {}).get("thread_id", "local"))
        update: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "job_id": state.get("job_id") or thread_id,
            "limits": limits.model_dump(mode="json"),
            "first_limits": limits.model_dump(mode="json"),
            "deadline_at": (deps.now() + timedelta(seconds=limits.deadline_s)).isoformat(),
            # In Studio a thread may get a second question: nothing of the first may answer it.
            "tasks": None,
            "findings": None,
            "evidence": None,
            "counters": None,
            "plans": 0,
            "note": None,
            "stop_reason": None,
            "report": None,
            "status": None,
        }
        if problem := refused(state["question"]):
            return {**update, "flags": [problem], "stop_reason": StopReason.REFUSED.value}
        question, flags = screened(state["question"])
        return {**update, "question": question, "flags": flags}

    return intake_node


def after_intake(state: dict[str, Any]) -> str:
    """A refused question goes straight to the end."""
    return "finish" if state.get("stop_reason") else "supervisor"

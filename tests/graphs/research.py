"""The research graph over a scripted mind: what tests start it with, and how they run it."""

import contextlib
from collections.abc import Callable
from typing import Any

from blockbuster import blockbuster_ctx

from graphs.research import ResearchGraph
from graphs.spending.limits import Limits
from tests.scripted_model import REPORT, Json

JOB = "job-test"
CONFIG: Any = {"configurable": {"thread_id": JOB}}

Run = Callable[..., contextlib.AbstractAsyncContextManager[ResearchGraph]]


def started(**limits: Any) -> Json:
    return {"job_id": JOB, "question": "What was our revenue?", "limits": Limits(**limits).model_dump()}


async def invoked(research: ResearchGraph, given: Any, **config: Any) -> Json:
    """The state after the run. LangGraph's servers refuse calls that block the event loop in a node; so does this."""
    with blockbuster_ctx(scanned_modules=["agents", "graphs"]) as watch:
        for name in ("os.stat", "os.listdir", "os.scandir", "io.TextIOWrapper.read", "io.BufferedReader.read"):
            watch.functions[name].can_block_in("redis/utils.py", "get_lib_version")  # once per connection
        together: Any = {**CONFIG, **config}
        return await research.ainvoke(given, together)


def once(tasks: Json) -> Callable[[Json, list[Json]], Json]:
    """Plans these tasks, and asks for the report when they are done."""
    return lambda packet, _: REPORT if packet["tasks"] else tasks

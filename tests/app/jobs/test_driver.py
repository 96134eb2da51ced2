"""What a run leaves behind in its process: nothing."""

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

from langgraph.runtime import RunControl

from app.jobs.driver import Driver, Run
from app.jobs.kept import Kept


class Records:
    """Loses the cancellation of whoever reads it, as Python 3.11's wait_for can, under the Redis client."""

    def __init__(self) -> None:
        self.read = asyncio.Event()

    async def wants_to_stop(self, job_id: str) -> bool:
        self.read.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return False


async def test_nobody_looks_for_a_cancellation_after_the_run() -> None:
    nothing: Any = None
    job: Any = SimpleNamespace(job_id="job-1", parent=None)
    records: Any = Records()
    driver = Driver(Kept(nothing, nothing, records, nothing, nothing, nothing), nothing, [])
    before = asyncio.all_tasks()
    async with driver._watched(Run("job-1", 1, lambda _: None, RunControl(), None), job):
        await records.read.wait()
    assert asyncio.all_tasks() == before

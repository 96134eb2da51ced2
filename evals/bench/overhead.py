"""What a job takes beyond the time of its model calls, with 1, 10 and 100 jobs at once over HTTP.

Each call takes 200 ms at the model. A job's own model time is that during which it had a call under way, of each call
the first 200 ms: parallel calls count once, and what a call takes longer is overhead. So is the wait for a worker.

    python -m evals.bench.overhead
"""

import asyncio
from datetime import datetime

from app.access.keys import Keys, Scope
from app.jobs.events import EventLog
from app.jobs.records import Records
from evals.bench.deployment import deployed
from evals.bench.jobs import SETTINGS
from evals.bench.rows import Row
from evals.bench.tracing import Side
from graphs.state import Json

LATENCY_MS, AT_ONCE, LEAST_JOBS, MOST_EVENTS = 200, (1, 10, 100), 5, 1000
MEANS = "from the order to the end, with one API and two workers on one machine: many at once wait for the CPU"
ROWS = tuple(Row(f"a job beyond its model calls, {each} at once", "s", "", MEANS) for each in AT_ONCE)


def beyond(ordered_at: datetime, events: list[Json]) -> float:
    """Seconds of a job beyond its model calls."""
    calls: list[tuple[float, float]] = []
    for event in events:
        if event["type"] == "model_call":
            began = _seconds(event) - event["seconds"]
            calls.append((began, began + min(event["seconds"], LATENCY_MS / 1000)))
    if events[-1].get("status") != "completed":
        raise RuntimeError(f"a job was not completed: {events[-1]}")
    return _seconds(events[-1]) - ordered_at.timestamp() - covered(calls)


def covered(spans: list[tuple[float, float]]) -> float:
    """The length of what at least one of the spans covers."""
    total = until = 0.0
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def _seconds(event: Json) -> float:
    return datetime.fromisoformat(event["at"]).timestamp()


async def measure() -> list[list[float]]:
    """Seconds of each job, for each number at once."""
    found = []
    async with deployed(LATENCY_MS, **SETTINGS) as here:
        side = Side(here, (await Keys(here.client).create("bench", [Scope.SUBMIT])).secret)
        records, log = Records(here.client, ttl_seconds=1), EventLog(here.client, ttl_seconds=1)
        await side.ended(await side.ordered(4))  # connections, imports
        for number in AT_ONCE:
            taken: list[float] = []
            while len(taken) < LEAST_JOBS:
                ids = await side.ordered(number)
                await side.ended(ids)
                for job_id in ids:
                    events = [each.data for each in await log.read(job_id, most=MOST_EVENTS)]
                    taken.append(beyond((await records.get(job_id)).created_at, events))
            found.append(taken)
    return found


def main() -> None:
    """Print the rows."""
    for row, taken in zip(ROWS, asyncio.run(measure()), strict=True):
        row.tell(taken)


if __name__ == "__main__":
    main()

"""What a job takes beyond the time of its model calls, with 1, 10 and 100 jobs at once in one process.

Each call takes 200 ms at the model. A job's own model time is that during which it had a call under way, of each call
the first 200 ms: parallel calls count once, and what a call takes longer is overhead.

    python -m evals.bench.overhead
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import sample
from app.config.settings import Settings
from app.jobs.jobs import Jobs
from app.running.processes import services
from app.running.runtime import opened
from evals.bench.rows import Row
from evals.run import on_sample_data
from graphs.state import Json

LATENCY_MS, AT_ONCE, LEAST_JOBS = 200, (1, 10, 100), 5
ROWS = tuple(
    Row(
        f"a job beyond its model calls, {each} at once",
        "s",
        "",
        "wall clock, with one worker's process beside the model and the MCP servers on one machine: many at once wait "
        "for the CPU",
    )
    for each in AT_ONCE
)


async def beyond(jobs: Jobs, settings: Settings) -> float:
    """Seconds of one job beyond its model calls."""
    calls: list[tuple[float, float]] = []

    def told(event: Json) -> None:
        if event["type"] == "model_call":
            began = time.monotonic() - event["seconds"]
            calls.append((began, began + min(event["seconds"], LATENCY_MS / 1000)))

    began = time.monotonic()
    result = await jobs.run(await jobs.create(sample.QUESTION, settings.limits), told)
    whole = time.monotonic() - began
    if result.status != "completed":
        raise RuntimeError(f"{result.job_id} is {result.status}: {result.stop_detail}")
    return whole - _covered(calls)


def _covered(spans: list[tuple[float, float]]) -> float:
    """The length of what at least one of the spans covers."""
    total = until = 0.0
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


async def measure(settings: Settings) -> list[list[float]]:
    """Seconds of each job, for each number at once."""
    found = []
    with services(settings) as (redis_url, addresses):
        async with opened(settings, redis_url, addresses, lambda line: print(line, file=sys.stderr)) as jobs:
            await beyond(jobs, settings)
            for number in AT_ONCE:
                taken: list[float] = []
                while len(taken) < LEAST_JOBS:
                    taken += await asyncio.gather(*(beyond(jobs, settings) for _ in range(number)))
                found.append(taken)
    return found


def main() -> None:
    """Print the rows."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        settings = on_sample_data(Settings(_env_file=None, data_dir=Path(folder), stand_in_latency_ms=LATENCY_MS))
        found = asyncio.run(measure(settings))
    for row, taken in zip(ROWS, found, strict=True):
        row.tell(taken)


if __name__ == "__main__":
    main()

"""What recording adds to a job: the same questions, in turn with it and without it, in one run.

What is added is measured where it arises: CPU time of this process, which is the worker, and of Redis. It is compared
with that of everything that a job needs: these two, the model and the MCP servers, whose clocks tick in 10 ms.

    python -m evals.bench.recording [--questions 24]

Exit code 1 if recording adds 5 % or more to the median job.
"""

import argparse
import asyncio
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from app.config.settings import Settings
from app.jobs.jobs import Jobs
from app.running.processes import Addresses, services
from app.running.runtime import opened
from evals.bench.deployment import cpu_s
from evals.bench.rows import Row
from evals.questions import Question, asked
from evals.run import on_sample_data
from graphs.spending.limits import Limits

MOST = 0.05
ROWS = (Row("CPU of a job that is recorded", "ms", "not recorded", "of worker and Redis, job by job in one process"),)


class Cost(NamedTuple):
    """CPU seconds of a job: of worker and Redis, and of all."""

    ours: float
    whole: float


async def measure(
    settings: Settings, redis_url: str, addresses: Addresses, questions: Sequence[Question]
) -> list[tuple[Cost, Cost]]:
    """What each question's job costs without recording, and with it."""
    recorded = settings.model_copy(update={"record": True})
    async with (
        Redis.from_url(redis_url) as client,
        opened(settings, redis_url, addresses, _say) as off,
        opened(recorded, redis_url, addresses, _say) as on,
    ):

        async def used(jobs: Jobs, question: Question, limits: Limits) -> Cost:
            before = await _cpu_s(client, addresses)
            result = await jobs.run(await jobs.create(question.text, limits), lambda _: None)
            if result.status != "completed":
                raise RuntimeError(
                    f"{question.id} is {result.status}, so there is nothing to compare: {result.stop_detail}"
                )
            after = await _cpu_s(client, addresses)
            return Cost(after.ours - before.ours, after.whole - before.whole)

        for jobs in (off, on, off, on):  # connections, imports, prompts
            await used(jobs, questions[0], settings.limits)
        gc.freeze()  # as a worker does
        pairs = []
        for number, each in enumerate(questions):
            order = (off, on) if number % 2 else (on, off)
            cost = {jobs: await used(jobs, each, settings.limits) for jobs in order}
            pairs.append((cost[off], cost[on]))
        return pairs


async def _cpu_s(client: Redis, addresses: Addresses) -> Cost:
    redis = await client.info("cpu")
    children = sum(cpu_s(each.pid) for each in addresses.children)
    ours = time.process_time() + float(redis["used_cpu_user"] + redis["used_cpu_sys"])
    return Cost(ours, ours + children)


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def main(number: int) -> int:
    """Print the table; 0 if recording is cheap enough."""
    with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as folder:
        settings = on_sample_data(Settings(_env_file=None, data_dir=Path(folder)))
        with services(settings) as (redis_url, addresses):
            pairs = asyncio.run(measure(settings, redis_url, addresses, asked()[:number]))
    whole = statistics.mean(off.whole for off, _ in pairs)
    added = statistics.median(on.ours - off.ours for off, on in pairs)  # a mean tells what else the machine does
    table = Table("", "CPU ms", title=f"{len(pairs)} questions, each once without and once with recording")
    table.add_row("a job", f"{1000 * whole:.1f}")
    table.add_row("what recording adds, median", f"{1000 * added:.1f}")
    table.add_row("of a job", f"{100 * added / whole:.1f} %")
    Console(width=100).print(table)
    ROWS[0].tell([1000 * on.ours for _, on in pairs], [1000 * off.ours for off, _ in pairs])
    return 1 if added / whole >= MOST else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--questions", type=int, default=24, help="questions to ask; default 24, which are all")
    sys.exit(main(parser.parse_args().questions))

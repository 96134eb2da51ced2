"""Whether the thousandth job costs what the first did: jobs in a store of 1,000 ended ones, beside an empty store.

Two stores, one process, the same model and MCP servers. One store holds an ended job 1,000 times, under as many ids.
The same question is asked over both in turn. Counted is the CPU time of this process, the worker, and of the store.

    python -m evals.bench.growth [--rounds 10]
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from redis.asyncio import Redis

import sample
from app.config.settings import Settings
from app.jobs.jobs import Jobs
from app.running.processes import Addresses, redis_running, running
from app.running.runtime import opened
from evals.bench.rows import Row
from evals.run import on_sample_data
from graphs.spending.limits import Limits

ENDED, AT_ONCE = 1000, 100
ROWS = (
    Row("CPU of a job in a store of 1,000", "ms", "an empty store", "of worker and Redis, one job after another"),
    Row("time of a job in a store of 1,000", "ms", "an empty store", "wall clock; the model takes no time"),
)


async def fill(client: Redis, job_id: str) -> None:
    """Copy all keys of this job, each time under another id."""
    keys = [key async for key in client.scan_iter(match=f"*{job_id}*", count=1000)]
    dumps = {key: dump for key in keys if (dump := await client.dump(key))}
    for first in range(0, ENDED, AT_ONCE):
        async with client.pipeline(transaction=False) as pipe:
            for number in range(first, first + AT_ONCE):
                for key, dump in dumps.items():
                    copy = key.replace(job_id.encode(), f"{job_id[:-4]}{number:04}".encode())
                    pipe.restore(copy, 10**8, dump, replace=True)
            await pipe.execute()


async def _cost(jobs: Jobs, client: Redis, limits: Limits) -> tuple[float, float, str]:
    """Milliseconds of CPU and of wall clock of one job, and its id."""
    began, before = time.perf_counter(), await _cpu_s(client)
    result = await jobs.run(await jobs.create(sample.QUESTION, limits), lambda _: None)
    if result.status != "completed":
        raise RuntimeError(f"{result.job_id} is {result.status}: {result.stop_detail}")
    return 1000 * (await _cpu_s(client) - before), 1000 * (time.perf_counter() - began), result.job_id


async def _cpu_s(client: Redis) -> float:
    used = await client.info("cpu")
    return time.process_time() + float(used["used_cpu_user"] + used["used_cpu_sys"])


async def measure(settings: Settings, urls: list[str], addresses: Addresses, rounds: int) -> list[list[float]]:
    """CPU over the full store, CPU over the empty one, wall clock over the full one, and over the empty one."""
    found: list[list[float]] = [[], [], [], []]
    async with (
        opened(settings, urls[0], addresses, _say) as full,
        opened(settings, urls[1], addresses, _say) as empty,
        Redis.from_url(urls[0]) as full_client,
        Redis.from_url(urls[1]) as empty_client,
    ):
        await fill(full_client, (await _cost(full, full_client, settings.limits))[2])
        for number in range(1 + rounds):
            one = await _cost(full, full_client, settings.limits)
            other = await _cost(empty, empty_client, settings.limits)
            if number:
                for into, each in zip(found, (one[0], other[0], one[1], other[1]), strict=True):
                    into.append(each)
    return found


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def main(rounds: int) -> None:
    """Print the rows."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        one, other = (
            on_sample_data(Settings(_env_file=None, data_dir=Path(name) / each, stand_in_latency_ms=0)) for each in "ab"
        )
        with redis_running(one) as first, redis_running(other) as second, running(one, first) as addresses:
            found = asyncio.run(measure(one, [first, second], addresses, rounds))
    for row, at in zip(ROWS, (0, 2), strict=True):
        row.tell(found[at], found[at + 1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=10, help="pairs of jobs; default 10")
    main(parser.parse_args().rounds)

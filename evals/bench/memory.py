"""What a job keeps in memory while it runs, while it waits for a human, and when it has ended: workers and Redis.

One deployment; jobs of each kind at once, in this order. Of a worker, the memory that it holds beyond that at rest.

    python -m evals.bench.memory
"""

import asyncio
from pathlib import Path

import httpx

import sample
from app.access.keys import Keys, Scope
from app.jobs.records import Records
from app.jobs.states import Status
from evals.bench.deployment import Deployment, deployed
from evals.bench.jobs import SETTINGS, held
from evals.bench.rows import Row

LATENCY_MS, JOBS, LOOK_S, LONGEST_S = 3000, 40, 0.2, 300.0
TOO_LITTLE_USD = 0.002
OF_WORKERS = "resident memory of both workers, which Python does not give back at once; small figures are noise"
OF_REDIS = "what Redis holds, without the buffers of connections"
ROWS = (
    Row("a running job in the workers", "KB", "", f"{OF_WORKERS}. {JOBS} at once, in the middle of their calls"),
    Row("a running job in Redis", "KB", "", OF_REDIS),
    Row("a job that waits for a human in the workers", "KB", "", f"{OF_WORKERS}. No process holds it"),
    Row("a job that waits for a human in Redis", "KB", "", f"{OF_REDIS}. It was stopped by its budget before its end"),
    Row("an ended job in the workers", "KB", "", f"{OF_WORKERS}. Mostly what the first jobs leave in caches, once"),
    Row("an ended job in Redis", "KB", "", f"{OF_REDIS}. It stays for TOLLGATE_JOB_TTL_DAYS"),
    Row("a worker at rest", "MB", "", "resident memory of one process"),
)


async def measure() -> list[float]:
    """The figures of the rows, in their order."""
    found: list[float] = []
    kinds: list[tuple[Status, dict[str, float]]] = [
        ("awaiting_human", {"budget_usd": TOO_LITTLE_USD}),
        ("completed", {}),
    ]
    async with deployed(LATENCY_MS, **SETTINGS) as here:
        key = (await Keys(here.client).create("bench", [Scope.SUBMIT])).secret
        await _until(here, await _ordered(here, key, 4), "completed")
        rest = _resident(here)
        for wanted, more in kinds:
            workers, (stored, _) = _resident(here), await held(here.client)
            ids = await _ordered(here, key, JOBS, **more)
            if not more:
                await asyncio.sleep(2.5 * LATENCY_MS / 1000)
                running = [_resident(here) - workers, (await held(here.client))[0] - stored]
                found = [*running, *found]
            await _until(here, ids, wanted)
            found += [_resident(here) - workers, (await held(here.client))[0] - stored]
    return [*(each / JOBS / 1024 for each in found), rest / len(here.pids["workers"]) / 2**20]


async def _ordered(here: Deployment, key: str, jobs: int, **more: float) -> list[str]:
    headers, order = {"Authorization": f"Bearer {key}"}, {"question": sample.QUESTION, **more}
    async with httpx.AsyncClient(base_url=here.api_url, headers=headers, trust_env=False, timeout=60) as http:
        return [(await http.post("/v1/jobs", json=order)).raise_for_status().json()["id"] for _ in range(jobs)]


async def _until(here: Deployment, ids: list[str], wanted: Status) -> None:
    records = Records(here.client, ttl_seconds=1)
    async with asyncio.timeout(LONGEST_S):
        for each in ids:
            while (record := await records.get(each)).status != wanted:
                if record.status in {"partial", "failed", "dead"}:
                    raise RuntimeError(f"{each} is {record.status}, not {wanted}")
                await asyncio.sleep(LOOK_S)


def _resident(here: Deployment) -> int:
    """Bytes of resident memory of the workers."""
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in here.pids["workers"]]
    return sum(int(text.partition("VmRSS:")[2].split()[0]) * 1024 for text in statuses)


def main() -> None:
    """Print the rows."""
    for row, figure in zip(ROWS, asyncio.run(measure()), strict=True):
        row.tell([figure])


if __name__ == "__main__":
    main()

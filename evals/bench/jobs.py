"""What research jobs over HTTP cost, and how long a client waits: a whole deployment under load.

25 clients order 100 jobs, one order in ten sent twice at once, and ask for their status in turn until all have ended,
with pauses of about a second. All programs and the clients share this machine; the times are those that clients see.
Exit code 1 if a job is lost or doubled, or p99 of submit or of status is not under 100 ms.
"""

import argparse
import asyncio
import contextlib
import gc
import os
import random
import statistics
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

import sample
from app.access.keys import Keys, Scope
from app.jobs.states import TERMINAL
from evals.bench.deployment import CLIENTS, MACHINE, WAITED, Deployment, deployed
from evals.bench.rows import Row
from evals.incident.invoice import Invoice, invoice
from graphs.spending.ledger import Ledger
from graphs.spending.limits import MICRO
from graphs.spending.spend import Spend

QUESTION = sample.QUESTION
LATENCY_MS, JOBS_AT_ONCE, TWICE, MOST_MS = 200, 50, 10, 100.0
PATIENCE_S, PATIENCE_S_PER_JOB = 120, 3  # after that a job that has not ended is lost
ANSWER_S = 60.0
SETTINGS = {
    "TOLLGATE_WORKER_JOBS": str(JOBS_AT_ONCE),
    "TOLLGATE_TENANT_JOBS": "500",
    "TOLLGATE_REQUESTS_PER_MINUTE": "60000",
    "TOLLGATE_REQUESTS_BURST": "10000",
    "TOLLGATE_TENANT_DAY_USD": "100000",
    "TOLLGATE_DEPLOYMENT_DAY_USD": "1000000",
    "TOLLGATE_JOB_TTL_DAYS": "2",
    "TOLLGATE_DECISION_HOURS": "1",
}


ROWS = (
    Row("jobs a second", "1/s", "", "one API, two workers, all programs and the clients on this machine"),
    *(
        Row(f"CPU of a job, {name}", "ms", "", "CPU time of these processes over the jobs")
        for name in ("api", "workers", "MCP servers", "model", "Redis")
    ),
    Row("p99 of submit", "ms", "", "as the clients see it, while the machine is saturated"),
    Row("p99 of status", "ms", "", "as the clients see it, while the machine is saturated"),
    Row(
        "Redis memory of a finished job", "KB", "", "all that is kept of a job: record, state, evidence, events, ledger"
    ),
    Row("Redis commands of a job", "number", "", "those in scripts included"),
)


@dataclass
class Seen:
    """What the clients saw: orders by the ids that were answered, how jobs ended, milliseconds of each request."""

    orders: list[set[str]] = field(default_factory=list)
    ended: dict[str, str] = field(default_factory=dict)
    submit_ms: list[float] = field(default_factory=list)
    status_ms: list[float] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True)
class Books:
    """What there is afterwards: jobs that are listed, what the ledger counted, what the provider bills."""

    listed: list[str]
    spends: list[Spend]
    bill: Invoice


@dataclass(frozen=True)
class Outcome:
    """A run: what was seen and found, wall clock until the last end, seconds that were used (`Deployment.usage`)."""

    seen: Seen
    books: Books
    seconds: float
    used: dict[str, float]
    stored_bytes: int = 0
    commands: int = 0

    @property
    def lost(self) -> int:
        """Orders of which no job has ended."""
        return sum(1 for ids in self.seen.orders if not ids & set(self.seen.ended))

    @property
    def doubled(self) -> list[str]:
        """Each thing that was done twice, or paid otherwise than it was done, in words."""
        orders, books = len(self.seen.orders), self.books
        found = []
        if len(books.listed) > orders or any(len(ids) > 1 for ids in self.seen.orders):
            found.append(f"{len(books.listed)} jobs are listed for {orders} orders")
        counted = sum(each.model_calls for each in books.spends)
        if books.bill.calls - books.bill.failed > counted:
            found.append(f"{books.bill.calls - books.bill.failed} calls were billed, and {counted} counted")
        if not _paid(books):
            charged = sum(each.micro_usd for each in books.spends)
            found.append(f"the ledger's sum is {charged} micro-dollars, the invoice {books.bill.dollars * MICRO:.0f}")
        return found


def _paid(books: Books) -> bool:
    """Whether the ledger's sum is the invoice: each call is rounded up to a micro-dollar, and a call of which nobody
    learned the cost is charged in full."""
    charged = sum(each.micro_usd for each in books.spends)
    estimated = sum(each.estimated_micro_usd for each in books.spends)
    reserved = sum(each.reserved_micro_usd for each in books.spends)
    billed = books.bill.dollars * MICRO
    return charged - estimated <= billed + books.bill.calls and billed <= Decimal(charged + reserved)


async def measure(jobs: int, clients: int, pause_s: float) -> Outcome:
    """Order so many jobs by so many clients, and follow them to their end."""
    async with deployed(LATENCY_MS, **SETTINGS) as here:
        tenant = f"bench-{uuid.uuid4().hex[:8]}"
        key = await Keys(here.client).create(tenant, [Scope.SUBMIT, Scope.READ])
        gc.freeze()  # a full collection of what is imported stops all clients for 300 ms: theirs, not the API's
        seen, before, began = Seen(), await here.usage(), time.perf_counter()
        bytes_before, commands_before = await held(here.client)
        shares = [range(number, jobs, clients) for number in range(clients)]
        with contextlib.suppress(TimeoutError):  # what has not ended is lost
            async with asyncio.timeout(PATIENCE_S + PATIENCE_S_PER_JOB * jobs), asyncio.TaskGroup() as group:
                for share in shares:
                    group.create_task(_client(here.api_url, key.secret, share, pause_s, seen))
        seconds, after = time.perf_counter() - began, await here.usage()
        bytes_after, commands_after = await held(here.client)
        used = {name: after[name] - before[name] for name in after}
        async with _http(here.api_url, key.secret) as http:
            books = await _books(here, http)
        await Keys(here.client).revoke(key.key.id)
    return Outcome(seen, books, seconds, used, bytes_after - bytes_before, commands_after - commands_before)


async def held(client: Redis) -> tuple[int, int]:
    """Bytes that Redis keeps, without the buffers of its connections, and the commands that it was sent."""
    memory, stats = await client.info("memory"), await client.info("stats")
    return int(memory["used_memory"] - memory["mem_clients_normal"]), int(stats["total_commands_processed"])


async def _client(url: str, secret: str, share: range, pause_s: float, seen: Seen) -> None:
    async with _http(url, secret) as http:
        mine: set[str] = set()
        await _pause(pause_s)
        for number in share:
            mine |= await _ordered(http, seen, 2 if number % TWICE == number // TWICE % TWICE else 1)
            await _pause(pause_s)
        while open_ones := sorted(mine - set(seen.ended)):
            for job_id in open_ones:
                began = time.perf_counter()
                answer = await http.get(f"/v1/jobs/{job_id}")
                seen.status_ms.append(1000 * (time.perf_counter() - began))
                if answer.status_code != 200:
                    seen.refused[answer.status_code] += 1
                elif (status := answer.json()["status"]) in TERMINAL:
                    seen.ended[job_id] = status
                await _pause(pause_s)


async def _ordered(http: httpx.AsyncClient, seen: Seen, times: int) -> set[str]:
    """One order, sent so often at once: the ids of the jobs that were answered."""
    key, ids = uuid.uuid4().hex, set()

    async def send() -> None:
        began = time.perf_counter()
        order = {"question": QUESTION, "on_limit": "finish_partial"}
        answer = await http.post("/v1/jobs", json=order, headers={"Idempotency-Key": key})
        seen.submit_ms.append(1000 * (time.perf_counter() - began))
        if answer.status_code == 202:
            ids.add(answer.json()["id"])
        else:
            seen.refused[answer.status_code] += 1

    await asyncio.gather(*(send() for _ in range(times)))
    seen.orders.append(ids)
    return ids


async def _pause(pause_s: float) -> None:
    """No two clients in step."""
    await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))


async def _books(here: Deployment, http: httpx.AsyncClient) -> Books:
    listed = [each["id"] async for each in _listed(http)]
    ledger = Ledger(here.client, ttl_seconds=here.settings.ttl_seconds)
    spends = [await ledger.spend(job_id) for job_id in listed]
    return Books(listed, spends, await invoice(here.model_url))


async def _listed(http: httpx.AsyncClient) -> AsyncIterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        page = (await http.get("/v1/jobs", params={"limit": "100", **cursor})).raise_for_status().json()
        for each in page["items"]:
            yield each
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}


def _http(url: str, secret: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {secret}"}
    # No proxy of the environment, and no TLS, whose set-up takes longer than a request: all is on this machine.
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=ANSWER_S, trust_env=False, verify=False)


def _percentiles(times_ms: list[float]) -> tuple[float, float, float]:
    cuts = statistics.quantiles(times_ms, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


def _tables(outcome: Outcome) -> list[Table]:
    seen, jobs = outcome.seen, len(outcome.seen.orders)
    waits = Table("request", "number", "p50 ms", "p95 ms", "p99 ms", "most ms", title="What a client waits")
    for name, times in (("submit", seen.submit_ms), ("status", seen.status_ms)):
        figures = [f"{each:.0f}" for each in (*_percentiles(times), max(times))]
        waits.add_row(name, str(len(times)), *figures)
    costs = Table("program", "CPU s a job", "CPU s", title="What a job costs")
    programs = {name: used for name, used in outcome.used.items() if name not in {CLIENTS, MACHINE, WAITED}}
    for name, used in {**programs, "all": sum(programs.values())}.items():
        costs.add_row(name, f"{used / jobs:.3f}", f"{used:.0f}")
    return [waits, costs]


def _tell(outcome: Outcome) -> None:
    jobs, rows = len(outcome.seen.orders), iter(ROWS)
    next(rows).tell([len(outcome.seen.ended) / outcome.seconds])
    for name in ("api", "workers", "MCP servers", "model", "Redis"):
        next(rows).tell([1000 * outcome.used[name] / jobs])
    for times in (outcome.seen.submit_ms, outcome.seen.status_ms):
        next(rows).tell([_percentiles(times)[2]])
    next(rows).tell([outcome.stored_bytes / jobs / 1024])
    next(rows).tell([outcome.commands / jobs])


def _verdict(outcome: Outcome) -> list[str]:
    """What does not hold."""
    found = [f"{outcome.lost} jobs are lost"] if outcome.lost else []
    found += [f"doubled: {each}" for each in outcome.doubled]
    for name, times in (("submit", outcome.seen.submit_ms), ("status", outcome.seen.status_ms)):
        if (p99 := _percentiles(times)[2]) >= MOST_MS:
            found.append(f"p99 of {name} is {p99:.0f} ms, not under {MOST_MS:.0f}")
    return found


def main(jobs: int, clients: int, pause_s: float) -> int:
    """Print the tables; 0 if all holds."""
    console = Console(width=120)
    outcome = asyncio.run(measure(jobs, clients, pause_s))
    seen, used = outcome.seen, outcome.used
    others = used[MACHINE] - sum(each for name, each in used.items() if name not in {MACHINE, WAITED})
    for table in _tables(outcome):
        console.print(table)
    _tell(outcome)
    states = ", ".join(f"{count} {status}" for status, count in Counter(seen.ended.values()).most_common())
    accepted = sum(1 for ids in seen.orders if ids)
    console.print(
        f"{jobs} orders of {clients} clients in {outcome.seconds:.0f} s: "
        f"{len(seen.ended) / outcome.seconds:.2f} jobs a second"
    )
    console.print(
        f"CPUs {os.cpu_count()}, load average {os.getloadavg()[0]:.1f}; CPU s of the clients "
        f"{used[CLIENTS]:.0f}, of all else on this machine {others:.0f}; "
        f"the API had to wait for a CPU for {used[WAITED]:.1f} s"
    )
    console.print(f"accepted {accepted}; ended: {states}; refused requests: {dict(seen.refused) or 0}")
    console.print(f"lost {outcome.lost}, doubled {len(outcome.doubled)}")
    problems = _verdict(outcome)
    for problem in problems:
        console.print(f"does not hold: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--jobs", type=int, default=100, help="orders; default 100")
    parser.add_argument("--clients", type=int, default=25, help="clients at once; default 25")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds a client pauses after an answer; default 1")
    given = parser.parse_args()
    sys.exit(main(given.jobs, given.clients, given.pause))

"""What the console costs: opening a job of 5,000 events, following 200 live jobs, and 20 pages beside the API.

`tollgate api` over an embedded Redis. Jobs are written as workers would write them. The first figure is a real
browser's (Chromium); for the others, pages are held open by clients that do what a browser's connection does, so that
only the server is measured.

    python -m evals.bench.console [--seconds 10]

Exit code 1 when a job of 5,000 events takes 2 s or more to be read, when following 200 live jobs takes 0.1 s of the
server's CPU a second or more, or when 20 open pages lengthen the API's 99th percentile by more than a quarter.
"""

import argparse
import asyncio
import contextlib
import re
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
from playwright.async_api import async_playwright
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import connect

import sample
from app.config.settings import Settings
from app.jobs.records import Record
from app.running.processes import redis_running
from app.running.serving import opened_service
from app.work.service import Service, Submission
from evals.bench.api import ORDER, UNHURRIED
from evals.bench.deployment import cpu_s, program, said
from evals.bench.rows import Row
from graphs.spending.limits import Limits
from graphs.spending.spend import Account
from graphs.state import Json

EVENTS, LIVE, PAGES, REQUESTS = 5000, 200, 20, 400
MOST_S, MOST_CPU, MOST_SLOWER = 2.0, 0.1, 1.25
TENANT = "local"
ROWS = (
    Row("opening a job of 5,000 events", "s", "", "in Chromium, until its last event is shown"),
    Row("CPU a second, a list of 200 live jobs", "s", "", "of the API's process, one page open"),
    Row("CPU a second, one live job", "s", "", "of the API's process, one page open"),
    Row("p99 of an order with 20 pages open", "times", "", "over that without them"),
)
CALL: Json = {"type": "model_call", "agent": "researcher", "model": "gpt-5-mini", "cost_micro_usd": 120} | {
    "reserved_micro_usd": 400, "estimated": False, "seconds": 0.8, "prompt_bytes": 9000,
    "input_tokens": 2100, "cached_tokens": 1000, "output_tokens": 90,
}  # fmt: skip
TOOL: Json = {"type": "tool_call", "task": "T1", "agent": "researcher", "tool": "knowledge_base__search"} | {
    "arguments": {"query": "registrations"}, "evidence": "E1", "ms": 40, "size": 4000, "flags": [],
}  # fmt: skip


async def submitted(service: Service, number: int) -> Record:
    """A job that a worker has begun."""
    submission = Submission(f"{sample.QUESTION} ({number})", Limits(), TENANT, "bench")
    record, _ = await service.accept(submission)
    await service.records.write(record.job_id, {"status": "running"})
    return record


async def opened(url: str, job_id: str) -> float:
    """Seconds until a browser shows the log of this job."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(f"{url}/console/inbox")  # as for somebody who has been here before
        await page.wait_for_selector("h1")
        began = time.perf_counter()
        await page.goto(f"{url}/console/jobs/{job_id}")
        await page.wait_for_selector(".log li")
        took = time.perf_counter() - began
        await browser.close()
        return took


@contextlib.asynccontextmanager
async def held_open(url: str, paths: list[str]) -> AsyncIterator[list[int]]:
    """Pages at these paths, open until the block ends. Yields the bytes that each has been sent."""
    got = [0] * len(paths)

    async def hold(at: int, path: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            text = (await client.get(f"/console/{path}")).text
        found = re.search(r"""client_id['"]: ?['"]([^'"]+)""", text)
        assert found, text[:500]
        query = (
            f"client_id={found[1]}&next_message_id=0&implicit_handshake=true&tab_id={uuid.uuid4()}&document_id=d{at}"
        )
        address = f"{url.replace('http', 'ws')}/console/_nicegui_ws/socket.io/?EIO=4&transport=websocket&{query}"
        async with connect(address, max_size=None) as socket:
            async for message in socket:
                got[at] += len(message)
                if str(message).startswith("0"):
                    await socket.send("40")
                elif message == "2":  # a ping
                    await socket.send("3")

    holding = [asyncio.create_task(hold(at, path)) for at, path in enumerate(paths)]
    try:
        until = time.monotonic() + 60
        while not all(each > 100 for each in got):
            assert time.monotonic() < until, f"not all pages are open: {got}"
            assert not any(each.done() for each in holding), [each.exception() for each in holding if each.done()]
            await asyncio.sleep(0.1)
        yield got
    finally:
        for each in holding:
            each.cancel()
        await asyncio.gather(*holding, return_exceptions=True)


@contextlib.asynccontextmanager
async def alive(service: Service, records: list[Record]) -> AsyncIterator[None]:
    """Each of the jobs makes a call a second."""

    deadline = service.deps.now() + timedelta(hours=1)

    async def work() -> None:
        while True:
            for record in records:
                await service.log.append(record.job_id, [CALL])
                call, payer = uuid.uuid4().hex, Account(record.job_id, TENANT, "researcher", record.limits, deadline)
                await service.deps.ledger.reserve(call, payer, 400, expires_in_s=60)
                await service.deps.ledger.settle(call, 120)
                await asyncio.sleep(1 / len(records))

    working = asyncio.create_task(work())
    try:
        yield
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def p99_ms(url: str) -> float:
    """The 99th percentile of an order, in milliseconds."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        times = []
        for _ in range(REQUESTS):
            began = time.perf_counter()
            (await client.post("/v1/jobs", json=ORDER)).raise_for_status()
            times.append((time.perf_counter() - began) * 1000)
    return statistics.quantiles(times, n=100)[98]


async def measure(seconds: float) -> dict[str, float]:
    """The figures by name."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        settings = Settings(_env_file=None).model_copy(update={"redis_url": None, "data_dir": folder})
        with redis_running(settings) as redis_url:
            env = {"PATH": "/usr/bin:/bin", "REDIS_URL": redis_url, "TOLLGATE_TENANT_QUEUE": "100000", **UNHURRIED}
            unbounded = settings.model_copy(update={"tenant_queue": 100_000})
            async with (
                program(folder, env, "api", "api", "--port", "0") as process,
                opened_service(unbounded, redis_url, lambda _: None) as service,
            ):
                url = (await said(process, "api: http")).removeprefix("api: ")
                return await _measured(service, url, process.pid, seconds)


async def _measured(service: Service, url: str, pid: int, seconds: float) -> dict[str, float]:
    figures: dict[str, float] = {}
    large = await submitted(service, 0)
    for _ in range(0, EVENTS, 100):
        await service.log.append(large.job_id, [CALL, TOOL] * 50)
    figures["seconds to open 5,000 events"] = statistics.median([await opened(url, large.job_id) for _ in range(3)])
    records = [await submitted(service, number) for number in range(1, LIVE + 1)]
    async with alive(service, records):
        idle = await _cpu(pid, seconds)
        async with held_open(url, [""]) as got:
            before = sum(got)
            figures["CPU a second for the list of 200 live jobs"] = await _cpu(pid, seconds) - idle
            assert sum(got) > before + 1000, "the page was not refreshed"
        async with held_open(url, [f"jobs/{records[0].job_id}"]):
            figures["CPU a second for one of them"] = await _cpu(pid, seconds) - idle
    without = [await p99_ms(url)]
    slower = []
    paths = ["", f"jobs/{large.job_id}", "spend", "inbox"] * (PAGES // 4)
    for _ in range(3):
        async with held_open(url, paths):
            await asyncio.sleep(3)
            with_pages = await p99_ms(url)
        without.append(await p99_ms(url))
        slower.append(with_pages / statistics.mean(without[-2:]))
    figures["p99 with 20 pages open, over that without"] = statistics.median(slower)
    return figures


async def _cpu(pid: int, seconds: float) -> float:
    before = cpu_s(pid)
    await asyncio.sleep(seconds)
    return (cpu_s(pid) - before) / seconds


async def main(seconds: float) -> int:
    """Print the table; 0 if it holds."""
    figures = await measure(seconds)
    table = Table("console", "measured", "below")
    limits = {"seconds": MOST_S, "CPU": MOST_CPU, "p99": MOST_SLOWER}
    for name, figure in figures.items():
        table.add_row(name, f"{figure:.3f}", f"{limits[name.split()[0]]:g}")
    Console(width=120).print(table)
    for row, figure in zip(ROWS, figures.values(), strict=True):
        row.tell([figure])
    return 0 if all(figure < limits[name.split()[0]] for name, figure in figures.items()) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=10, help="for each measure of CPU; default 10")
    sys.exit(asyncio.run(main(parser.parse_args().seconds)))

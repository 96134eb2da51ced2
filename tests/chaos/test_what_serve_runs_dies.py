"""Each program that `tollgate serve` has started is killed in the middle of jobs: all of them complete all the same."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.config.settings import Settings
from app.running.serving import opened_service
from app.work.conditions import CLOCK
from tests.app.command_line import TOLLGATE, background, processes, seen
from tests.app.queued import LONG, QUESTION
from tests.chaos.soundness import assert_told

pytestmark = pytest.mark.slow

AFTER_THE_LAST_S = 60
# What marks the command line of each.
VICTIMS = ("app.stand_in", "mcp_servers.knowledge_base", "mcp_servers.sales", "mcp_servers.analytics", "valkey-se")


@contextmanager
def serve(folder: Path, said: list[str], **settings: str) -> Iterator[httpx.Client]:
    """A client of `tollgate serve` in this folder; what that says is added to the list."""
    command = [TOLLGATE, "serve", "--port", "0"]
    settings |= {"TOLLGATE_REQUESTS_PER_MINUTE": "60000", "TOLLGATE_REQUESTS_BURST": "10000"}
    with (
        ThreadPoolExecutor(1) as rest,
        background(command, folder, signal.SIGTERM, **settings) as process,
    ):
        said += seen(process, lambda line: line.startswith("api: http"))
        assert process.stderr
        rest.submit(said.extend, process.stderr)
        with httpx.Client(base_url=said[-1].removeprefix("api: ").strip(), timeout=60) as http:
            yield http


def jobs_of(http: httpx.Client) -> list[dict[str, Any]]:
    """All jobs, as soon as the store says."""
    until = time.monotonic() + 60
    while not (answer := http.get("/v1/jobs", params={"limit": 100})).is_success:
        assert time.monotonic() < until, answer.text
        time.sleep(0.1)
    return list(answer.json()["items"])


def completed(http: httpx.Client, most: int, seconds: float) -> list[dict[str, Any]]:
    """All jobs, when as many have completed; none ends otherwise."""
    until = time.monotonic() + seconds
    while True:
        jobs = jobs_of(http)
        assert {job["status"] for job in jobs} <= {"queued", "running", "completed"}, jobs
        if sum(job["status"] == "completed" for job in jobs) >= most:
            return jobs
        assert time.monotonic() < until, jobs
        time.sleep(0.1)


def ready(http: httpx.Client, seconds: float) -> list[str]:
    """The parts that are ready, when all are."""
    until = time.monotonic() + seconds
    while not (answer := http.get("/readyz")).is_success:
        assert time.monotonic() < until, answer.text
        time.sleep(0.1)
    return list(answer.json()["parts"])


def counted_by_the_worker(said: list[str]) -> dict[str, int]:
    """How many jobs ended, by status, as the worker tells Prometheus."""
    address = next(line for line in said if "worker: metrics at " in line).split("metrics at ")[1].strip()
    ended = Counter[str]()
    for family in text_string_to_metric_families(httpx.get(address).text):
        if family.name == "tollgate_jobs_ended":
            for sample in family.samples:
                ended[sample.labels["status"]] += int(sample.value)
    return {status: count for status, count in ended.items() if count}


@pytest.mark.timeout(300)
async def test_jobs_complete_whatever_is_killed(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    number = 50 if pytestconfig.getoption("--all-chaos") else 10
    said: list[str] = []
    with serve(tmp_path, said) as http:
        for at in range(number):
            question = QUESTION if at % 5 else LONG  # which takes every server
            http.post("/v1/jobs", json={"question": question}).raise_for_status()
        for at, victim in enumerate(VICTIMS):
            completed(http, at * number // (len(VICTIMS) + 1), 120)
            [pid] = [pid for pid, command in processes(tmp_path).items() if victim in command]
            os.kill(pid, signal.SIGKILL)
        jobs = completed(http, number, AFTER_THE_LAST_S)
        parts = ready(http, AFTER_THE_LAST_S)
        assert set(parts) == {"store", "worker", "model", CLOCK, "knowledge_base", "sales", "analytics"}
        store = said[0].removeprefix("redis: ").strip()
        settings = Settings(_env_file=None, data_dir=tmp_path / ".data")
        async with opened_service(settings, store, lambda _: None) as service:
            await assert_told(service, [job["id"] for job in jobs])
        assert counted_by_the_worker(said) == {"completed": number}
    again = [line.split(": ")[1] for line in said if "restarting" in line]
    assert again == ["stand_in_model", "knowledge_base", "sales", "analytics", "redis"]

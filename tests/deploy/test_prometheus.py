"""A real Prometheus over real jobs: every panel of a dashboard has data, and an alert fires that should."""

import asyncio
import math
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml  # type: ignore[import-untyped]

from app.access.keys import Keys, Scope
from app.running.processes import Addresses
from app.stand_in.faults import Profile, conduct
from app.stand_in.faults.failures import OVERLOADED
from app.stand_in.faults.profile import Failure, spoken_by
from app.stand_in.roles import reply_to
from app.stand_in.wire import ChatRequest, Reply
from tests.app.api.programs import replica, shown
from tests.app.queued import QUESTION, Deployment, deployment
from tests.app.stored_jobs import load, stored
from tests.deploy.test_container import ROOT
from tests.deploy.test_monitoring import PROMETHEUS, RULES, panels

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="Debian's package prometheus is not installed"),
]

OFTEN = "500ms"
WINDOW = "1m"
[TRIGGER] = yaml.safe_load((ROOT / "deploy/k8s/components/keda/workers.yaml").read_text())["spec"]["triggers"]
WORK = TRIGGER["metadata"]["query"]
OTHER_QUESTION = "What was our revenue in 2023?"  # whose answers are not in the cache
IN_CIRCLES = "What do you think of our colleagues?"


def sometimes_in_circles(request: ChatRequest) -> Reply:
    return conduct.clarify(request) if IN_CIRCLES in str(request.messages) else reply_to(request)


def every_fifth(number: int) -> Failure | None:
    return None if number % 5 else OVERLOADED


UNRELIABLE = Profile("as its name says", spoken_by(sometimes_in_circles), failure=every_fifth)


@contextmanager
def prometheus(folder: Path, targets: dict[str, list[str]], key: str) -> Iterator[str]:
    """One with our configuration, but for the addresses of its targets by job; yields its URL."""
    copy = shutil.copytree(PROMETHEUS, folder / "prometheus")
    config = yaml.safe_load((copy / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": OFTEN, "scrape_timeout": OFTEN, "evaluation_interval": OFTEN}
    for each in config["scrape_configs"]:
        each.pop("dns_sd_configs", None)
        labels = [given.get("labels", {}) for given in each.get("static_configs", [{}])]
        addresses = targets[each["job_name"]]
        each["static_configs"] = [
            {"targets": [address], "labels": label} for address, label in zip(addresses, labels, strict=True)
        ]
    (copy / "prometheus.yml").write_text(yaml.safe_dump(config))
    (copy / "api_key").write_text(key)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["prometheus", f"--config.file={copy}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with (folder / "prometheus.log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@asynccontextmanager
async def scraped(here: Deployment, addresses: Addresses, key: str) -> AsyncIterator[tuple[httpx.AsyncClient, ...]]:
    """An API and a worker that a Prometheus reads, with the MCP servers: clients of the API and of Prometheus."""
    said: list[str] = []
    api_program = replica(here, TOLLGATE_REQUESTS_PER_MINUTE="60000")
    with api_program as api, here.worker(signal.SIGTERM, "--metrics-port", "0", said=said):
        worker = next(line for line in said if "metrics at" in line).split("metrics at ")[1].strip()
        servers = [addresses.servers[name] for name in ("knowledge_base", "sales", "analytics")]
        targets = {"api": [api.url], "worker": [worker], "mcp": servers}
        named = {job: [urlsplit(url).netloc for url in urls] for job, urls in targets.items()}
        with prometheus(here.folder, named, key) as url:
            headers = {"Authorization": f"Bearer {key}"}
            async with (
                httpx.AsyncClient(base_url=api.url, headers=headers, timeout=30) as jobs,
                httpx.AsyncClient(base_url=url, timeout=30) as asked,
            ):
                await until_all_are_read(asked)
                yield jobs, asked


async def until_all_are_read(asked: httpx.AsyncClient) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            found = await result(asked, "up")
        except httpx.TransportError:
            found = []
        if [each["value"][1] for each in found] == ["1"] * 5:
            return
        assert time.monotonic() < end, found
        await asyncio.sleep(0.1)


async def result(asked: httpx.AsyncClient, query: str) -> list[dict[str, Any]]:
    answer = await asked.get("/api/v1/query", params={"query": query})
    if answer.status_code == 503:  # it is starting
        return []
    assert answer.is_success, f"{query}: {answer.text}"
    return list(answer.json()["data"]["result"])


async def until_there_are_data(asked: httpx.AsyncClient) -> None:
    """Wait until each query of each panel has a number."""
    targets = [target["expr"] for _, panel in panels() for target in panel["targets"]]
    missing, end = [query.replace("$__rate_interval", WINDOW) for query in targets], time.monotonic() + 20
    while missing := [query for query in missing if not await has_data(asked, query)]:
        assert time.monotonic() < end, missing
        await asyncio.sleep(0.2)


async def has_data(asked: httpx.AsyncClient, query: str) -> bool:
    return any(math.isfinite(float(each["value"][1])) for each in await result(asked, query))


async def done(jobs: httpx.AsyncClient, status: str, question: str = QUESTION, **order: Any) -> dict[str, Any]:
    """A job that was ordered, when it has this status."""
    job = (await jobs.post("/v1/jobs", json={"question": question, **order})).raise_for_status().json()
    return await shown(jobs, job["links"]["self"], status)


async def test_every_panel_has_data_and_alerts_fire(tmp_path: Path, addresses: Addresses) -> None:
    with deployment(tmp_path, UNRELIABLE, addresses.servers) as here:
        async with here.service() as service:
            await load(service.client, stored("v1"))  # whose waiting job nobody can continue: a dead letter
            key = await Keys(service.client).create("acme", list(Scope))
        async with scraped(here, addresses, key.secret) as (jobs, asked):
            await asyncio.gather(
                done(jobs, "partial", IN_CIRCLES, on_limit="finish_partial"),
                *(done(jobs, "completed") for _ in range(2)),
                done(jobs, "awaiting_human", budget_usd=0.002),
            )
            waiting = await done(jobs, "awaiting_human", OTHER_QUESTION, budget_usd=0.002)
            decision = {"action": "approve_more", "amount_usd": 0.2}
            (await jobs.post(waiting["links"]["decision"], json=decision)).raise_for_status()
            await shown(jobs, waiting["links"]["self"], "completed")
            await until_there_are_data(asked)
            assert await result(asked, WORK), "KEDA would see an outage"
            firing = {each["metric"]["alertname"] for each in await result(asked, 'ALERTS{alertstate="firing"}')}
            groups = (await asked.get("/api/v1/rules")).json()["data"]["groups"]
    assert firing == {"DeadLetters", "LoopTripped"}
    healthy = {rule["name"] for group in groups for rule in group["rules"] if rule["health"] == "ok"}
    assert healthy == {rule.get("alert") or rule["record"] for rule in RULES}

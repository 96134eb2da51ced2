"""Workers as real programs: they run what was ordered, and lose nothing."""

import asyncio
import dataclasses
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook

from app.access.audit import trail
from app.running.processes import Addresses
from app.work import worker as module
from tests.app.queued import WAITS, deployment, ended, order, stopped, submitted
from tests.app.test_private_files import old
from tests.app.work.test_webhooks import SECRET
from tests.chaos.soundness import assert_sound
from tests.raw_server import Answer, raw_server, status


@pytest.mark.slow
async def test_a_worker_runs_what_was_ordered(tmp_path: Path) -> None:
    forgotten = old(tmp_path / ".data/reports/job-20250101-000000-0a1b2c3d4e")
    with deployment(tmp_path) as here:
        async with here.service() as service:
            record, new = await submitted(service, order(here.settings))
            assert (record.status, new) == ("queued", True)
            with here.worker() as process:
                done = await ended(service, record.job_id)
                await until(lambda: not forgotten.exists())
                assert stopped(process) == 0
            await assert_sound(here, service, [record.job_id])
            assert (await service.sizes())["jobs_waiting"] == 0
    assert done.status == "completed"
    assert done.result
    assert done.result["stop_reason"] == "answered"


@pytest.mark.slow
async def test_a_worker_tells_prometheus_of_its_tools(tmp_path: Path, addresses: Addresses) -> None:
    said: list[str] = []
    with deployment(tmp_path, servers=addresses.servers) as here:
        async with here.service() as service:
            with here.worker(signal.SIGTERM, "--metrics-port", "0", said=said):
                await ended(service, (await submitted(service, order(here.settings)))[0].job_id)
                address = next(line for line in said if "/metrics" in line).removeprefix("worker: metrics at ").strip()
                async with httpx.AsyncClient() as client:
                    told = (await client.get(address)).raise_for_status().text
    answered = re.search(r'tollgate_tool_call_seconds_count{outcome="answered",server="sales",tool="\w+"} (\S+)', told)
    assert answered
    assert float(answered[1]) > 0
    assert f'tollgate_tool_replica_up{{replica="{addresses.servers["sales"]}",server="sales"}} 1.0' in told


@pytest.mark.slow
async def test_a_webhook_is_told_of_the_question_and_of_the_end_and_told_again_when_it_fails(
    tmp_path: Path, addresses: Addresses
) -> None:
    with deployment(tmp_path, servers=addresses.servers) as here:
        async with here.service() as service, raw_server(unavailable_at_first()) as receiver:
            wanted = dataclasses.replace(
                order(here.settings, budget_micro_usd=10), webhook_url=f"{receiver.url}/told", metadata={"ours": 7}
            )
            with here.worker(TOLLGATE_WEBHOOK_SECRET=SECRET, TOLLGATE_WEBHOOK_ALLOW_PRIVATE="true"):
                job_id = (await submitted(service, wanted))[0].job_id
                await ended(service, job_id, also=WAITS)
                await service.decide("acme", job_id, {"action": "finish_partial"}, None, "test")
                await ended(service, job_id)
                await until(lambda: len(receiver.received) == 3)
            await assert_sound(here, service, [job_id])
    told = [Webhook(SECRET).verify(each.body, each.headers) for each in receiver.received]
    assert sorted(each["type"] for each in told) == ["job.awaiting_human", "job.awaiting_human", "job.partial"]
    assert {(each["data"]["job_id"], each["data"]["metadata"]["ours"]) for each in told} == {(job_id, 7)}
    ids: dict[str, set[str]] = {each["type"]: set() for each in told}
    for each, message in zip(receiver.received, told, strict=True):
        ids[message["type"]].add(each.headers["webhook-id"])
    assert all(len(each) == 1 for each in ids.values())


@pytest.mark.slow
async def test_tool_calls_are_in_the_audit_trail(tmp_path: Path, addresses: Addresses) -> None:
    with deployment(tmp_path, servers=addresses.servers) as here:
        async with here.service() as service:
            with here.worker():
                job_id = (await submitted(service, order(here.settings)))[0].job_id
                done = await ended(service, job_id)
            audit = trail(here.settings, service.client)
            entries = [each.data for each in await audit.read("acme")]
            assert await audit.verify() is None
    assert done.result
    assert len(entries) == done.result["tool_calls"] > 0
    assert {(each["action"], each["actor"], each["job_id"]) for each in entries} == {("tool.call", "sales", job_id)}


def unavailable_at_first() -> Answer:
    answers = iter([status("503 Busy", Retry_After="1")])

    async def answer(writer: asyncio.StreamWriter) -> None:
        await next(answers, status("204 No Content"))(writer)

    return answer


async def until(true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


async def test_files_that_cannot_be_removed_end_no_worker(caplog: pytest.LogCaptureFixture) -> None:
    twice = asyncio.Event()

    async def tidy() -> None:
        if caplog.messages:
            twice.set()
        raise FileNotFoundError("gone")

    regularly = asyncio.create_task(module._regularly(tidy, 0))
    await asyncio.wait({asyncio.create_task(twice.wait()), regularly}, return_when=asyncio.FIRST_COMPLETED)
    assert regularly.cancel(), "it goes on"
    assert caplog.messages[0] == "files could not be removed, retrying later: gone"

"""Two `tollgate api` programs and a worker over one Redis: what one accepts, the other shows and decides."""

import asyncio
import json
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.running.processes import Addresses
from tests.app.api.in_process import QUESTION
from tests.app.api.programs import followed, replica, shown
from tests.app.api.test_conformance import problem
from tests.app.command_line import tollgate
from tests.app.queued import deployment, stopped


@pytest.mark.slow
async def test_a_job_is_followed_and_decided_at_another_replica(tmp_path: Path, addresses: Addresses) -> None:
    with (
        deployment(tmp_path, servers=addresses.servers) as here,
        replica(here) as one,
        replica(here) as two,
        here.worker(),
    ):
        async with httpx.AsyncClient(base_url=one.url) as first, httpx.AsyncClient(base_url=two.url) as second:
            order = {"question": QUESTION, "budget_usd": 0.002}
            job = (await first.post("/v1/jobs", json=order, headers={"Idempotency-Key": "k"})).json()
            again = await second.post("/v1/jobs", json=order, headers={"Idempotency-Key": "k"})
            assert again.json()["id"] == job["id"]
            links = job["links"]

            before = await followed(second, links["events"], until="awaiting_human")
            waiting = await shown(first, links["self"], "awaiting_human")  # the event is told before it is recorded
            assert waiting["escalation"]["spent_usd"] == waiting["cost_usd"] > 0
            assert waiting["stop_reason"] is None

            answer = {
                "action": "approve_more",
                "amount_usd": 0.2,
                "escalation_id": waiting["escalation"]["escalation_id"],
            }
            decided = await asyncio.gather(
                first.post(links["decision"], json=answer), second.post(links["decision"], json=answer)
            )
            won, lost = sorted(decided, key=lambda each: each.status_code)
            assert (won.status_code, won.json()) == (200, {"action": "approve_more", "amount_usd": 0.2})
            problem(lost, "conflict")

            after = await followed(first, links["events"], after=before[-1].id)
            whole = await followed(second, links["events"])
            assert [each.id for each in before + after] == [each.id for each in whole]
            assert whole[-1].data["status"] == "completed"

            done = await shown(second, links["self"], "completed")
            assert done["stop_reason"] == "answered"
            assert done["budget_usd"] == 0.202
            assert done["findings"]
            await _outcomes(first, links, done["cost_usd"])
            problem(await second.post(links["decision"], json=answer), "conflict")
            # What the job did is in the trail, too.
            done_by_us = [each["action"] for each in _trail(here.redis_url, tmp_path) if each["actor"] == "local"]
            assert done_by_us == ["submit", "submit", "decide"]


async def _outcomes(client: httpx.AsyncClient, links: dict[str, str], cost_usd: float) -> None:
    markdown = await client.get(links["report"])
    assert markdown.headers["content-type"].startswith("text/markdown")
    assert markdown.text.startswith("# ")
    page = await client.get(links["report"], headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src" not in page.headers["content-security-policy"]
    assert "sandbox" in page.headers["content-security-policy"]
    assert '<details id="E1" class="evidence">' in page.text
    whole = (await client.get(links["report"], params={"format": "json"})).json()
    assert (whole["report"], whole["result"]["cost_usd"]) == (markdown.text, cost_usd)
    assert "report_path" not in whole["result"]
    trace = (await client.get(links["trace"], params={"limit": 5})).json()
    assert trace["spend"]["cost_usd"] == cost_usd
    # Rounded sums of agents and the supervisor are the whole.
    assert round(sum(each["cost_usd"] for each in trace["agents"].values()), 6) == cost_usd
    events = trace["events"]
    while trace["next_after"]:
        trace = (await client.get(links["trace"], params={"limit": 500, "after": trace["next_after"]})).json()
        events += trace["events"]
    assert [each["id"] for each in events] == [each.id for each in await followed(client, links["events"])]


def _trail(redis_url: str, folder: Path) -> list[dict[str, Any]]:
    ended = tollgate(folder, "audit", REDIS_URL=redis_url)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.slow
async def test_a_server_that_is_told_to_stop_ends_its_streams(tmp_path: Path) -> None:
    with deployment(tmp_path) as here, replica(here) as one:
        async with httpx.AsyncClient(base_url=one.url) as client:
            job = (await client.post("/v1/jobs", json={"question": QUESTION})).json()
            streams = [asyncio.create_task(followed(client, job["links"]["events"])) for _ in range(3)]
            while 'route="/v1/jobs/{job_id}/events",status="200"} 3.0' not in (await client.get("/metrics")).text:
                pass
            assert await asyncio.to_thread(stopped, one.process) == 0
            for broken_off in await asyncio.gather(*streams, return_exceptions=True):
                assert isinstance(broken_off, httpx.RemoteProtocolError)  # so that its reader comes back


@pytest.mark.slow
def test_what_others_can_reach_needs_a_key(tmp_path: Path) -> None:
    with deployment(tmp_path) as here:
        ended = tollgate(tmp_path, "api", "--host", "0.0.0.0", "--port", "0", REDIS_URL=here.redis_url)
        assert ended.returncode == 2
        assert ended.stderr.count("\n") == 1
        assert "there is no API key" in ended.stderr


@pytest.mark.slow
def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with deployment(tmp_path) as here, socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = tollgate(tmp_path, "api", "--port", port, REDIS_URL=here.redis_url)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert f"port {port}" in ended.stderr


async def test_a_second_signal_changes_nothing(tmp_path: Path) -> None:
    with deployment(tmp_path) as here, replica(here) as one:
        one.process.send_signal(signal.SIGINT)
        assert stopped(one.process) == 0

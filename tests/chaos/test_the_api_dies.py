"""The API is killed while somebody follows a job, who then follows it at the next one from where they were."""

import os
import signal
from pathlib import Path

import httpx

from app.processes import Addresses
from tests.api.programs import Told, events, replica
from tests.app.queued import LONG, deployment, ended
from tests.chaos.soundness import assert_sound

EVENTS_A_LIFE = 2


async def test_killed_while_somebody_reads_its_events_are_read_on_without_loss(
    tmp_path: Path, addresses: Addresses
) -> None:
    got: list[Told] = []
    lives = 0
    # A slow model, so that there is something to be killed in the middle of.
    with deployment(tmp_path, servers=addresses.servers, latency_ms=300) as here, here.worker():
        with replica(here) as first:
            async with httpx.AsyncClient(base_url=first.url) as client:
                job = (await client.post("/v1/jobs", json={"question": LONG})).raise_for_status().json()
        while not _over(got):
            lives += 1
            with replica(here) as one:
                got += await _read_until_it_dies(one.url, one.process.pid, job["links"]["events"], got)
        async with here.service() as service:
            await ended(service, job["id"])
            whole = await service.log.read(job["id"], most=5000)
            assert [each.id for each in got] == [each.id for each in whole]
            await assert_sound(here, service, [job["id"]])
    assert lives > 2, "it was killed at least twice"


async def _read_until_it_dies(url: str, pid: int, path: str, before: list[Told]) -> list[Told]:
    """Some events; then the API is killed, and what it had sent by then is read to its end."""
    got: list[Told] = []
    async with httpx.AsyncClient(base_url=url) as client:
        try:
            async for event in events(client, path, before[-1].id if before else None):
                got.append(event)
                if len(got) == EVENTS_A_LIFE:
                    os.kill(pid, signal.SIGKILL)
        except (httpx.RemoteProtocolError, httpx.ReadError):
            pass
    return got


def _over(got: list[Told]) -> bool:
    return bool(got) and got[-1].data.get("status") == "completed"

"""The API is killed while somebody follows a job, who then follows it at the next one from where they were."""

import contextlib
import os
import signal
from pathlib import Path

import httpx
import pytest

from app.running.processes import Addresses
from tests.app.api.programs import Told, events, followed, replica
from tests.app.queued import LONG, deployment, ended
from tests.chaos.soundness import assert_sound

pytestmark = pytest.mark.slow

KILLED, EVENTS_A_LIFE = 3, 2


async def test_killed_while_somebody_reads_its_events_are_read_on_without_loss(
    tmp_path: Path, addresses: Addresses
) -> None:
    got: list[Told] = []
    # A slow model, so that there is something to be killed in the middle of.
    with deployment(tmp_path, servers=addresses.servers, latency_ms=300) as here, here.worker():
        with replica(here) as first:
            async with httpx.AsyncClient(base_url=first.url) as client:
                job = (await client.post("/v1/jobs", json={"question": LONG})).raise_for_status().json()
        for _ in range(KILLED):
            with replica(here) as one:
                got += await _read_until_it_dies(one.url, one.process.pid, job["links"]["events"], got[-1:])
        with replica(here) as last:
            async with httpx.AsyncClient(base_url=last.url) as client:
                got += await followed(client, job["links"]["events"], after=got[-1].id)
        async with here.service() as service:
            await ended(service, job["id"])
            whole = await service.log.read(job["id"], most=5000)
            assert [each.id for each in got] == [each.id for each in whole]
            await assert_sound(here, service, [job["id"]])


async def _read_until_it_dies(url: str, pid: int, path: str, last: list[Told]) -> list[Told]:
    """Some events; then the API is killed, with the stream open."""
    got: list[Told] = []
    after = last[0].id if last else None
    async with (
        httpx.AsyncClient(base_url=url) as client,
        contextlib.aclosing(events(client, path, after)) as stream,  # type: ignore[type-var]
    ):
        async for event in stream:
            got.append(event)
            if len(got) == EVENTS_A_LIFE:
                os.kill(pid, signal.SIGKILL)
                break
    return got

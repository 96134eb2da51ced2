"""A crowd holds all connections that it can get, and comes back when it is sent away: jobs are ordered and followed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from app.running.processes import Addresses
from safe_http.connections import Bounds
from tests.app.api.programs import followed, replica
from tests.app.api.test_connections import CROWD, DESCRIPTORS, HELD
from tests.app.queued import QUESTION, deployment
from tests.chaos.soundness import assert_sound

pytestmark = pytest.mark.slow

JOBS = 3
BACK_S = 0.5  # after which each of the crowd comes back
PATIENCE_S = Bounds().request_s / 2  # an order that waits until the crowd has to go would take twice that


async def test_jobs_are_ordered_and_followed_while_a_crowd_holds_connections(
    tmp_path: Path, addresses: Addresses
) -> None:
    with (
        deployment(tmp_path, servers=addresses.servers) as here,
        here.worker(),
        replica(here, 0, DESCRIPTORS, TOLLGATE_REQUESTS_PER_MINUTE="60000") as api,
    ):
        anew = httpx.Limits(max_keepalive_connections=0)  # one that is idle between requests makes room for the crowd
        client = httpx.AsyncClient(base_url=api.url, timeout=PATIENCE_S, limits=anew)
        async with crowd(api.url), client, here.service() as service:
            jobs = []
            for _ in range(JOBS):
                job = (await client.post("/v1/jobs", json={"question": QUESTION})).raise_for_status().json()
                events = await followed(client, job["links"]["events"])
                assert events[-1].data["status"] == "completed"
                jobs.append(job["id"])
            await assert_sound(here, service, jobs)


@contextlib.asynccontextmanager
async def crowd(url: str) -> AsyncIterator[None]:
    """Holds connections in each of the ways, until the block ends."""
    port = urlsplit(url).port
    there = asyncio.Semaphore(0)

    async def hold(parts: list[bytes]) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                there.release()
                with contextlib.closing(writer):
                    writer.write(b"".join(parts))
                    await reader.read()
            await asyncio.sleep(BACK_S)

    ways = list(HELD.values())
    holding = [asyncio.create_task(hold(ways[number % len(ways)])) for number in range(CROWD)]
    for _ in holding:
        await there.acquire()
    yield
    for each in holding:
        each.cancel()
    await asyncio.gather(*holding, return_exceptions=True)

"""One tenant does all it can to hold up the others: they do not notice."""

import asyncio
import contextlib
import dataclasses
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.jobs.records import Record
from app.running.processes import Addresses
from app.work.service import Service
from app.work.worker import OF_ONE_TENANT
from graphs.errors import ServerUnavailable, ToolFailure
from graphs.tools.gateway import Asking, ToolGateway
from tests.app.queued import Deployment, deployment, ended, order, submitted
from tests.app.work.test_webhooks import SECRET
from tests.app.work.test_worker import until
from tests.raw_server import RawServer, raw_server, status

pytestmark = pytest.mark.slow

OTHERS = [f"other{number}" for number in range(7)]
QUERIES = 8
ASKING = Asking("sales", ("sales.query",))
ENDLESS = "SELECT count(*) AS n FROM range(100000000) x, range(100000) y WHERE x.range * y.range % 7 = 3"


async def never(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@dataclasses.dataclass
class Lot:
    """What came of jobs of the others: seconds until each had ended, records, and webhooks that came."""

    seconds: list[float]
    records: list[Record]

    @property
    def p95(self) -> float:
        return sorted(self.seconds)[round(0.95 * (len(self.seconds) - 1))]


async def lot(here: Deployment, service: Service, receiver: RawServer) -> Lot:
    """Order two jobs for each of the others, and wait for them and their webhooks."""

    async def one(tenant: str) -> tuple[float, Record]:
        began = time.monotonic()
        wanted = dataclasses.replace(order(here.settings, tenant=tenant), webhook_url=f"{receiver.url}/{tenant}")
        record = await ended(service, (await submitted(service, wanted))[0].job_id, 120)
        while not any(record.job_id.encode() in each.body for each in receiver.received):
            assert time.monotonic() - began < 120
            await asyncio.sleep(0.05)
        return time.monotonic() - began, record

    found = await asyncio.gather(*(one(tenant) for tenant in OTHERS * 2))
    return Lot([seconds for seconds, _ in found], [record for _, record in found])


@contextlib.asynccontextmanager
async def rage(here: Deployment, service: Service, tarpit: RawServer, jobs: int) -> AsyncIterator[None]:
    """So many jobs of one tenant, in one second each, with webhooks that nobody answers, and queries without end."""
    for _ in range(jobs):
        wanted = order(here.settings, tenant="rage", deadline_s=1, on_limit="finish_partial")
        await submitted(service, dataclasses.replace(wanted, webhook_url=tarpit.url))
    async with ToolGateway({"sales": here.servers["sales"]}) as gateway:

        async def ask() -> None:
            while True:
                with contextlib.suppress(ToolFailure, ServerUnavailable):
                    await gateway.call(ASKING, "sales", "query", {"sql": ENDLESS}, tenant="rage")

        asking = [asyncio.create_task(ask()) for _ in range(QUERIES)]
        try:
            await until(lambda: tarpit.connections >= OF_ONE_TENANT)
            yield
        finally:
            for each in asking:
                each.cancel()
            await asyncio.wait(asking)


@pytest.mark.timeout(600)
async def test_seven_others_do_not_notice_one_in_a_rage(
    tmp_path: Path, addresses: Addresses, request: pytest.FixtureRequest
) -> None:
    # A plain run shares its machine with other tests.
    jobs, most = (500, 2) if request.config.getoption("--all-chaos") else (60, 3)
    options = {"TOLLGATE_WEBHOOK_SECRET": SECRET, "TOLLGATE_WEBHOOK_ALLOW_PRIVATE": "true"}
    async with raw_server(never) as tarpit, raw_server(status("204 No Content")) as receiver:
        with deployment(tmp_path, servers=addresses.servers) as here:
            async with here.service() as service:
                with here.worker(signal.SIGTERM, said=None, **options):
                    await lot(here, service, receiver)
                    quiet = await lot(here, service, receiver)
                    async with rage(here, service, tarpit, jobs):
                        loud = await lot(here, service, receiver)
                    assert not [key async for key in service.client.scan_iter("tollgate:breaker:*")]
    print(  # noqa: T201  shown by `make chaos`
        f"p95 of others: {quiet.p95:.2f} s, beside one in a rage {loud.p95:.2f} s, {loud.p95 / quiet.p95:.2f} times"
    )
    assert {each.status for each in [*quiet.records, *loud.records]} == {"completed"}
    assert loud.p95 < most * quiet.p95, (quiet.seconds, loud.seconds)

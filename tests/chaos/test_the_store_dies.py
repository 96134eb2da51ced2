"""The store is killed in the middle of a job and comes back with what its append-only file holds."""

import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import redis as sync_redis
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.running.processes import Addresses
from app.store.redis import connect
from tests.app.queued import deployment, ended, order, submitted, told
from tests.chaos.soundness import assert_sound
from tests.graphs.redis_servers import embedded_binary, free_ports

pytestmark = pytest.mark.slow


class Store:
    """A server with an append-only file that is written through before each reply."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir()
        [self._port] = free_ports(1)
        self.url = f"redis://127.0.0.1:{self._port}"
        self.process = self._started()

    def killed(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def restarted(self) -> None:
        self.process = self._started()

    def stopped(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    def _started(self) -> subprocess.Popen[bytes]:
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "always", "--logfile", str(self._folder / "log")]
        process = subprocess.Popen([str(embedded_binary()), *options])
        with sync_redis.Redis(port=self._port, retry=Retry(ConstantBackoff(0.01), retries=1000)) as client:
            while client.info("persistence")["loading"]:
                time.sleep(0.01)
        return process


async def test_a_store_that_is_full_in_the_middle_of_jobs_makes_none_a_dead_letter(
    tmp_path: Path, addresses: Addresses
) -> None:
    with deployment(tmp_path, servers=addresses.servers, latency_ms=100) as here:
        async with here.service() as service:
            with here.worker(TOLLGATE_JOB_ATTEMPTS="1", TOLLGATE_TENANT_JOBS="4"):
                jobs = [(await submitted(service, order(here.settings)))[0].job_id for _ in range(8)]
                for kind in ("plan", "tool_call"):
                    await told(service, jobs[0], kind)
                    await service.client.config_set("maxmemory", "1mb")
                    with pytest.raises(RedisError, match="maxmemory"):
                        await submitted(service, order(here.settings))
                    await asyncio.sleep(3)  # the outage
                    await service.client.config_set("maxmemory", "0")
                records = [await ended(service, job_id, 90) for job_id in jobs]
            await assert_sound(here, service, jobs)
    assert {each.status for each in records} == {"completed"}, [each.last_error for each in records]


async def given_up(url: str) -> None:
    """The store has been away for longer than a client tries to reach it, so what was under way has failed."""
    async with connect(url) as client:
        for _ in range(2):
            with pytest.raises(RedisError):
                await client.ping()


@pytest.mark.parametrize("long", [False, True], ids=["for a moment", "for longer than clients wait"])
async def test_a_store_that_is_killed_in_the_middle_of_jobs_loses_none(
    tmp_path: Path, addresses: Addresses, long: bool
) -> None:
    store = Store(tmp_path / "store")
    try:
        with deployment(tmp_path, servers=addresses.servers, redis_url=store.url, latency_ms=50) as here:
            async with here.service() as service:
                with here.worker(TOLLGATE_JOB_ATTEMPTS="10"):  # each time may find a job at the same place
                    jobs = [(await submitted(service, order(here.settings)))[0].job_id for _ in range(3)]
                    for kind in ("plan", "tool_call", "task_finished"):
                        await told(service, jobs[0], kind)
                        store.killed()
                        if long:
                            await given_up(store.url)
                        await asyncio.to_thread(store.restarted)
                    records = [await ended(service, job_id, 90) for job_id in jobs]
            async with here.service() as afterwards:
                await assert_sound(here, afterwards, jobs)
    finally:
        store.stopped()
    assert {each.status for each in records} == {"completed"}

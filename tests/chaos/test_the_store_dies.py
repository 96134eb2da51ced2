"""The store is killed in the middle of a job and comes back with what its append-only file holds."""

import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path

import redis as sync_redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from app.processes import Addresses
from tests.app.queued import deployment, ended, order, submitted, told
from tests.chaos.soundness import assert_sound
from tests.graphs.redis_servers import embedded_binary, free_ports


class Store:
    """A server with an append-only file that is written through before each reply."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir()
        [self._port] = free_ports(1)
        self.url = f"redis://127.0.0.1:{self._port}"
        self.process = self._started()

    def killed_and_restarted(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
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


async def test_a_store_that_is_killed_in_the_middle_of_jobs_loses_none(tmp_path: Path, addresses: Addresses) -> None:
    store = Store(tmp_path / "store")
    try:
        with deployment(tmp_path, servers=addresses.servers, redis_url=store.url) as here:
            async with here.service() as service:
                with here.worker():
                    jobs = [(await submitted(service, order(here.settings)))[0].job_id for _ in range(3)]
                    for kind in ("plan", "task_finished"):
                        await told(service, jobs[0], kind)
                        await asyncio.to_thread(store.killed_and_restarted)
                    records = [await ended(service, job_id, 90) for job_id in jobs]
            async with here.service() as afterwards:
                await assert_sound(here, afterwards, jobs)
    finally:
        store.stopped()
    assert {each.status for each in records} == {"completed"}

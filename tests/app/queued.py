"""Jobs through the queue: a service in this process, workers as real programs, one store, one invoice."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx

from app.embedded_redis import embedded_redis
from app.offline_model.faults import HONEST, Profile
from app.records import TERMINAL, Record
from app.service import Order, Service
from app.serving import opened_service
from app.settings import Settings
from tests.app.command_line import TOLLGATE, background, seen
from tests.app.offline_team import serving

QUESTION = "What was Voltbay's revenue in Germany in 2024?"


class Deployment:
    """A folder with a store of its own, a stand-in model with an invoice, and what it takes to start workers."""

    def __init__(self, folder: Path, redis_url: str, model: str, settings: Settings) -> None:
        self.folder = folder
        self.redis_url = redis_url
        self.model = model
        self.settings = settings

    @contextlib.contextmanager
    def worker(self, ending: signal.Signals = signal.SIGTERM, **settings: str) -> Iterator[subprocess.Popen[str]]:
        """A worker that takes calls."""
        given = {"REDIS_URL": self.redis_url, "TOLLGATE_STAND_IN_URL": self.model, **settings}
        with background([TOLLGATE, "worker"], self.folder, ending, **given) as process:
            seen(process, lambda line: line.startswith("worker: up to"))
            yield process

    @contextlib.asynccontextmanager
    async def service(self) -> AsyncIterator[Service]:
        """What the API would ask."""
        async with opened_service(self.settings, self.redis_url, lambda _: None) as service:
            yield service

    def invoice(self) -> dict[str, int]:
        """What the model provider has charged."""
        answer: dict[str, int] = httpx.get(f"{self.model.removesuffix('/v1')}/invoice").json()
        return answer


@contextlib.contextmanager
def deployment(folder: Path, profile: Profile = HONEST) -> Iterator[Deployment]:
    """A store and a model, in this folder."""
    settings = Settings(_env_file=None, data_dir=folder / ".data")
    with embedded_redis(settings.data_dir) as redis_url, serving(profile) as model:
        yield Deployment(folder, redis_url, model, settings)


def order(settings: Settings, question: str = QUESTION, tenant: str = "acme", **limits: object) -> Order:
    return Order(question, settings.limits.model_copy(update=limits), tenant, actor="test")


async def ended(service: Service, job_id: str, seconds: float = 60, *, also: frozenset[str] = frozenset()) -> Record:
    """The record of the job, when it has ended, or is in one of these states."""
    until = time.monotonic() + seconds
    while (record := await service.records.get(job_id)).status not in TERMINAL | also:
        assert time.monotonic() < until, f"{job_id} is still {record.status}"
        await asyncio.sleep(0.05)
    return record


def stopped(process: subprocess.Popen[str], sign: signal.Signals = signal.SIGTERM, seconds: float = 45) -> int:
    """Send the signal to the program alone, as a supervisor does; its exit code."""
    os.kill(process.pid, sign)
    return process.wait(seconds)

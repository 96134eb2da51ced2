"""Jobs through the queue: a service in this process, workers as real programs, one store, one invoice."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from app.config.settings import Settings
from app.jobs.records import Record
from app.jobs.states import TERMINAL, Status
from app.running.serving import opened_service
from app.stand_in.faults import HONEST, Profile
from app.store.embedded_redis import embedded_redis
from app.work.service import Service, Submission
from tests.app.command_line import TOLLGATE, background, forked, seen
from tests.app.forked import Forked
from tests.app.offline_team import billed, serving

QUESTION = "What was our revenue in 2024?"
LONG = "Compare our revenue growth with the growth of the market, and forecast our revenue in 2026."
WAITS: frozenset[Status] = frozenset({"awaiting_human"})


@dataclass(frozen=True)
class Deployment:
    """A folder, a store, a stand-in model with an invoice, perhaps MCP servers that run already."""

    folder: Path
    redis_url: str
    model: str
    settings: Settings
    servers: Mapping[str, str]

    @contextlib.contextmanager
    def worker(
        self, ending: signal.Signals = signal.SIGTERM, *options: str, said: list[str] | None = None, **settings: str
    ) -> Iterator[subprocess.Popen[str] | Forked]:
        """A worker that takes calls; what it `said` is added to that list."""
        given = {"REDIS_URL": self.redis_url, "TOLLGATE_STAND_IN_URL": self.model, "TOLLGATE_LEASE_S": "2"}
        given |= {f"MCP__{name.upper()}__URL": url for name, url in self.servers.items()}
        command = ["worker", *options]
        given |= settings
        program = (
            background([TOLLGATE, *command], self.folder, ending, **given)
            if "LD_PRELOAD" in given  # which only a new program heeds
            else forked(command, self.folder, ending, **given)
        )
        with ThreadPoolExecutor(1) as rest, program as process:
            lines = seen(process, lambda line: line.startswith("worker: up to"))
            heard = [] if said is None else said
            heard += lines
            assert process.stderr
            rest.submit(heard.extend, process.stderr)  # a pipe that is full, because nobody reads it, would stop it
            yield process

    @contextlib.asynccontextmanager
    async def service(self) -> AsyncIterator[Service]:
        """What the API would ask."""
        async with opened_service(self.settings, self.redis_url, lambda _: None) as service:
            yield service

    def billed(self) -> tuple[float, int]:
        """What the provider charges at list price, in micro-dollars, and for how many calls."""
        return billed(self.model)


@contextlib.contextmanager
def deployment(
    folder: Path,
    profile: Profile = HONEST,
    servers: Mapping[str, str] | None = None,
    redis_url: str | None = None,
    latency_ms: int = 0,
) -> Iterator[Deployment]:
    """A store and a model, in this folder."""
    settings = Settings(_env_file=None, data_dir=folder / ".data")
    with contextlib.ExitStack() as stack:
        store = redis_url or stack.enter_context(embedded_redis(settings.data_dir))
        model = stack.enter_context(serving(profile, latency_ms))
        yield Deployment(folder, store, model, settings, servers or {})


def order(settings: Settings, question: str = QUESTION, tenant: str = "acme", **limits: object) -> Submission:
    """An order of this tenant, with these limits instead of the defaults."""
    return Submission(question, settings.limits.model_copy(update=limits), tenant, actor="test")


async def submitted(
    service: Service, ordered: Submission, key: str | None = None, body: bytes = b""
) -> tuple[Record, bool]:
    """Order a job as the API does."""
    return await service.accept(ordered, key, body)


async def ended(service: Service, job_id: str, seconds: float = 60, *, also: frozenset[Status] = frozenset()) -> Record:
    """The record of the job, when it has ended, or is in one of these states."""
    until = time.monotonic() + seconds
    while (record := await service.records.get(job_id)).status not in TERMINAL | also:
        assert time.monotonic() < until, f"{job_id} is still {record.status}"
        await asyncio.sleep(0.05)
    return record


def stopped(process: subprocess.Popen[str] | Forked, sign: signal.Signals = signal.SIGTERM, seconds: float = 45) -> int:
    """Send the signal to the program alone, as a supervisor does; its exit code."""
    os.kill(process.pid, sign)
    return process.wait(seconds)


async def told(service: Service, job_id: str, kind: str) -> None:
    """Wait for an event of this type."""
    async for event in service.log.follow(job_id, None, heartbeat_s=1):
        if event and event.type == kind:
            return

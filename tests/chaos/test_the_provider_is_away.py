"""The model provider is away in the middle of ten jobs: all wait for it and complete, and no human is asked."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.running.processes import Addresses
from app.stand_in.faults import Failure, Profile
from app.stand_in.faults.failures import OVERLOADED
from tests.app.queued import WAITS, deployment, ended, order, submitted
from tests.chaos.soundness import assert_sound

pytestmark = pytest.mark.slow

JOBS = 10
IN_THE_MIDDLE = 12  # requests, of some fifty


@dataclass
class Away:
    """An outage of so many seconds, which begins with a request in the middle."""

    seconds: float
    until: float = 0
    refused: int = 0

    def __call__(self, number: int) -> Failure | None:
        if number >= IN_THE_MIDDLE and not self.until:
            self.until = time.monotonic() + self.seconds
        if time.monotonic() < self.until:
            self.refused += 1
            return OVERLOADED
        return None


@pytest.mark.timeout(240)
async def test_ten_jobs_wait_for_it_and_complete(
    tmp_path: Path, addresses: Addresses, request: pytest.FixtureRequest
) -> None:
    away = Away(60 if request.config.getoption("--all-chaos") else 6)
    profile = Profile("away for a while", failure=away)
    with (
        deployment(tmp_path, profile, addresses.servers) as here,
        here.worker(TOLLGATE_WORKER_JOBS="10", TOLLGATE_TENANT_JOBS="10"),
    ):
        async with here.service() as service:
            ordered = [(await submitted(service, order(here.settings)))[0].job_id for _ in range(JOBS)]
            records = await asyncio.gather(*(ended(service, each, 200, also=WAITS) for each in ordered))
            await assert_sound(here, service, ordered)
    assert [each.status for each in records] == ["completed"] * JOBS
    assert 0 < away.refused < 4 * JOBS

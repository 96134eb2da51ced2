"""Runs two jobs with the program as it is, and stores them as those of its version."""

import asyncio
import contextlib
import tempfile
from pathlib import Path

from redis.asyncio import Redis

from graphs.state import SCHEMA_VERSION
from tests.app.queued import WAITS, deployment, ended, order, submitted
from tests.app.stored_jobs import TENANT, save

QUESTION = "How did our revenue develop from 2024 to 2025, and what can we expect in 2026?"


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder, deployment(Path(folder)) as here:
        async with here.service() as service, contextlib.aclosing(Redis.from_url(here.redis_url)) as client:
            wanted = [order(here.settings, QUESTION, TENANT), order(here.settings, tenant=TENANT, budget_micro_usd=10)]
            with here.worker():
                ids = [(await submitted(service, each))[0].job_id for each in wanted]
                for job_id in ids:
                    await ended(service, job_id, also=WAITS)
            await save(client, f"v{SCHEMA_VERSION}", *ids)


if __name__ == "__main__":
    asyncio.run(main())

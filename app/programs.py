"""The programs that serve: a worker, the API, and both of them with all they need on one machine."""

import asyncio
import signal
from collections.abc import Callable

from app.logs import configure
from app.processes import Addresses
from app.serving import opened_worker
from app.settings import Settings
from app.worker import work_until


def worker(settings: Settings, redis_url: str, addresses: Addresses, say: Callable[[str], None]) -> None:
    """Run jobs until SIGTERM or SIGINT, then hand over what runs. Raises as `opened_worker`."""
    configure()
    asyncio.run(_worker(settings, redis_url, addresses, say))


async def _worker(settings: Settings, redis_url: str, addresses: Addresses, say: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    async with opened_worker(settings, redis_url, addresses, say) as work:
        say(f"worker: up to {settings.worker_jobs} jobs at once")
        await work_until(stop, work, settings)
    say("worker: handed over, stopped")

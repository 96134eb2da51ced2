"""A cache of tool results, which also merges a tenant's equal concurrent calls into one."""

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cachetools import TTLCache

from graphs.state import Json

MAX_BYTES = 32 * 1024 * 1024
MAX_ENTRIES = 1_000


def cache_key(server: str, tool: str, arguments: Json) -> bytes:
    """A digest of the names and of the arguments, regardless of their order."""
    canonical = json.dumps([server, tool, arguments], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()


@dataclass
class _Flight:
    call: asyncio.Task[bytes]
    waiting: int = 0


class ToolCache:
    """Keeps results as bytes, so that no caller can change what others get.

    Args:
        seconds: how long a result is kept.
        max_bytes: total size of the kept results; the least recently used are evicted first.
        max_entries: the number of results kept.
        keeps: says whether a new result may be kept.
        timer: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        seconds: float,
        *,
        max_bytes: int = MAX_BYTES,
        max_entries: int = MAX_ENTRIES,
        keeps: Callable[[], bool] = lambda: True,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        least = max_bytes // max_entries  # the least size that a result counts as, which bounds their number
        self._kept: TTLCache[bytes, bytes] = TTLCache(
            max_bytes, seconds, timer=timer, getsizeof=lambda answer: max(len(answer), least)
        )
        self._max_bytes = max_bytes
        self._keeps = keeps
        self._flights: dict[tuple[bytes, str], _Flight] = {}

    async def answer(self, key: bytes, call: Callable[[], Awaitable[bytes]], tenant: str = "") -> tuple[bytes, bool]:
        """The result under this key, and whether it came without a call of the caller's own.

        Raises what the call raises, to all of the tenant's callers that wait for it; failures are not kept. The call is
        cancelled when nobody waits for it any more. Calls are not shared between tenants, because the other tenant's
        may be queued behind many more.
        """
        if (kept := self._kept.get(key)) is not None:
            return kept, True
        mine = key, tenant
        flight = self._flights.get(mine)
        joined = flight is not None and not flight.call.done()
        if flight is None or not joined:
            flight = self._flights[mine] = _Flight(asyncio.create_task(self._fly(key, call)))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.call), joined
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                flight.call.cancel()
                if self._flights.get(mine) is flight:
                    del self._flights[mine]

    def clear(self) -> None:
        """Remove all results."""
        self._kept.clear()

    async def _fly(self, key: bytes, call: Callable[[], Awaitable[bytes]]) -> bytes:
        answer = await call()
        if len(answer) <= self._max_bytes and self._keeps():
            self._kept[key] = answer
        return answer

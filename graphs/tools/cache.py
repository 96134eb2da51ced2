"""Answers of tools, kept for a while, and one flight for equal calls of a tenant that are made at the same time."""

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
    """The same for equal calls: a digest of the names and of the arguments in any order."""
    canonical = json.dumps([server, tool, arguments], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()


@dataclass
class _Flight:
    call: asyncio.Task[bytes]
    waiting: int = 0


class ToolCache:
    """Keeps answers as bytes, so that nobody can change what others are given.

    Args:
        seconds: how long an answer is kept.
        max_bytes: of all answers kept; the least recently used go first.
        max_entries: of answers.
        keeps: whether an answer that has just come may be kept.
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
        least = max_bytes // max_entries  # an answer counts as at least that, which bounds their number as well
        self._kept: TTLCache[bytes, bytes] = TTLCache(
            max_bytes, seconds, timer=timer, getsizeof=lambda answer: max(len(answer), least)
        )
        self._max_bytes = max_bytes
        self._keeps = keeps
        self._flights: dict[tuple[bytes, str], _Flight] = {}

    async def answer(self, key: bytes, call: Callable[[], Awaitable[bytes]], tenant: str = "") -> tuple[bytes, bool]:
        """The answer under this key, and whether it was had without a call of one's own.

        Raises what the call raises, to everyone of the tenant who waits for it; a failure is not kept. The call is
        cancelled when nobody waits for it any more. Nobody waits for a call of another tenant, which may be behind
        many others of that tenant.
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
        """Forget every answer."""
        self._kept.clear()

    async def _fly(self, key: bytes, call: Callable[[], Awaitable[bytes]]) -> bytes:
        answer = await call()
        if len(answer) <= self._max_bytes and self._keeps():
            self._kept[key] = answer
        return answer

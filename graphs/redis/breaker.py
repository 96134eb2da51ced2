"""A circuit breaker per model provider or MCP server, shared by all workers (Michael Nygard, "Release It!").

Closed: calls pass and failures are counted. Open: calls are refused at once instead of each waiting for a timeout.
Half-open: one call is admitted as a probe, and its outcome closes or reopens the breaker.

One hash in Redis, `tollgate:breaker:<provider>`. It expires when nothing has been reported for an hour.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import cast

from redis.asyncio import Redis, RedisCluster

from graphs.clock import utc_now
from graphs.redis.failures import STORE_FAILED
from graphs.redis.script import Script

CLOSED_IS_TRUSTED = timedelta(seconds=1)
FORGOTTEN_S = 3600
PROBE_LOOK_S = 0.5

_SCRIPT = Script(Path(__file__).parent / "breaker.lua")


class _Reading(IntEnum):
    CLOSED = 0
    OPEN = 1
    PROBE = 2


class Breaker:
    """Says whether a provider or server may be called. Any number of instances share one Redis.

    Normally it costs at most one round trip a second: a closed breaker is cached for that long. When Redis fails, calls
    are admitted and reports are lost; the ledger, in the same Redis, refuses them then.

    Args:
        client: the Redis with the state.
        provider: the provider or server.
        failures: this many within `window_s` open it.
        window_s: seconds for which a failure counts.
        open_s: seconds until a probe is admitted, and until a probe that never reported is abandoned.
        now: the time, in UTC.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        provider: str,
        *,
        failures: int = 5,
        window_s: float = 60,
        open_s: float = 20,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._client = client
        self._key = f"tollgate:breaker:{provider}"
        lives_s = max(FORGOTTEN_S, round(2 * (window_s + open_s)))
        self._limits = (failures, round(window_s * 1000), round(open_s * 1000), lives_s)
        self._now = now
        self._trusted_until: datetime | None = None
        self._in_doubt = False

    async def admits(self) -> bool:
        """Whether a call may be made. A caller admitted as the probe reports its outcome like any other."""
        now = self._now()
        if self._trusted_until and now < self._trusted_until:
            return True
        reading = await self._tell("admits", now)
        self._in_doubt |= reading is _Reading.PROBE
        return reading is not _Reading.OPEN

    async def wait_s(self) -> float | None:
        """Seconds until it is worth calling `admits` again: until a probe is admitted, or a moment while one is in
        flight. None when the breaker is closed. A probe whose process died expires after `open_s`."""
        try:
            found = await cast("Awaitable[list[bytes | None]]", self._client.hmget(self._key, ["retry_at", "probing"]))
        except STORE_FAILED:
            return PROBE_LOOK_S
        retry_at, probing = (int(each or 0) for each in found)
        if not retry_at:
            return None
        left = max(0.0, retry_at / 1000 - self._now().timestamp())
        return min(PROBE_LOOK_S, left) if probing else left

    async def abandoned(self) -> None:
        """Report a call that says nothing about the provider: it was cancelled, or refused before it was made. A probe
        passes to the next caller."""
        if self._in_doubt:
            await self._tell("abandoned", self._now())

    async def failed(self) -> None:
        """Count a failure of the provider: an outage or a timeout, not a bad request."""
        self._in_doubt = True
        await self._tell("failed", self._now())

    async def succeeded(self) -> None:
        """Close the breaker and reset the count. Free unless this process saw a failure or was the probe."""
        if self._in_doubt:
            self._in_doubt = False
            self._in_doubt |= await self._tell("succeeded", self._now()) is None

    async def _tell(self, event: str, now: datetime) -> _Reading | None:
        """The breaker after the event; None when Redis fails."""
        self._trusted_until = None
        at = round(now.timestamp() * 1000)
        try:
            answer = await _SCRIPT.run(self._client, [self._key], event, at, *self._limits)
        except STORE_FAILED:
            return None
        reading = _Reading(answer)
        if reading is _Reading.CLOSED:
            self._trusted_until = now + CLOSED_IS_TRUSTED
        return reading

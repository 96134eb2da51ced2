"""Rate limits for API keys and tools: a rate per minute and a burst.

A token bucket as GCRA ("generic cell rate algorithm"): an allowance of `burst` requests that refills evenly, kept as
one number per key, `tollgate:{<key id>}:rate`, and updated atomically, so that any number of processes share it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from redis.asyncio import Redis

from graphs.redis.script import Script

_MINUTE_US = 60_000_000
_TAKE = Script(Path(__file__).with_suffix(".lua"))


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of an allowance after a request.

    Attributes:
        limit: requests allowed at once when the allowance is full.
        remaining: requests allowed now.
        reset_s: seconds until the allowance is full.
        retry_after_s: seconds until the next request is allowed; None if this one was.
    """

    limit: int
    remaining: int
    reset_s: float
    retry_after_s: float | None

    @property
    def allowed(self) -> bool:
        """Whether the request is allowed."""
        return self.retry_after_s is None

    def headers(self) -> dict[str, str]:
        """The response headers. Seconds are rounded up."""
        told = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(math.ceil(self.reset_s)),
        }
        return told if self.retry_after_s is None else told | {"Retry-After": str(math.ceil(self.retry_after_s))}


class RateLimit:
    """One rate limit, applied to each key separately.

    Args:
        client: the Redis with the state.
        per_minute: requests replenished per minute.
        burst: requests allowed at once.
        now: the time; by default the Redis server's, which all processes share.
    """

    def __init__(
        self, client: Redis, *, per_minute: int, burst: int, now: Callable[[], datetime] | None = None
    ) -> None:
        self._client = client
        self._interval_us = math.ceil(_MINUTE_US / per_minute)
        self._burst = burst
        self._now = now

    async def take(self, key_id: str) -> Allowance:
        """Count a request of this key if it is allowed; a refused one costs nothing.

        After a lost connection the client resends, so a request may be counted twice.

        Raises:
            redis.exceptions.RedisError: Redis failed.
        """
        now = "" if self._now is None else round(self._now().timestamp() * 1_000_000)
        key = f"tollgate:{{{key_id}}}:rate"
        allowed, remaining, reset, wait = await _TAKE.run(self._client, [key], self._interval_us, self._burst, now)
        return Allowance(self._burst, remaining, reset / 1_000_000, None if allowed else wait / 1_000_000)

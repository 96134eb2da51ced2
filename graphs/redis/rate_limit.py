"""How many requests a key, or calls a tool, may make: so many a minute, and so many of them at once.

A token bucket, as GCRA ("generic cell rate algorithm"): an allowance of `burst` requests that comes back evenly, kept
as one number per key, `tollgate:{<key id>}:rate`, and taken from in one step, so that any number of processes share it.
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
    """What is left after a request.

    Attributes:
        limit: requests that may be made at once when none was made for a while.
        remaining: requests that may be made now.
        reset_s: seconds until `limit` requests may be made again.
        retry_after_s: seconds until one more may be made, when this one may not; None when it may.
    """

    limit: int
    remaining: int
    reset_s: float
    retry_after_s: float | None

    @property
    def allowed(self) -> bool:
        """Whether the request may be made."""
        return self.retry_after_s is None

    def headers(self) -> dict[str, str]:
        """For the answer, whether it was allowed or not. Seconds are whole, and never too few."""
        told = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(math.ceil(self.reset_s)),
        }
        return told if self.retry_after_s is None else told | {"Retry-After": str(math.ceil(self.retry_after_s))}


class RateLimit:
    """The rate limit of every key.

    Args:
        client: where it is kept.
        per_minute: requests that come back in a minute.
        burst: requests that may be made at once.
        now: the time; by default that of the Redis server, which is one for all processes.
    """

    def __init__(
        self, client: Redis, *, per_minute: int, burst: int, now: Callable[[], datetime] | None = None
    ) -> None:
        self._client = client
        self._interval_us = math.ceil(_MINUTE_US / per_minute)
        self._burst = burst
        self._now = now

    async def take(self, key_id: str) -> Allowance:
        """Count a request of this key, if it may be made; one that may not costs nothing.

        After a lost connection the client asks again, and the request may be counted twice.

        Raises:
            redis.exceptions.RedisError: Redis does not answer.
        """
        now = "" if self._now is None else round(self._now().timestamp() * 1_000_000)
        key = f"tollgate:{{{key_id}}}:rate"
        allowed, remaining, reset, wait = await _TAKE.run(self._client, [key], self._interval_us, self._burst, now)
        return Allowance(self._burst, remaining, reset / 1_000_000, None if allowed else wait / 1_000_000)

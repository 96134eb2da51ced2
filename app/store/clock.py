"""The store's time, shared by all processes whatever their own clocks say.

Several machines compare leases, reservations, breakers and tokens, so these use the store's time: its last answer plus
the time since on a steady clock, which is never set and continues while the machine sleeps.
"""

import time
from datetime import UTC, datetime

from redis.asyncio import Redis

_SECOND_US = 1_000_000


class StoreClock:
    """Returns the store's time in UTC; before the first measurement, this machine's."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._epoch = time.time() - _steady()  # the store's time when the steady clock was at zero

    def __call__(self) -> datetime:
        """Now. The error is less than the store took to answer."""
        return datetime.fromtimestamp(self._epoch + _steady(), UTC)

    async def measured(self) -> float:
        """Ask the store. Returns the seconds by which this machine's clock is ahead of it.

        Raises:
            redis.exceptions.RedisError: it does not answer.
        """
        asked = _steady()
        seconds, micros = await self._client.time()
        answered = _steady()
        told = seconds + micros / _SECOND_US
        self._epoch = told - (asked + answered) / 2
        return time.time() - (told + (answered - asked) / 2)


def _steady() -> float:
    """Seconds since the machine was started; where that is unknown, since an arbitrary moment."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()

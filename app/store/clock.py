"""The time of the store, which is one for all processes, whatever their machines believe.

Leases, reservations, breakers and tokens are compared by several machines. They are reckoned in the store's time: what
it said when it was last asked, and what has passed since by a clock that nobody sets and that goes on while the machine
sleeps.
"""

import time
from datetime import UTC, datetime

from redis.asyncio import Redis

_SECOND_US = 1_000_000


class StoreClock:
    """Tells the store's time, in UTC; until it was asked for the first time, this machine's."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._epoch = time.time() - _steady()  # the store's time when the steady clock was at zero

    def __call__(self) -> datetime:
        """Now. Off by less than the store took to answer."""
        return datetime.fromtimestamp(self._epoch + _steady(), UTC)

    async def measured(self) -> float:
        """Ask the store. Seconds by which this machine's own clock is ahead of it.

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
    """Seconds since the machine was started; where nothing tells those, since some time or other."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()

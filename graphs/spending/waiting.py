"""Waits for money that is only reserved: most calls settle below their worst case."""

import random
from collections.abc import Awaitable, Callable

from graphs.errors import LimitReached
from graphs.spending.spend import Account
from graphs.state import Json
from graphs.stop_reasons import StopReason

PATIENCE_S = 5.0  # for which a call waits for others' reservations, before it takes what they leave
SHORTEST_S, LONGEST_S = 0.02, 0.2


async def when_free(
    reserve: Callable[[bool], Awaitable[int]],
    account: Account,
    warn: Callable[[Json], None],
    *,
    seconds: float,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
) -> int:
    """The result of `reserve`, tried again while only open reservations or the minute's limit are in the way.

    Args:
        reserve: gets whether it is worth waiting for others' reservations.
        account: who pays.
        warn: gets one event if it has to wait.
        seconds: that it may take.
        clock: a monotonic clock, in seconds.
        sleep: how to wait, in seconds.

    Raises:
        LimitReached: waiting does not help, or took too long.
    """
    since, told = clock(), False
    while True:
        try:
            return await reserve(clock() < since + PATIENCE_S)
        except LimitReached as refused:
            if not _passes(refused, account) or clock() >= since + seconds:
                raise
            if not told:
                warn({"type": "warning", "message": f"{account.agent} waits: {refused}"})
            told = True
        await sleep(random.uniform(SHORTEST_S, LONGEST_S))  # noqa: S311  jitter, not a secret


def _passes(refused: LimitReached, account: Account) -> bool:
    """Whether waiting helps: reservations settle and a minute ends, unless one call alone exceeds a minute's limit."""
    if refused.reason is StopReason.SPEND_RATE:
        return refused.wanted_micro_usd <= account.limits.spend_per_minute_micro_usd
    return refused.passing

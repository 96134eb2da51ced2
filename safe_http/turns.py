"""Fair sharing of slots, so that one busy caller does not keep the others waiting."""

import asyncio
import itertools
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


class Full(Exception):
    """The queue is full."""


@dataclass(eq=False)
class _Caller:
    """A caller that has a slot or waits. `since`: sequence number of the end of its last turn, or of its arrival."""

    since: int
    under_way: int = 0
    line: deque[asyncio.Future[None]] = field(default_factory=deque)


class Turns:
    """Slots that callers share. No caller has all of them if there is more than one.

    A free slot goes to the caller with the fewest slots; among equals, to the one whose last turn was longest ago. If
    the queue overflows, the caller with the most slots and waiters loses its last waiter. For one event loop.

    Args:
        places: current number of slots; call `serve` when it grows.
        spare: slots that one caller must leave to others.
        most_waiting: length of the queue, over all callers.
    """

    def __init__(
        self, places: Callable[[], int], spare: Callable[[], int] = lambda: 1, most_waiting: float = math.inf
    ) -> None:
        self._places = places
        self._spare = spare
        self._most_waiting = most_waiting
        self._callers: dict[str, _Caller] = {}
        self._numbers = itertools.count()
        self.under_way = 0

    @property
    def waiting(self) -> int:
        return sum(len(each.line) for each in self._callers.values())

    @asynccontextmanager
    async def turn(self, caller: str) -> AsyncIterator[None]:
        """Hold a slot for this caller until the block ends. Raises Full."""
        await self.take(caller)
        try:
            yield
        finally:
            self.give_back(caller)

    async def take(self, caller: str) -> None:
        """Wait for a slot; release it with `give_back`. Raises Full."""
        mine = self._callers.setdefault(caller, _Caller(next(self._numbers)))
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        mine.line.append(turn)
        self.serve()
        if self.waiting > self._most_waiting:
            self._send_one_away(mine)
        try:
            await turn
        except BaseException:
            if turn.cancelled() or turn.exception():
                with suppress(ValueError):
                    mine.line.remove(turn)
                self._forget_idle(caller)
            else:  # granted just as the wait ended
                self.give_back(caller)
            raise

    def give_back(self, caller: str) -> None:
        mine = self._callers[caller]
        self.under_way -= 1
        mine.under_way -= 1
        mine.since = next(self._numbers)
        self._forget_idle(caller)
        self.serve()

    def serve(self) -> None:
        """Give free slots to waiting callers."""
        while self.under_way < self._places():
            most = max(1, self._places() - self._spare())
            able = [each for each in self._callers.values() if each.line and each.under_way < most]
            if not able:
                return
            first = min(able, key=lambda each: (each.under_way, each.since))
            turn = first.line.popleft()
            if not turn.done():
                self.under_way += 1
                first.under_way += 1
                turn.set_result(None)

    def _send_one_away(self, newcomer: _Caller) -> None:
        waiting = [each for each in self._callers.values() if each.line]
        most = max(waiting, key=lambda each: (each.under_way + len(each.line), each is newcomer))
        turn = most.line.pop()
        if not turn.done():
            turn.set_exception(Full())

    def _forget_idle(self, caller: str) -> None:
        known = self._callers.get(caller)
        if known and not known.under_way and not known.line:
            del self._callers[caller]

"""Takes calls from a queue and carries them out, so many at once, until it is told to stop."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from app.work.queue import Call, Queue, Worker
from graphs.redis.failures import STORE_FAILED, explained

logger = logging.getLogger(__name__)

IDLE_S = 1.0  # between two looks, when nobody rings
STORE_S = 1.0  # between two attempts at a store that fails
AGAIN_S = 5.0  # after an error that nobody expected: the call is not lost
SWALLOWED_S = 1.0  # for so long a cancellation is believed to be on its way
RENEWALS = 6  # in the time after which a silent worker's calls are given to another

Act = Callable[[Call], Awaitable[float | None]]
Allowed = Callable[[int, int], Awaitable[int]]


async def as_many_as_are_free(free: int, _: int) -> int:
    """For calls that need nothing but the store."""
    return free


async def ended(*tasks: "asyncio.Task[None]") -> None:
    """Cancel these, until they have ended: Python 3.11's wait_for, under the Redis client, can swallow a cancellation,
    and a task that works in rounds then goes on with the next."""
    while pending := {each for each in tasks if not each.done()}:
        for each in pending:
            each.cancel()
        await asyncio.wait(pending, timeout=SWALLOWED_S)


class QueueWorker:
    """Takes calls and carries them out.

    Args:
        queue: where they are.
        worker: in whose name they are taken.
        act: carries one out; the seconds after which it is to be made again, or None.
        allowed: how many may be taken now, of so many places that are free, while so many calls are under way.
    """

    def __init__(self, queue: Queue, worker: Worker, act: Act, allowed: Allowed = as_many_as_are_free) -> None:
        self._queue = queue
        self._worker = worker
        self._act = act
        self._allowed = allowed
        self._running: dict[asyncio.Task[None], Call] = {}  # a call may be here twice, while its first run ends
        self._look = asyncio.Event()
        self._failing = False

    async def until(self, stop: asyncio.Event) -> None:
        """Take calls until `stop` is set, then let what runs come to its end. Cancelled, it breaks that off; the queue
        then gives it to another worker when this one has been silent for long enough."""
        beside = {asyncio.create_task(each) for each in (self._stopped(stop), self._listen(), self._renew())}
        try:
            while not stop.is_set():
                self._look.clear()
                wait = await self._taken()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._look.wait()
                for each in beside:
                    if each.done() and not stop.is_set():
                        each.result()  # a worker that renews nothing must not look like one that works
            while self._running:
                await asyncio.wait(self._running)
        finally:
            for each in self._running:
                each.cancel()
            if self._running:
                await asyncio.wait(self._running)
            await ended(*beside)

    async def _taken(self) -> float:
        """Take what may be taken; seconds until it is worth looking again."""
        try:
            free = self._worker.places - len(self._running)
            most = await self._allowed(free, len(self._running)) if free else 0
            if not most:
                return IDLE_S
            found = await self._queue.take(self._worker, most)
            self._failing = False
        except STORE_FAILED as error:
            if not self._failing:
                logger.warning("no calls can be taken, tried again every %g s: %s", STORE_S, explained(error))
            self._failing = True
            return STORE_S
        for call in found.calls:
            task = asyncio.create_task(self._carried_out(call), name=call.member)
            self._running[task] = call
            task.add_done_callback(self._ended)
        return IDLE_S if found.next_due_s is None else min(IDLE_S, found.next_due_s)

    async def _carried_out(self, call: Call) -> None:
        try:
            again_s = await self._act(call)
        except Exception:
            logger.exception("%s failed; it is tried again in %g s", call.member, AGAIN_S)
            again_s = AGAIN_S
        while True:
            try:
                return await self._queue.done(self._worker, call, again_s)
            except STORE_FAILED:
                await asyncio.sleep(STORE_S)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._running[task]
        self._look.set()

    async def _listen(self) -> None:
        while True:
            try:
                await self._queue.rung(IDLE_S)
                self._look.set()
            except STORE_FAILED:
                await asyncio.sleep(STORE_S)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._worker.silence_s / RENEWALS)
            with contextlib.suppress(*STORE_FAILED):  # the next one counts
                await self._queue.renew(self._worker, list(self._running.values()))

    async def _stopped(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._look.set()

"""Takes calls from a queue and carries them out concurrently, until it is told to stop."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from app.work.queue import Call, Queue, Worker
from graphs.redis.failures import STORE_FAILED, explained

logger = logging.getLogger(__name__)

IDLE_S = 1.0  # between two polls, without a bell
STORE_S = 1.0  # between two attempts at a failing store
AGAIN_S = 5.0  # after an unexpected error: the call is retried
SWALLOWED_S = 1.0  # until a cancellation counts as swallowed
RENEWALS = 6  # within the time after which a silent worker's calls go to another

Act = Callable[[Call], Awaitable[float | None]]
Allowed = Callable[[int, int], Awaitable[int]]


async def as_many_as_are_free(free: int, _: int) -> int:
    """The `allowed` of calls that need only the store."""
    return free


async def ended(*tasks: "asyncio.Task[None]") -> None:
    """Cancel these tasks until they have ended: Python 3.11's wait_for, under the Redis client, can swallow a
    cancellation, after which a task that works in rounds continues."""
    while pending := {each for each in tasks if not each.done()}:
        for each in pending:
            each.cancel()
        await asyncio.wait(pending, timeout=SWALLOWED_S)


class QueueWorker:
    """Takes calls and carries them out.

    Args:
        queue: the queue.
        worker: the worker that takes them.
        act: carries one out; returns the seconds after which to repeat it, or None.
        allowed: how many calls may be taken now, given the free places and the calls in progress.
    """

    def __init__(self, queue: Queue, worker: Worker, act: Act, allowed: Allowed = as_many_as_are_free) -> None:
        self._queue = queue
        self._worker = worker
        self._act = act
        self._allowed = allowed
        self._running: dict[asyncio.Task[None], Call] = {}  # a call may occur twice while its first run ends
        self._look = asyncio.Event()
        self._failing = False

    async def until(self, stop: asyncio.Event) -> None:
        """Take calls until `stop` is set, then let running ones finish. If cancelled, aborts them; another worker gets
        them when this one has been silent for long enough."""
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
                        each.result()  # a worker that cannot renew must fail visibly
            while self._running:
                await asyncio.wait(self._running)
        finally:
            for each in self._running:
                each.cancel()
            if self._running:
                await asyncio.wait(self._running)
            await ended(*beside)

    async def _taken(self) -> float:
        """Take what may be taken; return the seconds until the next poll."""
        try:
            free = self._worker.places - len(self._running)
            most = await self._allowed(free, len(self._running)) if free else 0
            if not most:
                return IDLE_S
            found = await self._queue.take(self._worker, most)
            self._failing = False
        except STORE_FAILED as error:
            if not self._failing:
                logger.warning("no calls can be taken, retrying every %g s: %s", STORE_S, explained(error))
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
            logger.exception("%s failed; retrying in %g s", call.member, AGAIN_S)
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
            with contextlib.suppress(*STORE_FAILED):  # the next renewal counts
                await self._queue.renew(self._worker, list(self._running.values()))

    async def _stopped(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._look.set()

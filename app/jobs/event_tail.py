"""Notifies any number of waiters of new stream entries, over one connection."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from redis.asyncio import Redis

from graphs.redis.failures import STORE_FAILED

logger = logging.getLogger(__name__)

BLOCK_MS = 250  # also the longest wait until a newly watched stream is included
PAUSE_S = 0.02  # between two rounds, so that under load many events share a round
RETRY_S = 0.5
ADOPTED_AT_ONCE = 50


@dataclass(eq=False, slots=True)
class _Watched:
    """A stream: the last entry that its waiters know of (None: not known yet), and their flags."""

    last: bytes | None = None
    flags: set[asyncio.Event] = field(default_factory=set)


class Tail:
    """One reader for all watched streams of this process.

    It runs while somebody waits, and passes on no entries: each waiter reads from its own position, so unread entries
    take no memory. On a cluster the streams would have to be on one node.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._watched: dict[str, _Watched] = {}
        self._reader: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def watching(self, key: str) -> Iterator[asyncio.Event]:
        """An event that is set each time the stream has grown, and once at the start.

        Clear it before reading the stream: entries added after the read set it again.
        """
        flag = asyncio.Event()
        watched = self._watched.setdefault(key, _Watched())
        watched.flags.add(flag)
        if self._reader is None:
            self._reader = asyncio.create_task(self._read(), name="event tail")
        try:
            yield flag
        finally:
            watched.flags.discard(flag)
            if not watched.flags:
                del self._watched[key]
            if not self._watched and self._reader is not None:
                self._reader.cancel()
                self._reader = None

    async def _read(self) -> None:
        failing = False
        while self._reader is asyncio.current_task():  # Python 3.11's wait_for, inside the client, can lose a cancel
            try:
                await self._adopt([key for key, watched in self._watched.items() if watched.last is None])
                grown = await self._grown()
                failing = False
            except Exception as error:  # without a reader all would wait for ever; a retry misses nothing
                if not failing and self._reader is asyncio.current_task():
                    ours = not isinstance(error, STORE_FAILED)
                    logger.warning("events cannot be read, retrying every %s s: %r", RETRY_S, error, exc_info=ours)
                failing = True
                await asyncio.sleep(RETRY_S)
                continue
            if grown:
                await asyncio.sleep(PAUSE_S)

    async def _grown(self) -> bool:
        """Wait for a stream to grow; return whether one did."""
        positions = {key: watched.last for key, watched in self._watched.items() if watched.last is not None}
        if not positions:
            return False
        found = dict(await self._client.xread(positions, count=1, block=BLOCK_MS))  # type: ignore[arg-type]
        for key in found:
            if watched := self._watched.get(key.decode() if isinstance(key, bytes) else key):
                watched.last = None
        return bool(found)

    async def _adopt(self, keys: list[str]) -> None:
        """Take each stream's end as known, and tell its waiters to read up to it."""
        for start in range(0, len(keys), ADOPTED_AT_ONCE):
            some = keys[start : start + ADOPTED_AT_ONCE]
            async with self._client.pipeline(transaction=False) as pipe:
                for key in some:
                    pipe.xrevrange(key, count=1)
                ends = await pipe.execute()
            for key, entries in zip(some, ends, strict=True):
                if watched := self._watched.get(key):
                    watched.last = entries[0][0] if entries else b"0-0"
                    for flag in watched.flags:
                        flag.set()

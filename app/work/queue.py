"""The queue: calls of tenants, over Redis. Whoever accepts jobs puts calls into it, workers carry them out.

A call is carried out at least once. That is enough: what it does is guarded by the job's lease, and doing it again when
there is nothing to do changes nothing. The same call waits once, however often it is put there; while it is carried out
it may be put there again, for it may have missed what it is about, and is then carried out once more.

Tenants take turns, and no tenant has all places, so that nobody waits for another's calls (`line.lua`, `queue.lua`). A
call is two names and nothing else: who writes to this Redis can make workers run a job, not code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from redis.asyncio import Redis

from graphs.redis.script import Script

JOBS, WEBHOOKS = "tollgate:{jobs}:queue:", "tollgate:{webhooks}:queue:"

_HERE = Path(__file__)
LINE = _HERE.with_name("line.lua")
_SCRIPT = Script(LINE, _HERE.with_suffix(".lua"))


class Call(NamedTuple):
    """What a worker is to do, and for which tenant."""

    tenant: str
    name: str

    @property
    def member(self) -> str:
        """As it is kept. No tenant has a slash in its name."""
        return f"{self.tenant}/{self.name}"


class Taken(NamedTuple):
    """Calls to carry out, and seconds until another is due, if one is waiting for its time."""

    calls: list[Call]
    next_due_s: float | None


class Sizes(NamedTuple):
    """Calls that wait for a place, those that wait for their time, those under way, and the places of all workers."""

    waiting: int
    later: int
    taken: int
    places: int


@dataclass(frozen=True, slots=True)
class Worker:
    """Who takes calls: its name, calls that it carries out at once, those of one tenant over all workers, and seconds
    of silence after which its calls are given to another."""

    name: str
    places: int
    per_tenant: int
    silence_s: float


class Queue:
    """One queue.

    Args:
        client: where it is kept.
        prefix: of its keys, with a hash tag.
        ttl_seconds: how long it is kept when nobody touches it: as long as what its calls are about.
        now_ms: the time; by default that of the Redis server, which is one for all processes.
    """

    def __init__(self, client: Redis, prefix: str, *, ttl_seconds: int, now_ms: int | None = None) -> None:
        self._client: Any = client
        self._prefix = prefix
        self._ttl = ttl_seconds
        self.now_ms = now_ms
        self._heard = b"$"

    async def put(self, call: Call, delay_s: float = 0) -> None:
        """Let a worker carry out the call, after so many seconds; sooner, if it is to be made sooner already."""
        await self._run("put", call.member, _ms(delay_s))

    async def ensure(self, call: Call) -> None:
        """Let a worker carry out the call, unless it is in the queue, whenever it is to be made."""
        await self._run("ensure", call.member)

    async def take(self, worker: Worker, free: int) -> Taken:
        """At most so many calls, each tenant's in turn, for this worker.

        It has to renew them, and say when one is done. A call that was not renewed is taken by the next.
        """
        given = (worker.name, worker.places, free, worker.per_tenant, _ms(worker.silence_s))
        due_ms, found = await self._run("take", *given)
        calls = [Call(*each.decode().split("/", 1)) for each in found]
        return Taken(calls, due_ms / 1000 if due_ms >= 0 else None)

    async def renew(self, worker: Worker, calls: Sequence[Call]) -> None:
        """Say that the worker lives and carries these calls out."""
        members = [each.member for each in calls]
        await self._run("renew", worker.name, worker.places, _ms(worker.silence_s), *members)

    async def done(self, worker: Worker, call: Call, again_s: float | None = None) -> None:
        """The call was carried out; with `again_s` it is to be made again after so many seconds. Nothing happens when
        it was given to another meanwhile."""
        await self._run("done", worker.name, call.member, "" if again_s is None else _ms(again_s))

    async def rung(self, seconds: float) -> None:
        """Wait until there may be something to take, at most so long."""
        bell = f"{self._prefix}bell"
        for _, entries in await self._client.xread({bell: self._heard}, count=1, block=max(1, _ms(seconds))):
            self._heard = entries[-1][0]

    async def sizes(self) -> Sizes:
        """How full it is."""
        return Sizes(*await self._run("look"))

    async def _run(self, operation: str, *given: object) -> Any:
        now = "" if self.now_ms is None else self.now_ms
        return await _SCRIPT.run(self._client, [f"{self._prefix}turns"], operation, now, self._ttl, *given)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)

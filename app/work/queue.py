"""The queue of tenants' calls, in Redis. The API puts calls into it, workers carry them out.

A call is carried out at least once. That is enough, because a run is guarded by the job's lease and is idempotent. The
same call waits only once, however often it is queued. If it is queued again while it runs, it may have missed the
reason, so it runs once more.

Tenants take turns, and no tenant has all places, so that nobody waits for another's calls (`line.lua`, `queue.lua`). A
call is just two names: whoever can write to this Redis can make workers run a job, but not code.
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
    """A unit of work for a worker: a job or a webhook, and its tenant."""

    tenant: str
    name: str

    @property
    def member(self) -> str:
        """The stored form. Tenants' names have no slash."""
        return f"{self.tenant}/{self.name}"


class Taken(NamedTuple):
    """Calls to carry out, and seconds until the next delayed call is due, if any."""

    calls: list[Call]
    next_due_s: float | None


class Sizes(NamedTuple):
    """Calls waiting for a place, delayed calls, calls in progress, the places of all workers, suspended calls, and the
    milliseconds for which the oldest waiting call has waited."""

    waiting: int
    later: int
    taken: int
    places: int
    suspended: int
    oldest_ms: int


class Taker(NamedTuple):
    """A live worker: its name, its places, and the calls that it carries out."""

    name: str
    places: int
    calls: list[Call]


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker: its name, its concurrent calls, those of one tenant over all workers, and the seconds of silence after
    which another worker gets its calls."""

    name: str
    places: int
    per_tenant: int
    silence_s: float


class Queue:
    """One queue.

    Args:
        client: the Redis with the queue.
        prefix: the prefix of its keys, with a hash tag.
        ttl_seconds: how long it is kept without use: as long as jobs are.
        now_ms: the time; by default the Redis server's, which all processes share.
    """

    def __init__(self, client: Redis, prefix: str, *, ttl_seconds: int, now_ms: int | None = None) -> None:
        self._client: Any = client
        self._prefix = prefix
        self._ttl = ttl_seconds
        self.now_ms = now_ms
        self._heard = b"$"

    async def put(self, call: Call, delay_s: float = 0) -> None:
        """Queue the call, to run after `delay_s` seconds, or earlier if it is already queued for an earlier time."""
        await self._run("put", call.member, _ms(delay_s))

    async def rise(self, mark: str, level: int, call: Call) -> bool:
        """Queue the call and raise the mark to this level, unless it is there; say whether it was done. A mark lasts as
        long as the queue without use."""
        return bool(await self._run("rise", mark, level, call.member))

    async def ensure(self, call: Call) -> None:
        """Queue the call unless it is already queued, for whatever time."""
        await self._run("ensure", call.member)

    async def take(self, worker: Worker, free: int) -> Taken:
        """Take at most `free` calls for this worker, tenants in turn.

        The worker must renew them, and report when one is done. A call that is not renewed goes to another worker.
        """
        given = (worker.name, worker.places, free, worker.per_tenant, _ms(worker.silence_s))
        due_ms, found = await self._run("take", *given)
        return Taken([_call(each) for each in found], due_ms / 1000 if due_ms >= 0 else None)

    async def renew(self, worker: Worker, calls: Sequence[Call]) -> None:
        """Report that the worker is alive and carries out these calls."""
        members = [each.member for each in calls]
        await self._run("renew", worker.name, worker.places, _ms(worker.silence_s), *members)

    async def done(self, worker: Worker, call: Call, again_s: float | None = None) -> None:
        """Report that the call is done; with `again_s`, repeat it after that many seconds. Does nothing if another
        worker has got it meanwhile."""
        await self._run("done", worker.name, call.member, "" if again_s is None else _ms(again_s))

    async def forget(self, call: Call) -> bool:
        """Remove a call that waits, for whatever. False, and nothing is removed, if a worker carries it out."""
        return bool(await self._run("forget", call.member))

    async def suspend(self, call: Call) -> None:
        """Note that this call, which is about to be done, is delayed until its tenant can pay again: see `wake`."""
        await self._run("suspend", call.member)

    async def suspended(self) -> list[str]:
        """The tenants with suspended calls."""
        return [each.decode() for each in await self._run("suspended")]

    async def wake(self, tenant: str) -> None:
        """Let the tenant's suspended calls wait for a place, as if they came now."""
        while await self._run("wake", tenant):
            pass

    async def rung(self, seconds: float) -> None:
        """Wait at most `seconds` until there may be something to take."""
        bell = f"{self._prefix}bell"
        for _, entries in await self._client.xread({bell: self._heard}, count=1, block=max(1, _ms(seconds))):
            self._heard = entries[-1][0]

    async def sizes(self) -> Sizes:
        """The sizes of the queue."""
        return Sizes(*await self._run("look"))

    async def later(self, tenant: str, most: int) -> list[str]:
        """The names of the tenant's delayed calls, the next one first, of the next `most` ones of all tenants."""
        found = await self._client.zrange(f"{self._prefix}later", 0, most - 1)
        calls = [_call(each) for each in found]
        return [each.name for each in calls if each.tenant == tenant]

    async def takers(self) -> list[Taker]:
        """The live workers."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.zrange(f"{self._prefix}workers", 0, -1)
            pipe.hgetall(f"{self._prefix}takers")
            workers, taken = await pipe.execute()
        found: list[Taker] = []
        for each in workers:
            name, _, places = each.decode().rpartition("/")
            calls = [_call(member) for member, taker in taken.items() if taker.decode() == name]
            found.append(Taker(name, int(places), calls))
        return found

    async def _run(self, operation: str, *given: object) -> Any:
        now = "" if self.now_ms is None else self.now_ms
        return await _SCRIPT.run(self._client, [f"{self._prefix}turns"], operation, now, self._ttl, *given)


def _call(member: bytes) -> Call:
    return Call(*member.decode().split("/", 1))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)

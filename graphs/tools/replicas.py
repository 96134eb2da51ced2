"""Load balancing over the replicas of one MCP server.

A call goes to the replica that is up and has the fewest calls in flight; when all are full, it waits in line, as long
as its caller does. Tenants take turns, and none gets all places. A replica that fails a call is skipped until its
`/readyz` says that it is ready, or there is no other. Third-party servers have no `/readyz`: after a failure they are
pinged until they answer. So is a stdio program, which is killed if it does not answer, so that the next call starts a
new one.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from graphs.errors import ServerUnavailable
from graphs.state import Json
from graphs.tools.limits import ToolLimits
from graphs.tools.session import KeptSession, is_url
from graphs.tools.transport import BY_A_PROXY
from safe_http.bodies import body
from safe_http.turns import Full, Turns

PROBE_TIMEOUT_S = 2.0
PROBE_BYTES = 65_536
DOWN_LOOK_S = 1.0
HERE = {"loading", "stopping"}  # what our servers answer at /readyz when they are up but not ready
PLAIN = {"Accept-Encoding": "identity"}


@dataclass(eq=False)
class Replica:
    """One replica: its known state, and its session."""

    address: str
    open: Callable[[str], KeptSession]
    up: bool = True
    away: bool = False  # at the last probe nobody answered, or only a proxy
    under_way: int = 0
    kept: KeptSession | None = None

    def alive(self) -> KeptSession:
        """Its session, perhaps still opening: started by the first caller and shared by all."""
        if self.kept is None or not self.kept.alive:
            self.kept = self.open(self.address)
        return self.kept

    async def session(self) -> KeptSession:
        """Its session, open. Raises Unanswered."""
        kept = self.alive()
        await kept.opened()
        return kept


@dataclass(eq=False)
class Replicas:
    """The replicas of one server.

    Attributes:
        server: its name.
        limits: concurrent calls per replica, and the length of the line.
        http: probes replicas.
        changed: called with the data version that a probe returns.
        is_ours: whether they have a `/readyz`.
    """

    server: str
    all: tuple[Replica, ...]
    limits: ToolLimits
    http: httpx.AsyncClient
    changed: Callable[[str], None]
    is_ours: bool = True
    _probing: asyncio.Task[None] | None = None
    _doubt: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._turns = Turns(self._places, lambda: len(self._asked), self.limits.most_waiting)

    @property
    def waiting(self) -> int:
        """Calls in line."""
        return self._turns.waiting

    def there(self) -> bool:
        """Whether any replica is ready, as far as known. Starts probing them."""
        self._probe_from_now_on()
        return any(each.up for each in self.all)

    @contextlib.asynccontextmanager
    async def place(self, tenant: str, avoided: Collection[Replica] = ()) -> AsyncIterator[Replica]:
        """A place at a replica until the block ends; at an avoided one only if there is no other.

        Raises ServerUnavailable when the line is full and no other tenant has to make room.
        """
        self._probe_from_now_on()
        try:
            await self._turns.take(tenant)
        except Full as full:
            said = f"the MCP server {self.server} is busy, and {self.waiting} calls are waiting"
            raise ServerUnavailable(said) from full
        replica = self._next(avoided)
        replica.under_way += 1
        try:
            yield replica
        finally:
            replica.under_way -= 1
            self._turns.give_back(tenant)

    def failed(self, replica: Replica) -> None:
        """Report a failed call: the replica is skipped until it is ready, or there is no other."""
        replica.up = False
        self._doubt.set()

    def answered(self, replica: Replica) -> None:
        """Report an answered call, which shows that a replica without `/readyz` is up."""
        if not self._has_readyz(replica):
            replica.up, replica.away = True, False

    def has_other(self, replicas: Collection[Replica]) -> bool:
        """Whether there is another replica that is up."""
        return any(each.up and each not in replicas for each in self.all)

    def away(self) -> bool:
        """Whether no replica answered the last probe."""
        self._probe_from_now_on()
        return all(each.away for each in self.all)

    def kept(self) -> KeptSession | None:
        """An open session with any replica, if there is one."""
        return next((each.kept for each in self.all if each.kept and each.kept.is_open), None)

    async def close(self) -> None:
        """Close every session."""
        if self._probing:
            self._probing.cancel()
            await asyncio.wait({self._probing})
        await asyncio.gather(*(each.kept.close() for each in self.all if each.kept))

    @property
    def _asked(self) -> Sequence[Replica]:
        return [each for each in self.all if each.up] or self.all

    def _places(self) -> int:
        """Places at replicas in use; calls still in flight at skipped ones do not count."""
        asked = self._asked
        return len(asked) * self.limits.at_once + sum(each.under_way for each in self.all if each not in asked)

    def _next(self, avoided: Collection[Replica]) -> Replica:
        def order(each: Replica) -> tuple[bool, bool, bool, int]:
            return each.under_way >= self.limits.at_once, each in avoided, not each.up, each.under_way

        return min(self.all, key=order)

    def _probe_from_now_on(self) -> None:
        if self._probing is None:
            self._probing = asyncio.create_task(self._probe(), name=f"asks whether {self.server} is ready")

    async def _probe(self) -> None:
        while True:
            soon = self.is_ours and not all(each.up for each in self.all)
            pause = min(self.limits.probe_s, DOWN_LOOK_S) if soon else self.limits.probe_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._doubt.wait()
            self._doubt.clear()
            await asyncio.gather(*(self._look_at(each) for each in self.all))
            self._turns.serve()

    async def _look_at(self, replica: Replica) -> None:
        if self._has_readyz(replica):
            await self._ask_whether_ready(replica)
        elif is_url(replica.address):
            if not replica.up:
                replica.up = await replica.alive().answers(PROBE_TIMEOUT_S)
                replica.away = not replica.up
        elif not replica.up and (kept := replica.kept) and kept.is_open:
            answers = await kept.answers(self.limits.probe_s)
            if replica.kept is not kept:  # a call has begun a new one meanwhile, of which this says nothing
                return
            replica.up = answers
            if not answers:
                await kept.close()

    def _has_readyz(self, replica: Replica) -> bool:
        return self.is_ours and is_url(replica.address)

    async def _ask_whether_ready(self, replica: Replica) -> None:
        try:
            url = httpx.URL(replica.address).copy_with(path="/readyz", query=None)
            async with asyncio.timeout(PROBE_TIMEOUT_S), self.http.stream("GET", url, headers=PLAIN) as answer:
                replica.up = answer.status_code not in BY_A_PROXY
                told = await _told(answer)
                replica.away = not replica.up and told.get("status") not in HERE
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            replica.up, replica.away = False, True
            return
        if replica.up and isinstance(version := told.get("data_version"), str):
            self.changed(version)


def replicas_of(address: str) -> tuple[str, ...]:
    """The addresses of the replicas: several for URLs, one for a command line."""
    return tuple(each.strip() for each in address.split(",")) if is_url(address) else (address,)


async def _told(answer: httpx.Response) -> Json:
    try:
        told: Any = json.loads(await body(answer, PROBE_BYTES))
    except (httpx.DecodingError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}

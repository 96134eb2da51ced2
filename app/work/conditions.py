"""Whether a worker may take jobs: what every job needs is there, and this machine is as the others expect it to be.

While something is away, jobs wait in the queue, where waiting costs them nothing: a job's time begins with its first
step. They are taken again as soon as it is back, without anybody doing anything.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import httpx
from redis.asyncio import Redis

from app.store.clock import StoreClock
from graphs.redis.breaker import Breaker
from graphs.redis.failures import STORE_FAILED, explained
from graphs.tools.gateway import ToolGateway

LOOK_S = 1.0  # between two looks; in between, the last one counts
PROBE_S = 3.0
CLOCK_S = 5.0  # that clocks may differ: leases last longer, and machines that keep time agree far better
ANY = 2**31
MODEL, CLOCK = "model", "clock of a worker"
CANARY, CANARY_S = "tollgate:canary", 60


@dataclass
class Provider:
    """The model provider, as a worker sees it.

    Attributes:
        url: where it is.
        breaker: what calls have met.
        http: with its key. It is asked at a page that costs nothing.
        is_ours: whether it runs beside us, and may be asked at any time.
        other: the breaker of the one that is asked while it is away.
        _tells: whether it has answered at this page, as far as is known.
    """

    url: str
    breaker: Breaker
    http: httpx.AsyncClient
    is_ours: bool = False
    other: Breaker | None = None
    _tells: bool | None = None

    async def standing(self) -> Literal["there", "back", "away"]:
        """Whether it can be called. `back` is one that answers again, and has not carried out a call since; also one
        that may, when it does not answer at this page at all, as little as while all was well."""
        wait_s = await self.breaker.wait_s()
        if self.other and not await self.other.wait_s():
            return "there"
        if wait_s is None and not self.is_ours:
            if self._tells is None:
                self._tells = await self._answers()
            return "there"
        if wait_s:
            return "away"
        answers = await self._answers()
        self._tells = answers or self._tells
        if not answers and (self.is_ours or self._tells is not False):
            return "away"
        return "there" if wait_s is None else "back"

    async def _answers(self) -> bool:
        """Whether there is anybody. What it answers does not count: few errors of a request say that a provider is
        away."""
        try:
            async with asyncio.timeout(PROBE_S), self.http.stream("GET", f"{self.url.rstrip('/')}/models") as answer:
                return answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR
        except (httpx.HTTPError, TimeoutError):
            return False


@dataclass
class Conditions:
    """What a worker looks at before it takes jobs.

    Args:
        client: the store, which has to take what is written.
        clock: the store's time.
        gateway: knows which MCP servers are away, or refuse us.
        needed: the servers that agents cannot do without.
        provider: the model provider.
        say: is told when no jobs are taken, why, and when they are again.
    """

    client: Redis
    clock: StoreClock
    gateway: ToolGateway
    needed: Sequence[str]
    provider: Provider
    say: Callable[[str], None]
    _missing: str = ""
    _looked: float = field(default=-LOOK_S)
    _most: int = 0
    _ahead_s: float = 0.0

    async def allowed(self, free: int, running: int) -> int:
        """How many of the free places may be filled. After an outage of the provider it is one, until a job has got an
        answer: others would only wait with it."""
        if time.monotonic() - self._looked >= LOOK_S:
            missing, self._most = await self._look()
            if missing != self._missing:
                self.say(f"worker: takes no jobs: {missing}" if missing else "worker: takes jobs again")
            self._missing, self._looked = missing, time.monotonic()
        return max(0, min(free, self._most - running))

    async def parts(self) -> dict[str, bool]:
        """Of each thing that jobs cannot do without, whether it is there."""
        there, refusing = self.gateway.there(), await self.gateway.refusing(self.needed)
        return {
            MODEL: await self.provider.standing() != "away",
            CLOCK: abs(self._ahead_s) <= CLOCK_S,
            **{name: there.get(name, False) and name not in refusing for name in self.needed},
        }

    async def _look(self) -> tuple[str, int]:
        if missing := await self._of_the_store() or await self._of_the_sources():
            return missing, 0
        match await self.provider.standing():
            case "away":
                return "the model provider does not answer", 0
            case "back":
                return "", 1
            case "there":
                return "", ANY

    async def _of_the_store(self) -> str:
        try:
            await self.client.set(CANARY, "", ex=CANARY_S)
            self._ahead_s = await self.clock.measured()
        except STORE_FAILED as error:
            return explained(error)
        if abs(self._ahead_s) > CLOCK_S:
            told = f"{abs(self._ahead_s):.0f} s {'ahead of' if self._ahead_s > 0 else 'behind'}"
            return f"the clock of this machine is {told} that of the store; set it right (NTP)"
        return ""

    async def _of_the_sources(self) -> str:
        if refusing := await self.gateway.refusing(self.needed):
            return (
                f"{', '.join(refusing)} refuses our tokens; give this worker and that server the same "
                "TOLLGATE_MCP_SECRET, and their machines the same time; one of others wants an MCP__<NAME>__TOKEN"
            )
        if unknown := [name for name in self.needed if name not in self.gateway.there()]:
            return f"no address of {', '.join(unknown)} is known; set MCP__{unknown[0].upper()}__URL or __COMMAND"
        if away := await self.gateway.away(self.needed):
            return f"{', '.join(away)} does not answer"
        return ""

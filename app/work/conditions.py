"""Whether a worker may take jobs: what every job needs is available, and this machine's clock is right.

During an outage jobs wait in the queue, where waiting is free: a job's time begins with its first step. Workers resume
by themselves afterwards.
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

LOOK_S = 1.0  # between two checks; in between, the last one counts
PROBE_S = 3.0
CLOCK_S = 5.0  # tolerated clock difference: leases last longer, and synchronised clocks agree far better
ANY = 2**31
MODEL, CLOCK = "model", "clock of a worker"
CANARY, CANARY_S = "tollgate:canary", 60


@dataclass
class Provider:
    """The model provider, as a worker sees it.

    Attributes:
        url: its base URL.
        breaker: its circuit breaker.
        http: a client with its key, for probes that cost nothing.
        is_ours: whether it runs beside us, and may be probed at any time.
        other: the fallback's breaker.
        _tells: whether it has answered probes so far, if known.
    """

    url: str
    breaker: Breaker
    http: httpx.AsyncClient
    is_ours: bool = False
    other: Breaker | None = None
    _tells: bool | None = None

    async def standing(self) -> Literal["there", "back", "away"]:
        """Whether it can be called. `back`: it answers again but has not completed a call since; or it may be back,
        because it never answered probes, even when all was well."""
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
        """Whether it answers, no matter what: few error responses mean that a provider is down."""
        try:
            async with asyncio.timeout(PROBE_S), self.http.stream("GET", f"{self.url.rstrip('/')}/models") as answer:
                return answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR
        except (httpx.HTTPError, TimeoutError):
            return False


@dataclass
class Conditions:
    """The checks of a worker before it takes jobs.

    Args:
        client: the store, which must accept writes.
        clock: the store's time.
        gateway: knows which MCP servers are down, or reject our tokens.
        needed: the servers that agents require.
        provider: the model provider.
        say: called when the worker stops taking jobs, with the reason, and when it resumes.
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
        """How many of the free places may be filled. After a provider outage only one, until a job gets an answer:
        others would only wait with it."""
        if time.monotonic() - self._looked >= LOOK_S:
            missing, self._most = await self._look()
            if missing != self._missing:
                self.say(f"worker: takes no jobs: {missing}" if missing else "worker: takes jobs again")
            self._missing, self._looked = missing, time.monotonic()
        return max(0, min(free, self._most - running))

    async def parts(self) -> dict[str, bool]:
        """Whether each required part is available, by name."""
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
            return f"the clock of this machine is {told} that of the store; synchronise it (NTP)"
        return ""

    async def _of_the_sources(self) -> str:
        if refusing := await self.gateway.refusing(self.needed):
            return (
                f"{', '.join(refusing)} rejects our tokens; give this worker and that server the same "
                "TOLLGATE_MCP_SECRET, and synchronise their clocks; a third-party server needs MCP__<NAME>__TOKEN"
            )
        if unknown := [name for name in self.needed if name not in self.gateway.there()]:
            return f"no address of {', '.join(unknown)} is known; set MCP__{unknown[0].upper()}__URL or __COMMAND"
        if away := await self.gateway.away(self.needed):
            return f"{', '.join(away)} does not answer"
        return ""

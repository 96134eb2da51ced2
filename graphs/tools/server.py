"""One MCP server as the gateway sees it: its breaker, the token buckets of its tools, its replicas, and one call."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Literal, TypeVar

import httpx
from langchain_core.tools import BaseTool
from mcp import McpError
from redis.asyncio import Redis

from graphs.errors import ServerRefused, ServerUnavailable, ToolFailure
from graphs.redis.breaker import PROBE_LOOK_S, Breaker
from graphs.spending.tool_toll import Charge, Payment, unpaid
from graphs.state import Json
from graphs.tools.buckets import ToolBuckets
from graphs.tools.cache import ToolCache
from graphs.tools.limits import ToolLimits
from graphs.tools.metrics import ToolMetrics
from graphs.tools.paying import paid
from graphs.tools.replicas import PROBE_TIMEOUT_S, Replica, Replicas
from graphs.tools.results import Answer
from graphs.tools.session import KeptSession, is_url
from graphs.tools.tokens import Caller, Signer
from graphs.tools.transport import Transport, Unanswered
from safe_http.shown import shown

Given = TypeVar("Given")
Act = Callable[[Replica, Charge], Awaitable[Given]]

logger = logging.getLogger(__name__)

AWAY_LOOK_S = 1.0  # between two attempts at a server that is down
FULL_SHARE = 0.8  # of a call's timeout: a call that had less time at a replica says nothing about it


class ToolServer:
    """One server and its replicas.

    Args:
        name: the server's name.
        addresses: those of its replicas: URLs, or command lines for stdio.
        limits: the bounds of calls.
        metrics: counts waits and retries.
        probes: the HTTP client for probes.
        client: the Redis with breaker and token buckets; without it there are none.
        signer: makes tokens, provides the clock, and knows the third-party servers.
    """

    def __init__(
        self,
        name: str,
        addresses: Sequence[str],
        limits: ToolLimits,
        metrics: ToolMetrics,
        probes: httpx.AsyncClient,
        client: Redis | None,
        signer: Signer,
    ) -> None:
        def opened(address: str) -> KeptSession:
            most = limits.result_bytes

            def transport() -> Transport:
                return Transport(name, signer, most)

            return KeptSession(name, address, transport, max_bytes=most, read_s=limits.timeout_s, is_told=self.is_ours)

        self.is_ours = name not in signer.others
        self.name = name
        self.data_version: str | None = None
        self.cache = ToolCache(limits.cache_seconds, keeps=self._is_dated) if limits.cache_seconds else None
        self._limits = limits
        self._metrics = metrics
        self._breaker = (
            Breaker(client, f"mcp:{name}", failures=limits.failures, open_s=limits.open_s, now=signer.now)
            if client
            else None
        )
        self._away_since: float | None = None
        self._buckets = ToolBuckets(name, limits, client) if client else None
        self.replicas = Replicas(
            name,
            tuple(Replica(address, opened) for address in addresses),
            limits,
            probes,
            self.noticed,
            self.is_ours,
        )
        metrics.watch(self.replicas)

    async def offered(self) -> dict[str, BaseTool]:
        """Its tools by name, as listed when a session was opened. Raises as `ask`."""
        if kept := self.replicas.kept():
            return kept.tools
        what, until = f"the list of tools of {self.name}", self._deadline()

        async def listed(replica: Replica, _: Charge) -> dict[str, BaseTool]:
            return (await replica.session()).tools

        return await self._guarded(what, "", until, True, listed)

    async def ask(self, caller: Caller, tool: str, arguments: Json, payment: Payment = unpaid) -> Answer:
        """Call a tool, with one retry if that is safe; each attempt is paid for.

        Raises:
            ToolFailure: the result is too large.
            ServerUnavailable: no answer in time, the server is busy or rate limited, or its circuit is open.
            McpError, ValueError: see `KeptSession.call`.
            LimitReached, Fenced, LedgerUnavailable: it cannot be paid for, and was not sent.
        """
        again = read_only((await self.offered()).get(tool))
        until = self._deadline()
        if self._buckets:
            await self._buckets.take(caller.tenant, tool, until)

        async def called(replica: Replica, charge: Charge) -> Answer:
            session = await replica.session()
            return await paid(charge, session.call(caller, tool, arguments, charge.ticket))

        return await self._guarded(f"{self.name}.{tool}", caller.tenant, until, again, called, payment)

    async def refuses_us(self) -> bool:
        """Whether it rejects our token. An open session means that it does not; whether it is down is for `away` to
        say. This is not a tool call: breaker and waiting callers are not affected."""
        asked = (each for each in self.replicas.all if is_url(each.address))  # a program is sent no token
        replica = next((each for each in asked if each.up and not each.away), None)
        if replica is None or self.replicas.kept():
            return False
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await replica.session()
        except Unanswered as problem:
            if problem.away:
                self.replicas.failed(replica)
            return problem.refused
        except TimeoutError:
            pass
        return False

    async def away(self) -> bool:
        """Whether no replica is up, or its circuit is open."""
        return self.replicas.away() or bool(self._breaker and await self._breaker.wait_s())

    def noticed(self, data_version: str) -> None:
        """Note its current data version; drop cached results of any other."""
        if self.cache and self.data_version not in {None, data_version}:
            self.cache.clear()
        self.data_version = data_version

    def _is_dated(self) -> bool:
        """Whether it states its data version; without one, nobody knows when a result is out of date."""
        return self.data_version is not None

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._limits.timeout_s

    async def _guarded(
        self, what: str, tenant: str, until: float, again: bool, act: Act[Given], payment: Payment = unpaid
    ) -> Given:
        """Run a call behind the breaker, and report its outcome to it."""
        await self._admitted(until)
        report: Literal["abandoned", "succeeded", "failed"] = "abandoned"
        try:
            answer = await self._tried(tenant, until, again, act, payment)
            report = "succeeded"
        except TimeoutError as late:
            report = "failed"
            seconds = self._limits.timeout_s
            said = f"{what} gave no answer within {seconds:g} s; ask for less, or go on without it"
            raise ServerUnavailable(said) from late
        except Unanswered as problem:
            if problem.too_large:
                raise ToolFailure(f"{what} gave no usable answer: {problem}; ask for less") from problem
            if problem.refused:
                report = "succeeded"  # it is up and answers
                theirs = f"set MCP__{self.name.upper()}__TOKEN"
                remedy = "give both sides the same TOLLGATE_MCP_SECRET" if self.is_ours else theirs
                raise ServerRefused(
                    f"the MCP server {self.name} rejects our token ({problem}); the operator must {remedy}"
                ) from problem
            if problem.retry_after_s is None:  # it is down, not busy
                report = "failed"
                # The address is only logged: the message goes into events and reports, which tenants read.
                where = ", ".join(shown(each.address) for each in self.replicas.all)
                logger.warning("the MCP server %s at %s does not answer: %s", self.name, where, problem)
            said = f"the MCP server {self.name} does not answer ({problem}); go on without it"
            raise ServerUnavailable(said) from problem
        except (McpError, ValueError):
            report = "succeeded"  # it answers
            raise
        finally:
            await self._report(report)
        return answer

    async def _admitted(self, until: float) -> None:
        """Wait for the outcome of a probe in flight, as long as there is time. Raises ServerUnavailable."""
        while self._breaker and not await self._breaker.admits():
            wait = await self._breaker.wait_s() or 0.0
            if wait > PROBE_LOOK_S or asyncio.get_running_loop().time() + wait > until:
                raise ServerUnavailable(
                    f"the MCP server {self.name} failed {self._limits.failures} times in a minute; circuit open for "
                    f"{self._limits.open_s:g} s; go on without it, and say what is missing"
                )
            await asyncio.sleep(wait)

    async def _report(self, how: Literal["abandoned", "succeeded", "failed"]) -> None:
        if self._breaker is None:
            return
        match how:
            case "succeeded":
                await self._breaker.succeeded()
            case "failed":
                await self._breaker.failed()
            case "abandoned":
                await self._breaker.abandoned()

    async def _tried(self, tenant: str, until: float, again: bool, act: Act[Given], payment: Payment) -> Given:
        """Try it at a replica, and once more at another one, or later, if that is safe.

        Raises Unanswered; TimeoutError if a replica had the full time; ServerUnavailable if the time went by waiting.
        """
        if any(each.up for each in self.replicas.all):
            self._away_since = None  # it has recovered meanwhile, called or not
        failed: list[Replica] = []
        earlier: Unanswered | None = None
        while True:
            seconds = until - asyncio.get_running_loop().time()
            async with payment(seconds) as charge, self._place(tenant, failed, until) as replica:
                left = until - asyncio.get_running_loop().time()
                try:
                    async with asyncio.timeout_at(until):
                        answer = await act(replica, charge)
                    self.replicas.answered(replica)
                    self._away_since = None
                    return answer
                except TimeoutError as late:
                    if left >= self._limits.timeout_s * FULL_SHARE:
                        self.replicas.failed(replica)
                        raise
                    why = f"the MCP server {self.name} is busy: the call had {max(left, 0):.1f} s left after its wait"
                    raise earlier or ServerUnavailable(f"{why}; go on without it") from late
                except Unanswered as problem:
                    earlier = problem
                    if problem.retry_after_s is None and not problem.gone and not problem.too_large:
                        self.replicas.failed(replica)
                    in_vain = problem.too_large or problem.refused or (problem.may_be_done and not again)
                    if in_vain or (failed and not self._is_waited_for(problem, until)):
                        raise
                    pause = problem.retry_after_s or (AWAY_LOOK_S if failed else 0.0)
            failed.append(replica)
            self._metrics.retries.labels(self.name).inc()
            if self.replicas.has_other(failed):
                pause = 0.0
            await asyncio.sleep(min(pause, max(0.0, until - asyncio.get_running_loop().time())))

    def _is_waited_for(self, problem: Unanswered, until: float) -> bool:
        """Whether to wait and retry. A restarted server is back in seconds; if it stays down, only calls that came soon
        after it went down wait for it."""
        if not problem.away:
            return False
        now = asyncio.get_running_loop().time()
        if self._away_since is None:
            self._away_since = now
        return now + AWAY_LOOK_S < min(until, self._away_since + self._limits.away_s)

    @contextlib.asynccontextmanager
    async def _place(self, tenant: str, failed: Sequence[Replica], until: float) -> AsyncIterator[Replica]:
        """A place at a replica, waiting until the deadline. Raises ServerUnavailable."""
        began = time.monotonic()
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout_at(until):
                    replica = await stack.enter_async_context(self.replicas.place(tenant, failed))
            except TimeoutError as late:
                raise ServerUnavailable(f"the MCP server {self.name} is busy: no place within the deadline") from late
            finally:
                self._metrics.wait.labels(self.name).observe(time.monotonic() - began)
            yield replica


def read_only(tool: BaseTool | None) -> bool:
    """Whether the server annotates the tool as read-only."""
    return ((tool and tool.metadata) or {}).get("readOnlyHint") is True

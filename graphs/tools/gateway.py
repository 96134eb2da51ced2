"""The tool gateway: the only way from an agent to an MCP server.

A call passes the agent's tool list, the cache, the server's breaker, the tool's token bucket and the queue for a
replica, in this order, and ends by its deadline. Its token names the agent and its tools, so that the server refuses
others by itself.
"""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import httpx
from langchain_core.tools import BaseTool
from mcp import McpError
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from graphs.errors import Fenced, LimitReached, ServerUnavailable, ToolFailure
from graphs.spending.tool_toll import Payer, Payment, ToolToll, unpaid
from graphs.state import Json
from graphs.telemetry import tool_call
from graphs.tools.cache import cache_key
from graphs.tools.limits import ToolLimits
from graphs.tools.metrics import ToolMetrics
from graphs.tools.replicas import PROBE_TIMEOUT_S, replicas_of
from graphs.tools.results import Answer, as_json, plain, read
from graphs.tools.server import ToolServer, read_only
from graphs.tools.tokens import Caller, Signer
from graphs.tools.transport import trusted
from safe_http.shown import shown

ERROR_CHARS = 500  # characters of a server's error message


class Agent(Protocol):
    """The caller: an `AgentSpec`."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def tools(self) -> Sequence[str]:
        """`server.tool`, or `server.*` for all of a server."""


@dataclass(frozen=True)
class Asking:
    """A caller that is not an agent."""

    name: str
    tools: Sequence[str]


@dataclass(frozen=True)
class ToolResult:
    """A tool's result: compact text for the model, content for the evidence store (see `results.py`).

    `cached` means that no call was made for it; `duration_ms` is then the time of the look-up, or of the wait for
    another caller's equal call.
    """

    text: str
    content: Json
    duration_ms: int
    cached: bool = False


class ToolGateway:
    """Calls tools. Connects lazily, once to each replica.

    Args:
        servers: each server's address by name: the URLs of its replicas, separated by commas, or a command line for
            stdio.
        client: the Redis that holds breakers and token buckets for all processes; without it there are none.
        signer: makes the tokens, keeps the time, and knows the third-party servers; None if ours require no tokens and
            there are no others.
        limits: the bounds of calls.
        registry: gets the metrics.
        toll: what tools cost; without it calls are free.

    Example:
        agent = AgentSpec(name="crm", does="Looks up customers and orders.", tools=("crm.*",))
        async with ToolGateway({"crm": "http://127.0.0.1:8100/mcp"}, signer=Signer(others={"crm": None})) as gateway:
            tools = await gateway.tools(agent)  # for a model, named crm__find, ...
            result = await gateway.call(agent, "crm", "find", {"name": "Acme"})  # or ToolFailure, ServerUnavailable
            result.text, result.cached
    """

    def __init__(
        self,
        servers: Mapping[str, str],
        *,
        client: Redis | None = None,
        signer: Signer | None = None,
        limits: ToolLimits | None = None,
        registry: CollectorRegistry | None = None,
        toll: ToolToll | None = None,
    ) -> None:
        self._limits = limits or ToolLimits()
        self._toll = toll
        self._metrics = ToolMetrics(registry or CollectorRegistry())
        # Like calls: without the environment's proxies, with its certificates.
        way = httpx.AsyncHTTPTransport(verify=trusted())
        self._probes = httpx.AsyncClient(timeout=PROBE_TIMEOUT_S, trust_env=False, transport=way)
        self._signer = signer = signer or Signer()
        self._servers = {
            name: ToolServer(name, replicas_of(address), self._limits, self._metrics, self._probes, client, signer)
            for name, address in servers.items()
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(server.replicas.close() for server in self._servers.values()))
        await self._probes.aclose()

    async def away(self, names: Iterable[str]) -> list[str]:
        """Those of these servers that would not answer a call."""
        return [name for name in names if name in self._servers and await self._servers[name].away()]

    async def refusing(self, names: Iterable[str]) -> list[str]:
        """Those of these servers that reject the tokens they are sent."""
        known = [name for name in names if name in self._servers]
        refused = await asyncio.gather(*(self._servers[name].refuses_us() for name in known))
        return [name for name, refuses in zip(known, refused, strict=True) if refuses]

    def there(self) -> dict[str, bool]:
        """Whether each server is ready, as far as known."""
        return {name: server.replicas.there() for name, server in self._servers.items()}

    def replicas(self) -> dict[str, list[Json]]:
        """The replicas of each server, as far as known: address without secrets, whether it is up, calls in flight."""
        return {
            name: [
                {"address": shown(each.address), "up": each.up, "under_way": each.under_way}
                for each in server.replicas.all
            ]
            for name, server in self._servers.items()
        }

    async def tools(self, agent: Agent) -> list[BaseTool]:
        """The agent's tools, described for a model and named `server__tool`; `call` runs them.

        Raises:
            ServerUnavailable: a server on the list is not configured or does not answer.
            ToolFailure: a server has no such tool.
        """
        chosen: dict[str, BaseTool] = {}
        for name in agent.tools:
            server, _, tool = name.partition(".")
            offered = await self._server(server).offered()
            if tool not in (*offered, "*"):
                raise ToolFailure(f"the MCP server {server} has no tool {tool}; it has: {', '.join(sorted(offered))}")
            wanted = offered.values() if tool == "*" else [offered[tool]]
            chosen |= {each.name: each for each in wanted}
        return list(chosen.values())

    async def call(
        self,
        agent: Agent,
        server_name: str,
        tool: str,
        arguments: Json,
        *,
        tenant: str = "",
        payer: Payer | None = None,
    ) -> ToolResult:
        """Call a tool, or answer from the cache. A call that is safe to repeat is retried once. Tenants take turns when
        calls must wait. The payer pays for calls that are made, not for answers from the cache or of others' calls.

        Raises:
            ToolFailure: the tool refused, failed, or returned nothing usable or too much; or it is not on the agent's
                list.
            ServerUnavailable: the server is unreachable, hangs, is busy or rate limited, or its circuit is open.
            LimitReached, Fenced, LedgerUnavailable: the call cannot be paid for, and was not made.
            Unaccounted: it may cost something, and nobody pays.
        """
        with tool_call(server_name, tool, agent.name, arguments) as answered:
            result = await self._called(agent, server_name, tool, arguments, tenant, payer)
            answered(result.text, result.cached)
            return result

    async def _called(
        self, agent: Agent, server_name: str, tool: str, arguments: Json, tenant: str, payer: Payer | None
    ) -> ToolResult:
        server, started, outcome = self._server(server_name), time.monotonic(), "failed"
        caller = _in_the_name_of(agent, server_name, tool, self._signer.pseudonym(tenant, server_name))
        try:
            answer, cached = await self._answered(server, caller, tool, arguments, payer)
            outcome = "cached" if cached else "answered"
        except ServerUnavailable:
            outcome = "unavailable"
            raise
        except (McpError, ValueError) as error:
            said = " ".join(plain(str(error)).split())[:ERROR_CHARS]
            raise ToolFailure(f"{server_name}.{tool} gave no usable answer: {said}") from error
        finally:
            seconds = time.monotonic() - started
            self._metrics.called(server_name, tool, outcome, seconds)
        text, content = json.loads(answer)
        return ToolResult(text, content, round(seconds * 1000), cached)

    async def _answered(
        self, server: ToolServer, caller: Caller, tool: str, arguments: Json, payer: Payer | None
    ) -> tuple[bytes, bool]:
        offered = (await server.offered()).get(tool)
        payment, is_mine = self._payment(server, offered, payer, tool, arguments), False

        async def call() -> bytes:
            nonlocal is_mine
            is_mine = True
            return self._as_json(server, await server.ask(caller, tool, arguments, payment))

        if server.cache is None or not _repeatable(offered):
            return await call(), False
        while True:
            try:
                return await server.cache.answer(cache_key(server.name, tool, arguments), call, caller.tenant)
            except (LimitReached, Fenced):
                if is_mine:
                    raise  # else another job could not pay for the call that this one waited for

    def _payment(
        self, server: ToolServer, offered: BaseTool | None, payer: Payer | None, tool: str, arguments: Json
    ) -> Payment:
        if self._toll is None:
            return unpaid
        meta = ((offered and offered.metadata) or {}).get("_meta")
        return self._toll.payment(payer, f"{server.name}.{tool}", meta, arguments, is_ours=server.is_ours)

    def _as_json(self, server: ToolServer, answer: Answer) -> bytes:
        text, content = read(answer, self._limits.output_chars)
        if version := content.get("data_version"):
            server.noticed(version)
        return as_json(text, content)

    def _server(self, name: str) -> ToolServer:
        if name not in self._servers:
            known = ", ".join(sorted(self._servers)) or "none"
            raise ServerUnavailable(f"no MCP server '{name}' is configured; there are: {known}")
        return self._servers[name]


def _in_the_name_of(agent: Agent, server: str, tool: str, tenant: str) -> Caller:
    """The caller, with its tools on this server. Raises ToolFailure if this tool is not one of them."""
    names = {name.partition(".")[2] for name in agent.tools if name.partition(".")[0] == server}
    if not names & {tool, "*"}:
        raise ToolFailure(f"{agent.name} has no tool {server}.{tool}; it has: {', '.join(agent.tools)}")
    return Caller(agent.name, "*" if "*" in names else " ".join(sorted(names)), tenant)


def _repeatable(tool: BaseTool | None) -> bool:
    """Whether the server annotates the tool as read-only and idempotent."""
    return read_only(tool) and ((tool and tool.metadata) or {}).get("idempotentHint") is True

"""The tool gateway: the one way from an agent to an MCP server.

A call takes what an agent may call, the cache, the breaker of the server, the token bucket of the tool and a place at a
replica, in this order, and ends by its deadline. The token it carries names the agent and its tools, so that the server
refuses the rest by itself.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

import httpx
from langchain_core.tools import BaseTool
from mcp import McpError
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from redis.asyncio import Redis

from graphs.clock import utc_now
from graphs.errors import ServerUnavailable, ToolFailure
from graphs.state import Json
from graphs.tools.cache import cache_key
from graphs.tools.limits import ToolLimits
from graphs.tools.metrics import ToolMetrics
from graphs.tools.replicas import PROBE_TIMEOUT_S, replicas_of
from graphs.tools.results import Answer, as_json, plain, read
from graphs.tools.server import ToolServer, read_only
from graphs.tools.transport import Caller, Signer, trusted

ERROR_CHARS = 500  # of what a server says of an error


class Agent(Protocol):
    """Who calls: an `AgentSpec`."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def tools(self) -> Sequence[str]:
        """`server.tool`, or `server.*` for all of a server."""


@dataclass(frozen=True)
class Asking:
    """Somebody who calls tools and is no agent."""

    name: str
    tools: Sequence[str]


@dataclass(frozen=True)
class ToolResult:
    """What a tool gave: compact text for the model, content for the evidence store (tool_results.py).

    `cached` says that no call to the server was made for it; `duration_ms` is then that of the look-up, or of the wait
    for the equal call of another.
    """

    text: str
    content: Json
    duration_ms: int
    cached: bool = False


class ToolGateway:
    """Calls tools. Connects lazily, to each replica once.

    Args:
        servers: by name where a server is: the URL of each replica, with commas between them, or a command line to
            speak stdio with.
        client: what breakers and token buckets are shared in by all processes; without it there are none.
        secret: what tokens are signed with; None when the servers ask for none.
        others: those of the servers that are not ours, each with the token that it is sent, if any.
        limits: what bounds calls.
        registry: gets the metrics.
        now: the time that tokens state and breakers go by, in UTC.
    """

    def __init__(
        self,
        servers: Mapping[str, str],
        *,
        client: Redis | None = None,
        secret: SecretStr | None = None,
        others: Mapping[str, SecretStr | None] | None = None,
        limits: ToolLimits | None = None,
        registry: CollectorRegistry | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._limits = limits or ToolLimits()
        self._metrics = ToolMetrics(registry or CollectorRegistry())
        # As calls go: by no proxy of the environment, and with the certificates that it names.
        way = httpx.AsyncHTTPTransport(verify=trusted())
        self._probes = httpx.AsyncClient(timeout=PROBE_TIMEOUT_S, trust_env=False, transport=way)
        self._signer = signer = Signer(secret, now, others or {})
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
        """Those of these servers that calls would get no answer of."""
        return [name for name in names if name in self._servers and await self._servers[name].away()]

    async def refusing(self, names: Iterable[str]) -> list[str]:
        """Those of these servers that do not take the tokens that they are sent."""
        known = [name for name in names if name in self._servers]
        refused = await asyncio.gather(*(self._servers[name].refuses_us() for name in known))
        return [name for name, refuses in zip(known, refused, strict=True) if refuses]

    def there(self) -> dict[str, bool]:
        """Of each server, whether it is ready, as far as is known."""
        return {name: server.replicas.there() for name, server in self._servers.items()}

    async def tools(self, agent: Agent) -> list[BaseTool]:
        """The tools of this agent, described for a model, called `server__tool`: `call` runs them.

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

    async def call(self, agent: Agent, server_name: str, tool: str, arguments: Json, *, tenant: str = "") -> ToolResult:
        """Call a tool, or answer from the cache. A call that changed nothing yet, or cannot, is made once more.
        Tenants take turns where calls have to wait.

        Raises:
            ToolFailure: the tool refused, failed, or gave nothing usable or too much; or it is not the agent's.
            ServerUnavailable: the server cannot be reached, hangs, is busy or asked too often, or its breaker is open.
        """
        server, started, outcome = self._server(server_name), time.monotonic(), "failed"
        caller = _in_the_name_of(agent, server_name, tool, self._signer.pseudonym(tenant, server_name))
        try:
            answer, cached = await self._answered(server, caller, tool, arguments)
            outcome = "cached" if cached else "answered"
        except ServerUnavailable:
            outcome = "unavailable"
            raise
        except (McpError, ValueError) as error:
            said = " ".join(plain(str(error)).split())[:ERROR_CHARS]
            raise ToolFailure(f"{server_name}.{tool} gave no usable answer: {said}") from error
        finally:
            seconds = time.monotonic() - started
            self._metrics.seconds.labels(server_name, tool, outcome).observe(seconds)
        text, content = json.loads(answer)
        return ToolResult(text, content, round(seconds * 1000), cached)

    async def _answered(self, server: ToolServer, caller: Caller, tool: str, arguments: Json) -> tuple[bytes, bool]:
        async def call() -> bytes:
            return self._as_json(server, await server.ask(caller, tool, arguments))

        if server.cache is None or not _repeatable((await server.offered()).get(tool)):
            return await call(), False
        return await server.cache.answer(cache_key(server.name, tool, arguments), call, caller.tenant)

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
    """Who calls, with all that it may call of this server. Raises ToolFailure when this tool is not among it."""
    names = {name.partition(".")[2] for name in agent.tools if name.partition(".")[0] == server}
    if not names & {tool, "*"}:
        raise ToolFailure(f"{agent.name} has no tool {server}.{tool}; it has: {', '.join(agent.tools)}")
    return Caller(agent.name, "*" if "*" in names else " ".join(sorted(names)), tenant)


def _repeatable(tool: BaseTool | None) -> bool:
    """Whether the server says that the tool changes nothing and gives the same again."""
    return read_only(tool) and ((tool and tool.metadata) or {}).get("idempotentHint") is True

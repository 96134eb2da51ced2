"""The tool gateway: the one user of `langchain-mcp-adapters`, and the one way from an agent to an MCP server.

The adapters open a session per call by default (tens to hundreds of milliseconds); the gateway keeps one session
per server, and for a while the answers of tools that say of themselves that they only read and are idempotent.
"""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from langchain_core.tools import BaseTool
from langchain_mcp_adapters.sessions import StreamableHttpConnection, create_session
from langchain_mcp_adapters.tools import load_mcp_tools
from mcp import ClientSession, McpError
from mcp.types import CONNECTION_CLOSED, CallToolResult, TextContent

from graphs.errors import GraphError, ServerUnavailable, ToolFailure
from graphs.governance.tool_cache import ToolCache, cache_key
from graphs.state import Json

SEPARATOR = "__"


@dataclass(frozen=True)
class ToolResult:
    """What a tool gave: compact text for the model, structured content for the evidence store.

    `cached` says that no call to the server was made for it; `duration_ms` is then that of the look-up, or of the wait
    for the equal call of another.
    """

    text: str
    content: Json
    duration_ms: int
    cached: bool = False


class _SessionBroken(Exception):
    """The connection went away under a call; a new session may serve it."""


class _KeptSession:
    """A session that one task of its own opens, holds and closes.

    The cancel scopes inside the MCP client must be left by the task that entered them, so no caller may own them.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._closing = asyncio.Event()
        self._ready: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        self._owner = asyncio.create_task(self._hold(), name=f"mcp session {url}")

    async def session(self) -> ClientSession:
        """The session, once it is open. Raises what opening it raised."""
        return await asyncio.shield(self._ready)

    @property
    def alive(self) -> bool:
        """Whether the owner still holds it."""
        return not self._owner.done()

    async def call(self, tool: str, arguments: Json) -> CallToolResult:
        """Raises _SessionBroken as soon as the connection ends, instead of waiting for the deadline."""
        session = await self.session()
        call = asyncio.create_task(session.call_tool(tool, arguments))
        try:
            await asyncio.wait({call, self._owner}, return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                raise _SessionBroken
            return call.result()
        except McpError as error:
            if error.error.code == CONNECTION_CLOSED:
                raise _SessionBroken from error
            raise
        finally:
            call.cancel()

    async def close(self) -> None:
        """Ends the session and waits for its owner."""
        self._closing.set()
        await asyncio.wait({self._owner}, timeout=5)
        self._owner.cancel()

    async def _hold(self) -> None:
        try:
            async with create_session(StreamableHttpConnection(transport="streamable_http", url=self._url)) as session:
                await session.initialize()
                self._ready.set_result(session)
                await self._closing.wait()
        except Exception as error:  # a group of whatever the transport raised; callers get it below
            if not self._ready.done():
                self._ready.set_exception(ConnectionError(_reason(error)))
        finally:
            self._ready.cancel()


@dataclass
class _Server:
    name: str
    url: str
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    listing: asyncio.Lock = field(default_factory=asyncio.Lock)
    kept: _KeptSession | None = None
    data_version: str | None = None
    tools: dict[str, BaseTool] | None = None


class ToolGateway:
    """Connects lazily, once per server, and calls tools with a deadline and a cap on their output.

    Args:
        servers: MCP endpoint by server name, e.g. `{"sales": "http://127.0.0.1:7802/mcp"}`.
        call_timeout_s: seconds that one call may take, connecting included.
        output_chars: characters of a result that the model is shown.
        cache_seconds: how long the answer of a tool that its server annotates as read-only and idempotent serves equal
            calls, of all jobs; 0 for none. All that was kept is dropped when an answer names another `data_version`
            than the server's last one.
    """

    def __init__(
        self,
        servers: Mapping[str, str],
        *,
        call_timeout_s: float = 60.0,
        output_chars: int = 12_000,
        cache_seconds: float = 300.0,
    ) -> None:
        self._servers = {name: _Server(name, url) for name, url in servers.items()}
        self._call_timeout_s = call_timeout_s
        self._output_chars = output_chars
        self._cache = ToolCache(cache_seconds) if cache_seconds else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(server.kept.close() for server in self._servers.values() if server.kept))

    async def tools(self, allowed: Iterable[str]) -> list[BaseTool]:
        """The tools that `server.tool` and `server.*` name, described for a model, called `server__tool`.

        They are descriptions: `call` runs them.

        Raises:
            ServerUnavailable: a server on the list is not configured or does not answer.
            ToolFailure: a server has no such tool.
        """
        chosen: dict[str, BaseTool] = {}
        for name in allowed:
            server, _, tool = name.partition(".")
            offered = await self._offered(self._server(server))
            if tool not in (*offered, "*"):
                raise ToolFailure(f"the MCP server {server} has no tool {tool}; it has: {', '.join(sorted(offered))}")
            wanted = offered.values() if tool == "*" else [offered[tool]]
            chosen |= {each.name: each for each in wanted}
        return list(chosen.values())

    async def call(self, server_name: str, tool: str, arguments: Json) -> ToolResult:
        """Call a tool on the kept session, or answer from the cache; a session that broke is opened anew once.

        Raises:
            ToolFailure: the tool refused, failed, took too long or gave nothing structured.
            ServerUnavailable: the server cannot be reached.
        """
        server = self._server(server_name)
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._call_timeout_s):
                answer, cached = await self._answered(server, tool, arguments)
        except TimeoutError as error:
            message = f"{server_name}.{tool} gave no answer within {self._call_timeout_s:g} s; ask for less"
            raise ToolFailure(message) from error
        except (McpError, RuntimeError) as error:
            if isinstance(error, GraphError):
                raise
            # RuntimeError is how the SDK says that a result does not fit the tool's own output schema.
            raise ToolFailure(f"{server_name}.{tool} gave no usable answer: {error}") from error
        text, content = json.loads(answer)
        return ToolResult(text, content, round((time.monotonic() - started) * 1000), cached)

    async def _answered(self, server: _Server, tool: str, arguments: Json) -> tuple[bytes, bool]:
        async def call() -> bytes:
            async with asyncio.timeout(self._call_timeout_s):  # whoever joins late must not keep a dead call alive
                return self._as_json(server, tool, await self._call_reconnecting(server, tool, arguments))

        if self._cache is None or not _repeatable((await self._offered(server)).get(tool)):
            return await call(), False
        return await self._cache.answer(cache_key(server.name, tool, arguments), call)

    def _as_json(self, server: _Server, tool: str, result: CallToolResult) -> bytes:
        text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
        if result.isError or result.structuredContent is None:
            raise ToolFailure(text or f"{server.name}.{tool} failed without a message")
        self._notice(server, result.structuredContent.get("data_version"))
        return json.dumps([self._cut(text), result.structuredContent]).encode()

    def _notice(self, server: _Server, data_version: str | None) -> None:
        """A server that was started again with other data says so with its first answer."""
        if self._cache and data_version and server.data_version not in {None, data_version}:
            self._cache.clear()
        server.data_version = data_version or server.data_version

    def _cut(self, text: str) -> str:
        if len(text) <= self._output_chars:
            return text
        kept = text[: self._output_chars].rsplit("\n", 1)[0]
        return f"{kept}\n# cut: {len(text)} characters in all; ask for fewer rows or columns"

    def _server(self, name: str) -> _Server:
        if name not in self._servers:
            known = ", ".join(sorted(self._servers)) or "none"
            raise ServerUnavailable(f"no MCP server '{name}' is configured; there are: {known}")
        return self._servers[name]

    async def _call_reconnecting(self, server: _Server, tool: str, arguments: Json) -> CallToolResult:
        for _ in range(2):
            kept = await self._connected(server)
            try:
                return await kept.call(tool, arguments)
            except _SessionBroken:
                continue
        raise ServerUnavailable(f"the MCP server {server.name} at {server.url} broke off {tool} twice")

    async def _connected(self, server: _Server) -> _KeptSession:
        async with server.lock:
            if server.kept is None or not server.kept.alive:
                server.kept = _KeptSession(server.url)
        try:
            await server.kept.session()
        except ConnectionError as error:
            message = f"the MCP server {server.name} at {server.url} does not answer ({error}); is it running?"
            raise ServerUnavailable(message) from error
        return server.kept

    async def _offered(self, server: _Server) -> dict[str, BaseTool]:
        async with server.listing:
            if server.tools is None:
                server.tools = await self._listed(server)
        return server.tools

    async def _listed(self, server: _Server) -> dict[str, BaseTool]:
        try:
            async with asyncio.timeout(self._call_timeout_s):
                kept = await self._connected(server)
                loaded = await load_mcp_tools(await kept.session())
        except (TimeoutError, McpError) as error:
            message = f"the MCP server {server.name} at {server.url} does not list its tools ({_reason(error)})"
            raise ServerUnavailable(message) from error
        tools = {tool.name: tool for tool in loaded}
        for tool in loaded:
            tool.name = f"{server.name}{SEPARATOR}{tool.name}"
        return tools


def _repeatable(tool: BaseTool | None) -> bool:
    """Whether the server says that the tool changes nothing and gives the same again."""
    hints = (tool and tool.metadata) or {}
    return hints.get("readOnlyHint") is True and hints.get("idempotentHint") is True


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__

"""The base of all servers: the SDK's FastMCP, with limits per call and access by token."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Protocol, cast

import anyio
from mcp.server.fastmcp import FastMCP
from mcp.server.fastmcp.exceptions import ResourceError, ToolError
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.types import CallToolResult, Resource, ResourceTemplate, TextContent, Tool
from pydantic import AnyUrl, ValidationError
from pydantic_core import to_json

from mcp_servers.base import results
from mcp_servers.base.access import ANYBODY, Caller, told_by
from mcp_servers.base.observing import Metrics, log_call
from mcp_servers.base.tracing import span_of_call

TICKET_CHARS = 64

logger = logging.getLogger(__name__)


class Data(Protocol):
    """The data of a server. None of these blocks, except `first_load`."""

    @property
    def loading(self) -> str | None:
        """How far the first load is; None once it has ended."""

    def ready(self) -> str | None:
        """The version of the data; None before there are any."""

    def first_load(self) -> None:
        """Wait until the first load has ended. Raises any exception if there will be no data."""


class NoData:
    """For a server without data of its own."""

    loading = None

    def ready(self) -> str:
        return ""

    def first_load(self) -> None:
        """Nothing to wait for."""


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Limits of one call: seconds, and bytes of its result."""

    seconds: float = 30.0
    result_bytes: int = 2**20


class _Stopped(ToolError):
    """A limit of the server ended the call; `outcome` is its name in metrics and logs."""

    def __init__(self, outcome: str, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class Server(FastMCP[None]):
    """A stateless MCP server: any replica answers any call.

    Over HTTP, a token may name tools. Its bearer then gets only those, and no resources.

    Args:
        name: also the audience of its tokens.
        instructions: for the client's model.
        data: what it serves.
    """

    def __init__(self, name: str, instructions: str, data: Data) -> None:
        super().__init__(name, instructions, stateless_http=True, json_response=True, log_level="WARNING")
        # Otherwise the SDK looks up its own version per request, reading files: a quarter of the cost of a call.
        self._mcp_server.version = version("tollgate")
        self.limits = CallLimits()
        self.metrics = Metrics()
        self.data = data
        self.resources: Callable[[], Awaitable[list[Resource]]] = super().list_resources

    async def list_tools(self) -> list[Tool]:
        caller = self.caller()
        return [tool for tool in await super().list_tools() if caller.may_use(tool.name)]

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> Any:
        """Call a tool within the limits. Raises ToolError; its message says what to do."""
        caller, began, outcome, size = self.caller(), time.perf_counter(), "error", 0
        tool = name if self._tool_manager.get_tool(name) else "unknown"
        agent = "" if caller.agent == ANYBODY.agent else caller.agent
        with span_of_call(tool, agent, self._meta()) as ended:
            try:
                result = await self._called(caller, name, arguments)
                size = self._checked_size(name, result)
                outcome = "error" if result.isError else "ok"
                return result
            except _Stopped as stopped:
                outcome = stopped.outcome
                raise
            except asyncio.CancelledError:
                outcome = "cancelled"
                raise
            finally:
                seconds = time.perf_counter() - began
                self.metrics.called(tool, outcome, seconds)
                log_call(tool, caller.agent, outcome, seconds, size)
                ended(outcome)

    async def list_resources(self) -> list[Resource]:
        return [] if self.caller().tools is not None else await self.resources()

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        return [] if self.caller().tools is not None else await super().list_resource_templates()

    async def read_resource(self, uri: AnyUrl | str) -> list[ReadResourceContents]:
        """Read a resource. Raises ResourceError if it does not exist, or if the token names tools."""
        if self.caller().tools is not None:
            raise ResourceError("this token is for tools only; use them")
        return list(await super().read_resource(uri))

    def caller(self) -> Caller:
        """The caller of the current request."""
        try:
            context = self.get_context().request_context
        except ValueError:  # no request: called directly, in the same process
            return ANYBODY
        if context.request:
            return cast("Caller", context.request.scope["caller"])
        return told_by(ANYBODY, {"_meta": self._meta()}, "")  # over stdio

    def ticket(self) -> str:
        """What pays for embeddings that the current request needs; "" for nothing."""
        return str(self._meta().get("ticket") or "")[:TICKET_CHARS]

    def _meta(self) -> dict[str, Any]:
        """The `_meta` of the current request."""
        try:
            meta = self.get_context().request_context.meta
        except ValueError:  # no request
            return {}
        return (meta and meta.model_extra) or {}

    async def _called(self, caller: Caller, name: str, arguments: dict[str, Any]) -> Any:
        if not caller.may_use(name):
            theirs = ", ".join(sorted(caller.tools or ())) or "no tool"
            raise _Stopped("denied", f"the token of {caller.agent} is not for {name}; it is for {theirs}")
        self._refuse_unknown(name, arguments)
        with anyio.move_on_after(self.limits.seconds):
            try:
                return await super().call_tool(name, arguments)
            except ToolError as error:
                if isinstance(error.__cause__, results.Unbilled):
                    return results.unbilled(str(error))
                raise _explained(error, name) from error
        raise _Stopped("timeout", f"{name} was stopped after {self.limits.seconds:g} s; ask for less, by filters")

    def _refuse_unknown(self, name: str, arguments: dict[str, Any]) -> None:
        """Raise ToolError for unknown arguments. The SDK drops them, so a misspelt filter would be no filter."""
        tool = self._tool_manager.get_tool(name)
        known = tool.parameters["properties"] if tool else arguments
        if unknown := [given for given in arguments if given not in known]:
            theirs = f"it takes {', '.join(known)}" if known else "call it without any"
            raise ToolError(f"Error executing tool {name}: it takes no argument {unknown[0]!r}; {theirs}")

    def _checked_size(self, name: str, result: Any) -> int:
        """Bytes of a result, text and structured content. Raises _Stopped if there are too many."""
        if not isinstance(result, CallToolResult):
            raise TypeError(f"{name} returned {type(result).__name__}; return a result of mcp_servers.base.results")
        text = sum(len(block.text.encode()) for block in result.content if isinstance(block, TextContent))
        size = text + len(to_json(result.structuredContent))
        if size > self.limits.result_bytes:
            most = f"{name} has an answer of {size:,} bytes, the limit is {self.limits.result_bytes:,}"
            raise _Stopped("too_large", f"{most}; ask for fewer rows or columns, or for one section of a document")
        return size


def _explained(error: ToolError, name: str) -> ToolError:
    """The SDK's error, made useful: one line on invalid arguments, and no internals of a bug."""
    cause = error.__cause__
    if isinstance(cause, ValidationError) and cause.title == f"{name}Arguments":
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in cause.errors()[:5])
        return ToolError(f"Error executing tool {name}: {wrong}; correct the arguments by the tool's input schema")
    if cause is None or isinstance(cause, ToolError):
        return error
    logger.error("%s failed", name, exc_info=cause)
    kind = type(cause).__name__
    return ToolError(f"Error executing tool {name}: a bug in this server ({kind}; see its log); use another tool")

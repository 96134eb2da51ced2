"""One persistent session with one MCP server: the only place that uses `langchain-mcp-adapters`.

The adapters open a session per call by default, which takes tens to hundreds of milliseconds.
"""

import asyncio
import contextlib
import itertools
import logging
import re
import shlex
from collections.abc import AsyncIterator, Callable
from typing import Any, Never

import anyio
import httpx
import jsonschema_rs
from langchain_core.tools import BaseTool
from langchain_mcp_adapters.sessions import StdioConnection, StreamableHttpConnection, create_session
from langchain_mcp_adapters.tools import convert_mcp_tool_to_langchain_tool
from mcp import ClientSession, McpError
from mcp.types import (
    CONNECTION_CLOSED,
    CallToolRequest,
    CallToolRequestParams,
    ClientRequest,
    PaginatedRequestParams,
    RequestParams,
    Tool,
)

from graphs.state import Json
from graphs.telemetry import carried
from graphs.tools.results import Answer
from graphs.tools.stdio import spoken_to
from graphs.tools.tokens import Caller
from graphs.tools.transport import Transport, Unanswered, kind_of, unanswered

logger = logging.getLogger(__name__)

Validator = Any  # jsonschema_rs has one class per draft

PAGES = 100  # most pages of a tool list
SEPARATOR = "__"  # between server and tool in the names for models
TOOL = "tool"  # metadata key of a tool's own name
TITLE = "title"  # and of the one for humans, if it has one
NOT_FOR_MODELS, MOST_OF_A_NAME = re.compile(r"[^a-zA-Z0-9_-]"), 64
CONNECT_S, WRITE_S, CLOSE_S = 5.0, 10.0, 5.0


class KeptSession:
    """A session that its own task opens, holds and closes.

    The MCP client's cancel scopes must be left by the task that entered them, so no caller may own them.

    Args:
        server: the server's name.
        address: a URL, or a command line for stdio.
        transport: makes the transport of a session over HTTP.
        max_bytes: most bytes in an answer over stdio.
        read_s: seconds without data after which a request fails; also the timeout for opening the session.
        is_told: whether the server is told who calls.
    """

    def __init__(
        self,
        server: str,
        address: str,
        transport: Callable[[], Transport],
        *,
        max_bytes: int,
        read_s: float,
        is_told: bool = True,
    ) -> None:
        self.tools: dict[str, BaseTool] = {}
        self._promises: dict[str, Validator] = {}
        self._server = server
        self._address = address
        self._transport = transport() if is_url(address) else None
        self._max_bytes = max_bytes
        self._read_s = read_s
        self._is_told = is_told
        self._numbers = itertools.count(1)
        self._closing = asyncio.Event()
        self._ready: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        self._owner = asyncio.create_task(self._hold(), name=f"mcp session with {server}")

    @property
    def alive(self) -> bool:
        """Whether calls can be made now or soon."""
        return not self._owner.done() and not self._closing.is_set()

    @property
    def is_open(self) -> bool:
        """Whether calls can be made now."""
        return self.alive and self._ready.done()

    async def opened(self) -> ClientSession:
        """The session, once it is open and has listed its tools. Raises Unanswered."""
        return await asyncio.shield(self._ready)

    async def call(self, caller: Caller, tool: str, arguments: Json, ticket: str | None = None) -> Answer:
        """Call a tool; the ticket pays for embeddings. The request is cancelled with its caller.

        Raises:
            Unanswered: no answer; raised as soon as the connection ends. McpError, ValueError: a protocol error, or a
                result that violates the tool's own schema.
        """
        session = await self.opened()
        number = next(self._numbers)
        meta: Json = {"call": number}
        if self._is_told:
            meta |= {"caller": caller.claims(), **carried()}
        if ticket:
            meta["ticket"] = ticket
        call = asyncio.create_task(_asked(session, tool, arguments, meta))
        try:
            await asyncio.wait({call, self._owner}, return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                raise Unanswered("the connection ended")
            return self._checked(tool, call.result())
        except McpError as error:
            closed = Unanswered("the connection was closed", gone=True)
            problem = closed if error.error.code == CONNECTION_CLOSED else unanswered(error)
            if problem is None:
                raise
            if problem.gone:
                self._closing.set()
            raise problem from error
        except (anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            self._closing.set()
            raise Unanswered("the connection was already closed", may_be_done=False, gone=True) from error
        finally:
            call.cancel()
            if self._transport:
                self._transport.give_up(number)

    async def close(self) -> None:
        """Close the session and wait for its task."""
        self._closing.set()
        await asyncio.wait({self._owner}, timeout=CLOSE_S)
        self._owner.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._owner

    async def answers(self, within_s: float) -> bool:
        """Whether a ping is answered in time, even by a refusal."""
        try:
            async with asyncio.timeout(within_s):
                await (await self.opened()).send_ping()
        except McpError as error:
            problem = unanswered(error)
            return error.error.code != CONNECTION_CLOSED and not (problem and problem.away)
        except Unanswered as problem:
            return problem.refused
        except (TimeoutError, anyio.ClosedResourceError, anyio.BrokenResourceError):
            return False
        return True

    async def _hold(self) -> None:
        try:
            async with self._begun() as session:
                await self._greet(session)
                self._ready.set_result(session)
                await self._closing.wait()
        except Exception as error:  # a group of the transport's errors; callers get it below
            self._not_opened(_problem(error))
        finally:
            self._not_opened(Unanswered("the session was closed", may_be_done=False))
            self._ready.exception()  # mark as retrieved, even if nobody waited

    async def _greet(self, session: ClientSession) -> None:
        """Shake hands and list the tools. A hanging attempt is abandoned and ends while others start anew."""
        try:
            async with asyncio.timeout(self._read_s):
                await session.initialize()
                for tool in await _listed(session):
                    self._know(tool)
        except TimeoutError:
            self._closing.set()
            said = f"it did not list its tools within {self._read_s:g} s"
            self._not_opened(Unanswered(said, may_be_done=False))
            raise

    def _not_opened(self, problem: Unanswered) -> None:
        if not self._ready.done():
            self._ready.set_exception(problem)

    def _know(self, tool: Tool) -> None:
        described = convert_mcp_tool_to_langchain_tool(None, tool, connection=self._connection())
        described.name = self._name_for_models(tool.name)
        title = tool.title or (tool.annotations and tool.annotations.title) or ""
        described.metadata = {
            **(described.metadata or {}),
            TOOL: tool.name,
            TITLE: " ".join(title.split())[:MOST_OF_A_NAME],
        }
        self.tools[tool.name] = described
        if tool.outputSchema is not None and (promise := _promise(tool.outputSchema)):
            self._promises[tool.name] = promise

    def _name_for_models(self, tool: str) -> str:
        """A unique name that model providers accept: at most 64 letters, digits, `_` and `-`. Third parties name tools
        freely."""
        name = NOT_FOR_MODELS.sub("_", f"{self._server}{SEPARATOR}{tool}")[:MOST_OF_A_NAME]
        taken = {each.name for each in self.tools.values()}
        others = (f"{name[: MOST_OF_A_NAME - 4]}_{number}" for number in itertools.count(2))
        return name if name not in taken else next(each for each in others if each not in taken)

    def _checked(self, tool: str, result: Answer) -> Answer:
        """The result, validated against the tool's schema unless it is text only."""
        promise = self._promises.get(tool)
        if promise and result.failed is not True and result.structured is not None:
            promise.validate(result.structured)
        return result

    @contextlib.asynccontextmanager
    async def _begun(self) -> AsyncIterator[ClientSession]:
        if self._transport:
            async with create_session(self._connection()) as session:
                yield session
        else:
            async with spoken_to(self._address, self._max_bytes) as streams, ClientSession(*streams) as session:
                yield session

    def _connection(self) -> StdioConnection | StreamableHttpConnection:
        if self._transport is None:
            command, *arguments = shlex.split(self._address)
            return StdioConnection(transport="stdio", command=command, args=arguments)
        return StreamableHttpConnection(
            transport="streamable_http", url=self._address, httpx_client_factory=self._client, terminate_on_close=True
        )

    def _client(
        self,
        headers: dict[str, str] | None = None,  # noqa: ARG002  the names are the adapters'
        timeout: httpx.Timeout | None = None,  # noqa: ARG002
        auth: httpx.Auth | None = None,  # noqa: ARG002
    ) -> httpx.AsyncClient:
        patience = httpx.Timeout(self._read_s, connect=CONNECT_S, write=WRITE_S)
        return httpx.AsyncClient(transport=self._transport, timeout=patience)


async def _asked(session: ClientSession, tool: str, arguments: Json, meta: Json) -> Answer:
    """Call a tool without `session.call_tool`, which compiles the result's schema at each call: 24 ms for 100 rows."""
    params = CallToolRequestParams(name=tool, arguments=arguments, _meta=RequestParams.Meta(**meta))
    return await session.send_request(ClientRequest(CallToolRequest(params=params)), Answer)


async def _listed(session: ClientSession) -> list[Tool]:
    tools: list[Tool] = []
    cursor: str | None = None
    for _ in range(PAGES):
        page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor))
        tools += page.tools
        cursor = page.nextCursor
        if not cursor:
            return tools
    raise Unanswered(f"its list of tools has more than {PAGES} pages")


def _promise(schema: Json) -> Validator | None:
    try:
        return jsonschema_rs.validator_for(schema, retriever=_not_read)
    except ValueError as error:
        logger.warning("an unusable output schema is ignored: %s", error)
        return None  # the gateway checks what it needs of a result anyway


def _not_read(uri: str) -> Never:
    raise ValueError(f"{uri}: external references are not resolved")


def is_url(address: str) -> bool:
    """Whether the address is a URL; else it is a command line."""
    return address.startswith(("http://", "https://"))


def _problem(error: BaseException) -> Unanswered:
    """Why no session could be opened. No call can have been carried out."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, McpError) and (told := unanswered(error)):
        return Unanswered(str(told), **{**vars(told), "may_be_done": False, "gone": False})
    if isinstance(error, Unanswered):
        return error
    if isinstance(error, OSError) and error.strerror:  # without the file name, which reveals where the server is
        return Unanswered(error.strerror, may_be_done=False)
    logger.warning("a session with an MCP server could not be opened: %s", error)
    return Unanswered(f"no session could be opened ({kind_of(error)})", may_be_done=False)

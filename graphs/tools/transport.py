"""The HTTP transport of an MCP session, which confines errors to the request they concern.

The SDK's client ends its whole session, with every call on it, when one POST gets an HTTP error or no connection, and
goes on reading answers that nobody waits for. This transport instead answers such a request with a JSON-RPC error whose
`data` says what happened; `give_up` ends a request. It does the same for an answer that is not JSON-RPC, for which the
SDK's client would wait until the deadline.
"""

import contextlib
import functools
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
from httpx_sse import EventSource
from mcp import McpError
from mcp.client.streamable_http import MCP_SESSION_ID
from pydantic_core import from_json

from graphs.tools.tokens import GATEWAY, Caller, Signer
from safe_http.bodies import TooLarge, body, parts
from safe_http.shown import shown

NOT_ANSWERED = -32050  # in JSON-RPC's range for implementations
READ_BYTES = 2048  # of an error answer
REFUSED, BY_A_PROXY = 401, {502, 503, 504}
NO_MESSAGE = "it answered with something other than JSON-RPC"
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")  # word boundaries in a class name
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,40}/[\w.+-]{1,40}", re.ASCII)
_JSON, _SSE = "application/json", "text/event-stream"

logger = logging.getLogger(__name__)
# Loading the certificates takes 30 ms of CPU time, so it is done once per process.
trusted = functools.cache(httpx.create_ssl_context)


class Unanswered(Exception):
    """A server did not answer a call.

    Attributes:
        may_be_done: whether the server may have carried it out anyway.
        gone: whether the session ended or is unknown to the server.
        too_large: whether there was an answer that exceeded the byte limit.
        retry_after_s: seconds that the server asked to wait, if it did.
        away: whether the server is unreachable, or a proxy said so.
        refused: whether it rejected our token, which is not an outage.
    """

    def __init__(
        self,
        why: str,
        *,
        may_be_done: bool = True,
        gone: bool = False,
        too_large: bool = False,
        retry_after_s: float | None = None,
        away: bool = False,
        refused: bool = False,
    ) -> None:
        super().__init__(why)
        self.may_be_done = may_be_done
        self.gone = gone
        self.too_large = too_large
        self.retry_after_s = retry_after_s
        self.away = away
        self.refused = refused


def unanswered(error: McpError) -> Unanswered | None:
    """The problem that this transport reported; None if the error is the server's own."""
    told = error.error
    return Unanswered(told.message, **(told.data or {})) if told.code == NOT_ANSWERED else None


def too_large(max_bytes: int) -> Unanswered:
    """The problem of an answer above the byte limit."""
    return Unanswered(f"it sent more than {max_bytes} bytes", too_large=True)


def error_of(problem: Unanswered) -> dict[str, Any]:
    """The JSON-RPC error in place of an answer; `unanswered` reads it."""
    return {"code": NOT_ANSWERED, "message": str(problem), "data": vars(problem)}


class Transport(httpx.AsyncBaseTransport):
    """The transport of one session.

    Args:
        server: the server's name.
        signer: makes tokens.
        max_bytes: most bytes in an answer.
    """

    def __init__(self, server: str, signer: Signer, max_bytes: int) -> None:
        limits = httpx.Limits(max_connections=None, keepalive_expiry=30)
        self._inner = httpx.AsyncHTTPTransport(verify=trusted(), limits=limits)
        self._server = server
        self._signer = signer
        self._max_bytes = max_bytes
        self._under_way: dict[int, anyio.CancelScope] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The server's answer, or an error in its place. Never raises for network errors."""
        message = json.loads(request.content) if request.method == "POST" else {}
        meta = message.get("params", {}).get("_meta") or {}
        caller = Caller(**meta["caller"]) if "caller" in meta else GATEWAY
        if token := self._signer.token(self._server, caller):
            request.headers["Authorization"] = f"Bearer {token}"
        request.headers["Accept-Encoding"] = "identity"
        if request.method != "POST":
            return await self._aside(request)
        answer = _error(message.get("id"), Unanswered("given up"))
        with anyio.CancelScope() as scope, self._known(meta.get("call"), scope):
            try:
                answer = await self._answered(request, message.get("id"))
            except Unanswered as problem:
                answer = _error(message.get("id"), problem)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                answer = _error(message.get("id"), Unanswered(_broken(request, error), may_be_done=False, away=True))
            except TooLarge:
                answer = _error(message.get("id"), too_large(self._max_bytes))
            except httpx.DecodingError as error:
                answer = _error(message.get("id"), Unanswered(str(error)))
            except httpx.RequestError as error:
                answer = _error(message.get("id"), Unanswered(_broken(request, error), away=True))
        return answer

    def give_up(self, call: int) -> None:
        """End the request of this call if it is in flight, so that the server notices."""
        if scope := self._under_way.get(call):
            scope.cancel()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()

    @contextlib.contextmanager
    def _known(self, call: int | None, scope: anyio.CancelScope) -> Iterator[None]:
        if call is None:  # while a session is being opened
            yield
            return
        self._under_way[call] = scope
        try:
            yield
        finally:
            del self._under_way[call]

    async def _aside(self, request: httpx.Request) -> httpx.Response:
        """Answer a request that is not a message: a session's DELETE, which is sent, or the stream of server
        notifications, which is not opened: it would be unbounded, and nothing in it is used."""
        if request.method == "GET":
            return httpx.Response(httpx.codes.METHOD_NOT_ALLOWED)
        response = await self._inner.handle_async_request(request)
        await response.aclose()
        return httpx.Response(response.status_code)

    async def _answered(self, request: httpx.Request, message_id: int | None) -> httpx.Response:
        """The server's answer. Raises Unanswered, TooLarge, and httpx errors."""
        response = await self._inner.handle_async_request(request)
        try:
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if not response.is_success or (message_id is not None and kind not in {_JSON, _SSE}):
                raise await _refusal(request, response)
            if message_id is None:
                await body(response, self._max_bytes)
                return httpx.Response(response.status_code)
            read = _from_events if kind == _SSE else _from_json
            told = await read(response, self._max_bytes, message_id)
        finally:
            await response.aclose()
        kept = {name: response.headers[name] for name in (MCP_SESSION_ID,) if name in response.headers}
        return httpx.Response(response.status_code, headers={**kept, "Content-Type": _JSON}, content=told)


async def _from_json(response: httpx.Response, most: int, message_id: int) -> bytes:
    told = await body(response, most)
    if not _answers(told, message_id):
        raise Unanswered(NO_MESSAGE)
    return told


async def _from_events(response: httpx.Response, most: int, message_id: int) -> bytes:
    """The event with the answer. Earlier ones are progress; a server need not end the stream after it."""
    stream = httpx.Response(response.status_code, headers={"Content-Type": _SSE}, content=parts(response, most))
    async for event in EventSource(stream).aiter_sse():
        if _answers(event.data, message_id):
            return event.data.encode()
    raise Unanswered("its stream of events ended without an answer")


def _answers(text: str | bytes, message_id: int) -> bool:
    """Whether this is an answer to that message that the SDK's client accepts."""
    try:
        message = from_json(text)  # the SDK's parser without its models, which would dominate the cost
    except ValueError:
        return False
    match message:
        case {"method": _}:
            return False
        case {"jsonrpc": "2.0", "id": number, "result": dict()}:
            return str(number) == str(message_id)
        case {"jsonrpc": "2.0", "id": number, "error": {"code": int(), "message": str()}}:
            return str(number) == str(message_id)
    return False


async def _refusal(request: httpx.Request, response: httpx.Response) -> Unanswered:
    status = response.status_code
    if response.is_success:
        known = _MEDIA_TYPE.match(response.headers.get("content-type", ""))
        return Unanswered(f"it answered with {known[0] if known else 'an unnamed content type'}, not JSON")
    after = response.headers.get("retry-after", "")
    if said := await _said(response):  # only logged: it may name hosts, and the message goes into events and reports
        logger.warning("%s answered HTTP %d: %s", shown(str(request.url)), status, said)
    return Unanswered(
        f"HTTP {status}",
        may_be_done=status >= 500 and status != 503,
        gone=status == REFUSED or (status == 404 and MCP_SESSION_ID in request.headers),
        away=status in BY_A_PROXY,
        refused=status == REFUSED,
        retry_after_s=float(after) if after.isdigit() else None,
    )


async def _said(response: httpx.Response) -> str:
    try:
        return " ".join((await body(response, READ_BYTES)).decode(errors="replace").split())[:200]
    except httpx.DecodingError:
        return ""


def _error(message_id: int | None, problem: Unanswered) -> httpx.Response:
    """A JSON-RPC error in the server's place; for a notification, which needs no answer, an acknowledgement."""
    if message_id is None:
        return httpx.Response(202)
    return httpx.Response(200, json={"jsonrpc": "2.0", "id": message_id, "error": error_of(problem)})


def _broken(request: httpx.Request, error: httpx.RequestError) -> str:
    """Describes a connection error. Its own message is only logged: it may name hosts."""
    logger.warning("%s: %s", shown(str(request.url)), error or type(error).__name__)
    return kind_of(error)


def kind_of(error: BaseException) -> str:
    """The kind of an error in words: `read timeout`."""
    return _WORDS.sub(" ", type(error).__name__).lower()

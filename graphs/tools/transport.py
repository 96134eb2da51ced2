"""The HTTP under an MCP session, so that what goes wrong with one request stays with that request.

The SDK's client ends its whole session, with every other call on it, when one POST meets an HTTP error or no
connection, and it goes on reading an answer that nobody waits for any more. Here such a request is answered in the
server's place, with a JSON-RPC error whose `data` says what happened, and `give_up` ends the request itself. So is
one that was answered with something else than JSON-RPC, for which the SDK's client would wait until the deadline.
"""

import contextlib
import functools
import hmac
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import anyio
import httpx
import jwt
from httpx_sse import EventSource
from mcp import McpError
from mcp.client.streamable_http import MCP_SESSION_ID
from pydantic import SecretStr
from pydantic_core import from_json

from graphs.clock import utc_now
from safe_http.bodies import TooLarge, body, parts
from safe_http.shown import shown

NOT_ANSWERED = -32050  # a code that JSON-RPC leaves to implementations
TOKEN_S = 60
READ_BYTES = 2048  # of an answer that is an error
REFUSED, BY_A_PROXY = 401, {502, 503, 504}
NO_MESSAGE = "it answered with something else than JSON-RPC"
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")  # where they begin in the name of a class
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,40}/[\w.+-]{1,40}", re.ASCII)
_JSON, _SSE = "application/json", "text/event-stream"

logger = logging.getLogger(__name__)
# What calls trust. Reading the certificates takes 30 ms of CPU time, so it is done once per process.
trusted = functools.cache(httpx.create_ssl_context)


@dataclass(frozen=True, slots=True)
class Caller:
    """In whose name a request is made: an agent, and the tools of the server that it may call; `*` for all.

    `tenant` is the pseudonym of the tenant it works for, who takes turns with others; "" for none.
    """

    agent: str
    scope: str
    tenant: str = ""

    def claims(self) -> dict[str, str]:
        """What the server is told."""
        told = {"agent": self.agent, "scope": self.scope}
        return {**told, "tenant": self.tenant} if self.tenant else told


GATEWAY = Caller("gateway", "*")  # who opens sessions and lists tools


class Unanswered(Exception):
    """A server did not answer a call.

    Attributes:
        may_be_done: whether the server may have carried it out all the same.
        gone: whether it was the session that ended, or is not known there any more.
        too_large: whether there was an answer, of more bytes than are read.
        retry_after_s: when the server wants to be asked again, if it said so.
        away: whether nobody was there to answer, or only a proxy that said so.
        refused: whether it does not take our token, which is our fault and no outage of it.
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
    """What the transport said in the server's place; None when it was the server."""
    told = error.error
    return Unanswered(told.message, **(told.data or {})) if told.code == NOT_ANSWERED else None


def too_large(max_bytes: int) -> Unanswered:
    """An answer of more bytes than are read."""
    return Unanswered(f"it gave more than {max_bytes} bytes", too_large=True)


def error_of(problem: Unanswered) -> dict[str, Any]:
    """The error that stands for an answer, as JSON-RPC has it; `unanswered` reads it."""
    return {"code": NOT_ANSWERED, "message": str(problem), "data": vars(problem)}


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes tokens for requests.

    Attributes:
        secret: signs them; None: our servers ask for none.
        now: the time that they state, in UTC.
        others: the servers that are not ours. Each is sent its own token, or none, and is told of no agent and tenant.
    """

    secret: SecretStr | None = None
    now: Callable[[], datetime] = utc_now
    others: Mapping[str, SecretStr | None] = field(default_factory=dict)

    def token(self, server: str, caller: Caller, seconds: float = TOKEN_S) -> str | None:
        """A token for requests to this server; of ours valid for so long (JWT, RFC 7519, HS256)."""
        if server in self.others:
            own = self.others[server]
            return own.get_secret_value() if own else None
        if self.secret is None:
            return None
        now = self.now()
        told = caller.claims()
        claims = {"iss": "tollgate", "sub": told.pop("agent"), "aud": server, **told, "iat": now}
        return jwt.encode({**claims, "exp": now + timedelta(seconds=seconds)}, self.secret.get_secret_value(), "HS256")

    def pseudonym(self, tenant: str, server: str) -> str:
        """What this server is told of a tenant: always the same, and nothing that another server is told. "" for
        none."""
        key = self.secret.get_secret_value() if self.secret else server
        return hmac.digest(key.encode(), f"{server} {tenant}".encode(), "sha256").hex()[:16] if tenant else ""


class Transport(httpx.AsyncBaseTransport):
    """The transport of one session.

    Args:
        server: whose session it is.
        signer: makes tokens.
        max_bytes: of an answer that are read.
    """

    def __init__(self, server: str, signer: Signer, max_bytes: int) -> None:
        limits = httpx.Limits(max_connections=None, keepalive_expiry=30)
        self._inner = httpx.AsyncHTTPTransport(verify=trusted(), limits=limits)
        self._server = server
        self._signer = signer
        self._max_bytes = max_bytes
        self._under_way: dict[int, anyio.CancelScope] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The server's answer, or ours. Never raises for what happens on the way."""
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
        """End the request of this call, if it is under way: the server sees that nobody waits."""
        if scope := self._under_way.get(call):
            scope.cancel()

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._inner.aclose()

    @contextlib.contextmanager
    def _known(self, call: int | None, scope: anyio.CancelScope) -> Iterator[None]:
        if call is None:  # of a session that is being opened
            yield
            return
        self._under_way[call] = scope
        try:
            yield
        finally:
            del self._under_way[call]

    async def _aside(self, request: httpx.Request) -> httpx.Response:
        """The end of a session, of which the status is told; or a stream of what the server says unasked. Nothing of
        that is used, so it is not opened: it would have no bound."""
        if request.method == "GET":
            return httpx.Response(httpx.codes.METHOD_NOT_ALLOWED)
        response = await self._inner.handle_async_request(request)
        await response.aclose()
        return httpx.Response(response.status_code)

    async def _answered(self, request: httpx.Request, message_id: int | None) -> httpx.Response:
        """What the server answers. Raises Unanswered, TooLarge, and what httpx does."""
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
    """The event that answers. What comes before it is progress; a server need not end the stream after it."""
    stream = httpx.Response(response.status_code, headers={"Content-Type": _SSE}, content=parts(response, most))
    async for event in EventSource(stream).aiter_sse():
        if _answers(event.data, message_id):
            return event.data.encode()
    raise Unanswered("its stream of events ended without an answer")


def _answers(text: str | bytes, message_id: int) -> bool:
    """Whether this is the answer to that message, as the SDK's client will take it."""
    try:
        message = from_json(text)  # its parser, without its models, which would take longer than all else
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
        return Unanswered(f"it answered with {known[0] if known else 'what it does not name'}, not JSON")
    after = response.headers.get("retry-after", "")
    if said := await _said(response):  # only here: it may name machines, and the message goes into events and reports
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
    """A JSON-RPC error in the server's place; for a notification, which has no answer, an acknowledgement."""
    if message_id is None:
        return httpx.Response(202)
    return httpx.Response(200, json={"jsonrpc": "2.0", "id": message_id, "error": error_of(problem)})


def _broken(request: httpx.Request, error: httpx.RequestError) -> str:
    """What an error of the connection is. Its own words are logged only: they may name machines."""
    logger.warning("%s: %s", shown(str(request.url)), error or type(error).__name__)
    return kind_of(error)


def kind_of(error: BaseException) -> str:
    """The kind of an error, as words: `read timeout`."""
    return _WORDS.sub(" ", type(error).__name__).lower()

"""Authentication and authorization.

Once a key was created, every path needs one, except the open ones, even after the last is revoked. Until then, on a
loopback address, everybody on the machine may do everything. A web page in a browser on this machine must not, so Host
and Origin are checked (DNS rebinding).
"""

import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, cast
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from app.access.keys import Keys
from app.access.keys import Scope as Permission
from app.api.backend import Backend, backend_of
from app.api.problems import Refused
from graphs.redis.failures import STORE_FAILED

OPEN_TENANT = "local"
_OPEN = {"/healthz", "/readyz", "/openapi.json", "/docs"}
_OPEN_BELOW = "/problems/"
_BEARER = HTTPBearer(auto_error=False, description="An API key, as `tollgate keys create` prints it.")
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="tollgate"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request. `id` is that of its key."""

    id: str
    tenant: str
    scopes: frozenset[Permission]


EVERYBODY = Caller("local", OPEN_TENANT, frozenset(Permission))


class Gate:
    """Admits a request if its caller is known and within the rate limit. It runs before all routes and before a body is
    read.

    Args:
        app: the application behind it.
        loopback: whether only this machine can connect.
    """

    def __init__(self, app: ASGIApp, loopback: bool) -> None:
        self.app = app
        self.loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in _OPEN and not scope["path"].startswith(_OPEN_BELOW):
            await self._admit(Request(scope))
        await self.app(scope, receive, send)

    async def _admit(self, request: Request) -> None:
        backend = backend_of(request)
        caller = await self._caller(request, backend)
        counted = f"from:{address(request)}" if isinstance(caller, Refused) or caller is EVERYBODY else caller.id
        allowance = await backend.rate.take(counted)
        request.state.headers |= allowance.headers()
        if not allowance.allowed:
            raise Refused("too-many-requests")
        if isinstance(caller, Refused):
            raise caller
        request.state.caller = caller

    async def _caller(self, request: Request, backend: Backend) -> Caller | Refused:
        given = request.headers.get("authorization")
        if given is not None:
            scheme, _, secret = given.partition(" ")
            key = await backend.keys.verify(secret.strip()) if scheme.lower() == "bearer" else None
            return Caller(key.id, key.tenant, key.scopes) if key else _unknown("this key is unknown or revoked")
        return await everybody(request, backend, loopback=self.loopback)


async def everybody(request: HTTPConnection, backend: Backend, *, loopback: bool) -> Caller | Refused:
    """The caller of a request without a key: everybody on this machine, while there is no key."""
    if not loopback or await backend.keys.required():
        return _unknown("this needs an API key")
    if not is_local(request) or not _is_local(request.headers.get("origin")):
        return Refused("misdirected")
    return EVERYBODY


def needs(*scopes: Permission) -> Callable[..., Caller]:
    """A dependency: the caller, who must have one of these scopes."""

    def caller_with_scope(request: Request, _: Annotated[object, Security(_BEARER)]) -> Caller:
        caller = cast("Caller", request.state.caller)
        if caller.scopes.isdisjoint(scopes):
            raise Refused("forbidden", f"this needs a key with the scope {' or '.join(scopes)}")
        return caller

    return caller_with_scope


Submitter = Annotated[Caller, Depends(needs(Permission.SUBMIT))]
Reader = Annotated[Caller, Depends(needs(Permission.READ))]
Canceller = Annotated[Caller, Depends(needs(Permission.CANCEL, Permission.SUBMIT))]  # the latter for its own jobs
Deleter = Annotated[Caller, Depends(needs(Permission.DELETE))]
Decider = Annotated[Caller, Depends(needs(Permission.DECIDE))]
Admin = Annotated[Caller, Depends(needs(Permission.ADMIN))]


def still_admitted(caller: Caller, keys: Keys) -> Callable[[], Awaitable[bool]]:
    """Says whether the caller would be admitted now: the key is not revoked, or still none is needed."""

    async def admitted() -> bool:
        try:
            return not await keys.required() if caller is EVERYBODY else await keys.has(caller.id)
        except STORE_FAILED:  # unknown; the events come from the same store
            return True

    return admitted


def is_loopback(host: str) -> bool:
    """Whether this is a loopback name or address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_local(request: HTTPConnection) -> bool:
    """Whether the request's Host names this machine."""
    return _is_local(f"//{request.headers.get('host', '')}")


def _is_local(url: str | None) -> bool:
    """Whether a Host or Origin names this machine; a request without Origin is not from a web page."""
    try:
        return url is None or is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False


def _unknown(detail: str) -> Refused:
    return Refused("unauthorized", f"{detail}; send one as `Authorization: Bearer tg_...`", headers=_CHALLENGE)


def address(request: HTTPConnection) -> str:
    """Where a request comes from, for limits."""
    return request.client.host if request.client else "socket"

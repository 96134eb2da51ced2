"""Who may call a server over HTTP: allowed hosts, allowed origins, and bearer tokens."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import jwt
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

ISSUER = "tollgate"
ALGORITHM = "HS256"
LEEWAY_S = 30  # clock skew between machines
SECRET_CHARS = 32
EVERY_TOOL = "*"
PARTY_CHARS = 64
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
PROBES = frozenset({"/healthz", "/readyz"})  # probes have no token, and call by IP address


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request.

    Attributes:
        agent: its name.
        tools: those that it may use; None: all, and the server's resources.
        party: the group that it shares turns with; "" while unknown.
    """

    agent: str
    tools: frozenset[str] | None = None
    party: str = ""

    def may_use(self, tool: str) -> bool:
        """Whether its token allows this tool."""
        return self.tools is None or tool in self.tools


ANYBODY = Caller("-")


def told_by(caller: Caller, params: Any, address: str) -> Caller:
    """A caller without a token, with its party: the tenant named in the request's parameters, or its address."""
    if caller.party:
        return caller
    match params:
        case {"_meta": {"caller": {"tenant": str(tenant)}}}:
            return replace(caller, party=f"tenant {tenant[:PARTY_CHARS]}")
    return replace(caller, party=f"address {address}")


class Unauthorized(Exception):
    """The request has no valid token for this server; the message says why."""


class Access:
    """Lets allowed requests through, with `caller` in their scope. Pure ASGI.

    Args:
        app: the application behind it.
        server: name of this server, the audience of its tokens.
        secret: signs the tokens; None: no token is required.
        hosts: allowed Host names, besides loopback; None: any.
        origins: web origins (`https://chat.example.org`) that may call, besides loopback if `hosts` are given. A
            request without an Origin does not come from a web page.
    """

    def __init__(
        self, app: ASGIApp, server: str, *, secret: str | None, hosts: Collection[str] | None, origins: Collection[str]
    ) -> None:
        self._app = app
        self._server = server
        self._secret = secret
        self._hosts = None if hosts is None else LOOPBACK_NAMES.union(hosts)
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in PROBES:
            headers = Headers(scope=scope)
            refusal = self._misdirected(headers)
            if refusal is None and scope["path"] != "/metrics":
                try:
                    scope["caller"] = self._caller(headers)
                except Unauthorized as error:
                    refusal = _unauthorized(str(error))
            if refusal is not None:
                return await refusal(scope, receive, send)
        return await self._app(scope, receive, send)

    def _misdirected(self, headers: Headers) -> JSONResponse | None:
        """A refusal of DNS rebinding and of cross-origin requests from web pages."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._hosts is not None and _name(f"//{host}") not in self._hosts:
            return _refusal(421, "misdirected", "this Host is not allowed; see the option --allowed-host")
        if origin is not None and origin not in self._origins and not self._is_local(origin):
            return _refusal(403, "forbidden_origin", "this Origin is not allowed; see the option --allowed-origin")
        return None

    def _is_local(self, origin: str) -> bool:
        return self._hosts is not None and _name(origin) in LOOPBACK_NAMES

    def _caller(self, headers: Headers) -> Caller:
        if self._secret is None:
            return ANYBODY
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized("send a token as `Authorization: Bearer ...`")
        return verified(token.strip(), self._server, self._secret)


def verified(token: str, server: str, secret: str) -> Caller:
    """The caller that this token names. Raises Unauthorized unless it is genuine, current and for this server."""
    try:
        claims = jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            audience=server,
            issuer=ISSUER,
            leeway=LEEWAY_S,
            options={"require": ["iss", "sub", "aud", "iat", "exp"]},
        )
    except jwt.InvalidTokenError as error:
        raise Unauthorized(f"the token is not valid for {server}: {error}") from error
    scopes = str(claims.get("scope", "")).split()
    party = f"tenant {claims['tenant']}" if "tenant" in claims else f"agent {claims['sub']}"
    return Caller(claims["sub"], None if EVERY_TOOL in scopes else frozenset(scopes), party)


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _unauthorized(description: str) -> JSONResponse:
    # In a quoted string of a header: the caller's text must not end it.
    shown = "".join(each for each in description if each.isascii() and each.isprintable() and each not in '"\\')
    challenge = f'Bearer realm="{ISSUER}", error="invalid_token", error_description="{shown}"'
    return _refusal(401, "invalid_token", description, {"WWW-Authenticate": challenge})


def _refusal(status: int, error: str, description: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": error, "error_description": description}, status, headers)

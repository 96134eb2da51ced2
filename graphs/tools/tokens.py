"""Who calls an MCP server, and the token that says so."""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import jwt
from pydantic import SecretStr

from graphs.clock import utc_now

TOKEN_S = 60


@dataclass(frozen=True, slots=True)
class Caller:
    """The identity behind a request: an agent, and the tools of the server that it may call; `*` for all.

    `tenant` is the pseudonym of its tenant, for taking turns; "" for none.
    """

    agent: str
    scope: str
    tenant: str = ""

    def claims(self) -> dict[str, str]:
        """The token's claims."""
        told = {"agent": self.agent, "scope": self.scope}
        return {**told, "tenant": self.tenant} if self.tenant else told


GATEWAY = Caller("gateway", "*")  # opens sessions and lists tools


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes tokens for requests.

    Attributes:
        secret: signs them; None: our servers require none.
        now: the time, in UTC.
        others: the third-party servers. Each is sent its own token, if any, and learns nothing of agents and tenants.
    """

    secret: SecretStr | None = None
    now: Callable[[], datetime] = utc_now
    others: Mapping[str, SecretStr | None] = field(default_factory=dict)

    def token(self, server: str, caller: Caller, seconds: float = TOKEN_S) -> str | None:
        """A token for requests to this server; for ours a JWT (RFC 7519, HS256) that is valid for `seconds`."""
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
        """A stable pseudonym of the tenant, different for each server; "" for none."""
        key = self.secret.get_secret_value() if self.secret else server
        return hmac.digest(key.encode(), f"{server} {tenant}".encode(), "sha256").hex()[:16] if tenant else ""

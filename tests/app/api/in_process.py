"""The API in this process, without a socket, over a real Valkey."""

import contextlib
import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from starlette.types import Receive, Send
from starlette.types import Scope as Connection

from app.access.keys import Scope
from app.api import create_app
from app.api.backend import Backend, opened_backend
from app.config.settings import Settings
from app.work.service import Service
from tests.app.api.contract import Contract

QUESTION = "What was our revenue in 2024?"
LOCAL = "http://127.0.0.1:8000"
UNHURRIED = {"requests_per_minute": 60_000, "requests_burst": 10_000}


@dataclass(frozen=True)
class Api:
    """The application, what is behind it, and clients of it."""

    app: FastAPI
    backend: Backend
    contract: Contract

    @property
    def service(self) -> Service:
        return self.backend.service

    def client(self, secret: str | None = None, base_url: str = LOCAL, address: str = "127.0.0.1") -> httpx.AsyncClient:
        """A client that sends this key. Every answer is compared with the OpenAPI document."""

        async def with_state(scope: Connection, receive: Receive, send: Send) -> None:
            await self.app({**scope, "state": {"backend": self.backend}}, receive, send)

        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        transport = httpx.ASGITransport(with_state, client=(address, 1))  # an error that gets out fails the test
        hooks = {"response": [self.contract.kept]}
        return httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers, event_hooks=hooks)

    async def key(self, *scopes: Scope, tenant: str = "acme") -> str:
        """A new key with these scopes, or with all."""
        return (await self.backend.keys.create(tenant, scopes or list(Scope))).secret

    async def dead(self, tenant: str = "acme") -> str:
        """A job of the tenant that is a dead letter; its id."""
        job_id = await self.service.jobs.create(QUESTION, self.backend.settings.limits, tenant)
        await self.service.registry.enter(tenant, job_id)
        await self.service.records.write(job_id, {"status": "dead", "attempts": 3, "last_error": "it broke"})
        await self.service.registry.bury(tenant, job_id)
        return job_id


@functools.cache
def contract() -> Contract:
    """What the API documents, whatever its settings; made once, because it takes half of the time of a short test."""
    app = create_app(Settings(_env_file=None), None, loopback=True, registry=CollectorRegistry())  # type: ignore[arg-type]
    return Contract(app.openapi())


@contextlib.asynccontextmanager
async def api_over(settings: Settings, redis_url: str, *, loopback: bool = True, **given: Any) -> AsyncIterator[Api]:
    """The API over an empty store."""
    async with contextlib.aclosing(Redis.from_url(redis_url)) as client:
        await client.flushall()
    settings = settings.model_copy(update={**UNHURRIED, **given})
    async with opened_backend(settings, redis_url, lambda _: None) as backend:
        opening = contextlib.nullcontext(backend)
        app = create_app(settings, opening, loopback=loopback, registry=CollectorRegistry())
        yield Api(app, backend, contract())

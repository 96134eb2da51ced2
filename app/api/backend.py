"""What the routes are handed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Annotated, TypedDict, cast

from fastapi import Depends, Request

from app.audit import Audit
from app.keys import Keys
from app.rate_limit import RateLimit
from app.service import Service
from app.serving import opened_service
from app.settings import Settings

DAY_S = 86_400


@dataclass(frozen=True)
class Backend:
    """What is behind the API. With `stopping` set, streams of events end."""

    settings: Settings
    service: Service
    keys: Keys
    rate: RateLimit
    audit: Audit
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


class State(TypedDict):
    """The state of the application from its start to its end."""

    backend: Backend


@contextlib.asynccontextmanager
async def opened_backend(settings: Settings, redis_url: str, warn: Callable[[str], None]) -> AsyncIterator[Backend]:
    """What is behind the API, until the block ends. Raises as `opened_service`."""
    async with opened_service(settings, redis_url, warn) as service:
        client = service.client
        yield Backend(
            settings,
            service,
            Keys(client),
            RateLimit(client, per_minute=settings.requests_per_minute, burst=settings.requests_burst),
            Audit(client, ttl_seconds=settings.audit_days * DAY_S, secret=settings.audit_secret),
        )


def backend_of(request: Request) -> Backend:
    return cast("Backend", request.state.backend)


def request_id_of(request: Request) -> str:
    return cast("str", request.state.request_id)


Here = Annotated[Backend, Depends(backend_of)]
RequestId = Annotated[str, Depends(request_id_of)]

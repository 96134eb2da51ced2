"""What the routes are handed."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, TypedDict, cast

from fastapi import Depends, Request

from app.access.audit import Audit, trail
from app.access.keys import Keys
from app.config.settings import Settings
from app.running.serving import opened_service
from app.work.service import Service
from graphs.governance.rate_limit import RateLimit


@dataclass(frozen=True)
class Backend:
    """What is behind the API."""

    settings: Settings
    service: Service
    keys: Keys
    rate: RateLimit
    audit: Audit


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
            trail(settings, client),
        )


def backend_of(request: Request) -> Backend:
    return cast("Backend", request.state.backend)


def request_id_of(request: Request) -> str:
    return cast("str", request.state.request_id)


Here = Annotated[Backend, Depends(backend_of)]
RequestId = Annotated[str, Depends(request_id_of)]

"""The backend of the routes."""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, TypedDict, cast

from fastapi import Depends, Request

from app.access.audit import Audit, trail
from app.access.keys import Keys
from app.config.settings import Settings
from app.running.serving import NEEDED, opened_service
from app.work.gauges import circuits
from app.work.readiness import Readiness
from app.work.service import Service
from graphs.redis.breaker import Breaker
from graphs.redis.failures import STORE_FAILED, explained
from graphs.redis.rate_limit import RateLimit
from graphs.state import Json

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backend:
    """The services behind the API."""

    settings: Settings
    service: Service
    keys: Keys
    rate: RateLimit
    audit: Audit
    readiness: Readiness
    circuits: Mapping[str, Breaker]

    async def noted(
        self, action: str, actor: str, tenant: str, job_id: str | None, detail: Json | None, trace_id: str
    ) -> None:
        """Record an action in the audit trail.

        The action is done, so the caller gets its answer even if the trail cannot be written. Then the entry is logged.
        """
        try:
            await self.audit.append(action, actor, tenant, job_id, detail, trace_id)
        except STORE_FAILED as error:
            told = (action, actor, tenant, job_id, detail, trace_id, explained(error))
            logger.error("not in the audit trail: %s by %s of %s, %s, %s, request %s: %s", *told)


class State(TypedDict):
    """The state of the running application."""

    backend: Backend


@contextlib.asynccontextmanager
async def opened_backend(settings: Settings, redis_url: str, warn: Callable[[str], None]) -> AsyncIterator[Backend]:
    """The backend, until the block ends. Raises as `opened_service`."""
    async with opened_service(settings, redis_url, warn) as service:
        client = service.client
        yield Backend(
            settings,
            service,
            Keys(client),
            RateLimit(client, per_minute=settings.requests_per_minute, burst=settings.requests_burst),
            trail(settings, client),
            Readiness(client, NEEDED),
            circuits(settings, service),
        )


def backend_of(request: Request) -> Backend:
    return cast("Backend", request.state.backend)


def request_id_of(request: Request) -> str:
    return cast("str", request.state.request_id)


BackendDep = Annotated[Backend, Depends(backend_of)]
RequestId = Annotated[str, Depends(request_id_of)]

"""Wires a worker, and the service behind the HTTP API. Apart from `runtime`, which starts faster without the queue."""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable

import httpx
from prometheus_client import CollectorRegistry

from agents import AGENTS
from app.access.audit import trail
from app.config.settings import Settings
from app.jobs.events import EventLog
from app.observing.redaction import Redaction
from app.running.processes import Addresses
from app.running.runtime import Parts, assembled, ready
from app.store.redis import checked
from app.work.conditions import CLOCK, MODEL, Conditions, Provider
from app.work.metrics import job_metrics
from app.work.queue import JOBS, WEBHOOKS, Queue
from app.work.readiness import telling
from app.work.registry import Registry
from app.work.service import Service
from app.work.webhooks import Webhooks, checked_alert_url
from app.work.worker import Work
from graphs.research import build_research_graph
from safe_http import public

logger = logging.getLogger(__name__)

SOURCES = sorted({tool.partition(".")[0] for agent in AGENTS for tool in agent.tools})  # which every job needs
NEEDED = (MODEL, CLOCK, *SOURCES)
NO_MODEL = "http://127.0.0.1:9/v1"  # the discard port: a process that calls no model


@contextlib.asynccontextmanager
async def opened_worker(
    settings: Settings,
    redis_url: str,
    addresses: Addresses,
    warn: Callable[[str], None],
    registry: CollectorRegistry,
) -> AsyncIterator[Work]:
    """What a worker does with a call, until the block ends; `registry` gets its metrics. Raises like `opened`."""
    async with contextlib.AsyncExitStack() as stack:
        wired = (settings, redis_url, addresses, build_research_graph, registry)
        parts = await assembled(stack, *wired, service="tollgate-worker")
        await checked(parts.client, warn)
        await parts.clock.measured()
        await ready(addresses.children)
        webhooks = None
        if settings.webhook_secret:
            outside = public.client(settings.webhook_allow_private, settings.webhook_timeout_s)
            http = await stack.enter_async_context(outside)
            webhooks = Webhooks(http, settings.webhook_secret, timeout_s=settings.webhook_timeout_s)
        conditions = Conditions(
            parts.client,
            parts.clock,
            parts.deps.gateway,
            SOURCES,
            await _provider(stack, settings, addresses, parts),
            logger.warning,
        )
        await conditions.allowed(0, 0)  # reports at the start what is missing
        await stack.enter_async_context(telling(parts.client, conditions.parts, parts.deps.gateway.replicas))
        work = Work(
            parts.jobs,
            parts.records,
            _registry(settings, parts),
            Queue(parts.client, JOBS, ttl_seconds=settings.ttl_seconds),
            Queue(parts.client, WEBHOOKS, ttl_seconds=settings.ttl_seconds),
            parts.deps,
            trail(settings, parts.client),
            settings.job_attempts,
            webhooks,
            settings.webhook_attempts,
            conditions,
            job_metrics(registry, parts.deps),
            checked_alert_url(settings),
        )
        await work.adopt()
        yield work


async def _provider(
    stack: contextlib.AsyncExitStack, settings: Settings, addresses: Addresses, parts: Parts
) -> Provider:
    headers = {"Connection": "close"}  # a kept-alive connection would break when its server restarts
    if key := settings.openai_api_key:
        headers["Authorization"] = f"Bearer {key.get_secret_value()}"
    model = parts.deps.model
    return Provider(
        addresses.model,
        model.toll.breaker,
        await stack.enter_async_context(httpx.AsyncClient(trust_env=not settings.offline, headers=headers)),
        is_ours=settings.offline,
        other=model.fallback.toll.breaker if model.fallback else None,
    )


@contextlib.asynccontextmanager
async def opened_service(settings: Settings, redis_url: str, warn: Callable[[str], None]) -> AsyncIterator[Service]:
    """The service behind the HTTP API, until the block ends. It runs no jobs, and needs only Redis.

    Raises:
        BadInput: a model without a price.
        RedisError: no usable Redis.
    """
    async with contextlib.AsyncExitStack() as stack:
        nowhere = Addresses(settings.model_url or NO_MODEL, {}, ())
        wired = (settings, redis_url, nowhere, build_research_graph)
        parts = await assembled(stack, *wired, service="tollgate-api")
        await checked(parts.client, warn)
        await parts.clock.measured()
        queue = Queue(parts.client, JOBS, ttl_seconds=settings.ttl_seconds)
        log = EventLog(parts.client, ttl_seconds=settings.ttl_seconds, redact=Redaction(settings.secrets))
        yield Service(parts.jobs, parts.records, _registry(settings, parts), queue, log, parts.deps, parts.client)


def _registry(settings: Settings, parts: Parts) -> Registry:
    return Registry(parts.client, ttl_seconds=settings.ttl_seconds, most_waiting=settings.tenant_queue)

"""Wires one process: clients, gateway, models, graph, jobs. All slow imports are here."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from openai import DefaultAsyncHttpxClient
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from agents import AGENTS
from app.config.models import STAND_IN_NOTICE, Models
from app.config.prices import pricer
from app.config.settings import Settings
from app.jobs.jobs import Jobs
from app.jobs.records import Records
from app.jobs.reports import ReportFolder
from app.observing.redaction import Redaction
from app.observing.telemetry import tracing
from app.recording.cassette import Cassette
from app.recording.factories import Factories, on_cassette, recording
from app.recording.player import Player
from app.recording.recorder import Recorder
from app.recording.run_line import learned
from app.running.processes import Addresses
from app.running.servers import Server
from app.store.clock import StoreClock
from app.store.redis import checked, connect
from graphs.checkpoint.saver import RedisSaver
from graphs.clock import utc_now
from graphs.deps import Deps
from graphs.research import ResearchGraph, build_research_graph
from graphs.spending.tool_toll import ToolToll
from graphs.tools.gateway import ToolGateway
from graphs.tools.tokens import Signer

READY_S = 30.0
DIRECT = Factories()


@contextlib.asynccontextmanager
async def opened(
    settings: Settings,
    redis_url: str,
    addresses: Addresses,
    warn: Callable[[str], None],
    build: Callable[[Deps, RedisSaver], ResearchGraph] = build_research_graph,
) -> AsyncIterator[Jobs]:
    """Jobs, ready to run on the graph that `build` makes, until the block ends.

    Raises:
        BadInput: a model without a price, or data that a server cannot read.
        RedisError: no usable Redis.
        OperatorMustAct: a started program does not answer.
    """
    async with contextlib.AsyncExitStack() as stack:
        parts = await assembled(stack, settings, redis_url, addresses, build)
        await checked(parts.client, warn)
        await parts.clock.measured()
        await ready(addresses.children)
        for name, how_far in (await loading(addresses.children)).items():
            warn(f"{name}: its data are still being loaded ({how_far}); calls wait for them")
        for missing in settings.missing_servers.values():
            warn(missing)
        yield parts.jobs


@dataclass(frozen=True)
class Parts:
    """The parts of a process that handles jobs."""

    client: Redis
    clock: StoreClock
    deps: Deps
    jobs: Jobs
    records: Records


async def assembled(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    redis_url: str,
    addresses: Addresses,
    build: Callable[[Deps, RedisSaver], ResearchGraph],
    registry: CollectorRegistry | None = None,
    service: str = "tollgate",
) -> Parts:
    """Wire clients, gateway, models and graph, without connecting. `stack` closes them; `registry` gets the gateway's
    metrics; `service` is the name of this process in traces."""
    client = connect(redis_url)
    stack.push_async_callback(client.aclose)
    clock = StoreClock(client)
    ttl = settings.ttl_seconds
    recorder, tape = None, None
    factories = DIRECT
    if settings.cassette:
        tape = await asyncio.to_thread(Cassette.of_file, settings.cassette)
        factories = on_cassette(Player(tape, Redaction(settings.secrets)))
    elif settings.record:
        recorder = Recorder(client, ttl_seconds=ttl, secrets=settings.secrets)
        factories = recording(recorder)
    http = await stack.enter_async_context(factories.http())
    gateway = tool_gateway(settings, addresses.servers, client, registry=registry, now=clock, factories=factories)
    await stack.enter_async_context(gateway)
    deps = dependencies(settings, addresses.model, http, gateway, client, clock, factories)
    notice = tape.runs[0]["notice"] if tape else STAND_IN_NOTICE if settings.offline else ""
    if tape:
        learned(deps, tape.runs[0])
    reports = ReportFolder(settings.data_dir / "reports", deps.evidence, ttl_seconds=ttl, notice=notice)
    graph = build(deps, RedisSaver(client, ttl_seconds=ttl))
    callbacks = stack.enter_context(tracing(settings, service))
    jobs = Jobs(
        graph,
        deps,
        client,
        reports,
        ttl_seconds=ttl,
        lease_s=settings.lease_s,
        callbacks=callbacks,
        content=settings.captures_content,
        redact=Redaction(settings.secrets),
        recorder=recorder,
    )
    return Parts(client, clock, deps, jobs, Records(client, ttl_seconds=ttl))


def tool_gateway(
    settings: Settings,
    servers: Mapping[str, str],
    client: Redis | None = None,
    registry: CollectorRegistry | None = None,
    now: Callable[[], datetime] = utc_now,
    factories: Factories = DIRECT,
) -> ToolGateway:
    """The configured gateway to these servers; without a Redis for looking at them only. Does not connect yet."""
    signer = Signer(settings.mcp_secret, now, settings.others)
    toll = None
    if client:
        embedding = None if settings.offline else partial(pricer(settings).embedding, settings.embedding_model)
        prices = settings.tool_prices_micro_usd
        ledger = factories.ledger(client, ttl_seconds=settings.ttl_seconds, now=now)
        toll = ToolToll(ledger, prices, settings.limits, embedding)
    limits = settings.tool_limits
    return factories.gateway(servers, client=client, signer=signer, limits=limits, registry=registry, toll=toll)


def dependencies(
    settings: Settings,
    model_url: str,
    http: DefaultAsyncHttpxClient,
    gateway: ToolGateway,
    client: Redis,
    now: Callable[[], datetime] = utc_now,
    factories: Factories = DIRECT,
) -> Deps:
    """The graph's dependencies. Does not connect yet. Raises BadInput for a model without a price."""
    ledger = factories.ledger(client, ttl_seconds=settings.ttl_seconds, now=now)
    prices, toll = pricer(settings), factories.toll
    models = Models(settings, model_url, ledger=ledger, prices=prices, client=client, http=http, now=now, toll=toll)
    return Deps(
        supervisor_model=models.named(settings.supervisor_model),
        model=models.named(settings.model),
        ledger=ledger,
        gateway=gateway,
        evidence=factories.evidence(client, ttl_seconds=settings.ttl_seconds),
        limits=settings.limits,
        ceiling=settings.ceiling,
        agents=tuple(agent.where(settings.servers) for agent in AGENTS),
        now=now,
    )


async def ready(children: tuple[Server, ...]) -> None:
    """Wait until all started programs answer. Raises like `Server.wait_until_up`."""
    await asyncio.gather(*(asyncio.to_thread(child.wait_until_up, READY_S) for child in children))


async def loading(children: tuple[Server, ...]) -> dict[str, str]:
    """How far the data of started programs are loaded, of those that still load."""
    told = await asyncio.gather(*(asyncio.to_thread(child.loading) for child in children))
    return {child.name: how_far for child, how_far in zip(children, told, strict=True) if how_far}

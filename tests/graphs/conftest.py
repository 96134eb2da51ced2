import contextlib
import dataclasses
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from openai import DefaultAsyncHttpxClient
from redis.asyncio import Redis, RedisCluster

from app.config.settings import Settings
from app.running.processes import Addresses
from app.running.runtime import dependencies
from graphs.checkpoint.saver import RedisSaver
from graphs.research import build_research_graph
from graphs.spending.ledger import Ledger
from graphs.tools.gateway import ToolGateway
from tests.graphs import redis_servers
from tests.graphs.ledgers import TTL, Clock
from tests.graphs.redis_servers import Client, Connect
from tests.graphs.research import Run
from tests.graphs.unruly_mcp import Unruly
from tests.scripted_model import Script, serving


@pytest.fixture(scope="session")
def valkey() -> Iterator[Connect]:
    with redis_servers.valkey() as connect:
        yield connect


@pytest.fixture(scope="session")
def redis7() -> Iterator[Connect]:
    binary = redis_servers.debian_redis()
    if binary is None:
        pytest.skip("no redis-server on PATH: install Debian's package redis-server to test on Redis 7.0")
    with redis_servers.single(binary) as connect:
        yield connect


@pytest.fixture(scope="session")
def cluster() -> Iterator[Connect]:
    with redis_servers.valkey_cluster() as connect:
        yield connect


@pytest.fixture(params=["valkey", "redis7", "cluster"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Makes a client of each kind of server in turn."""
    connect: Connect = request.getfixturevalue(request.param)
    return connect


async def _emptied(connect: Connect) -> AsyncIterator[Client]:
    client = connect()
    try:
        await (
            client.flushall(target_nodes=RedisCluster.PRIMARIES)
            if isinstance(client, RedisCluster)
            else client.flushall()
        )
        yield client
    finally:
        await client.aclose()


@pytest.fixture
async def client(connect: Connect) -> AsyncIterator[Client]:
    """An empty server of each kind in turn."""
    async for each in _emptied(connect):
        yield each


@pytest.fixture
async def valkey_client(valkey: Connect) -> AsyncIterator[Client]:
    """An empty Valkey, for what does not depend on the server."""
    async for each in _emptied(valkey):
        yield each


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(redis_client: Redis, clock: Clock) -> Ledger:
    return Ledger(redis_client, ttl_seconds=TTL, now=clock)


@pytest.fixture
def unruly() -> Iterator[Unruly]:
    """A server that misbehaves on order."""
    with Unruly().running() as server:
        yield server


@pytest.fixture
def graph(settings: Settings, addresses: Addresses, redis_client: Redis) -> Run:
    """Builds the graph over a script, with servers that are elsewhere, and with other dependencies."""

    @contextlib.asynccontextmanager
    async def build(script: Script, elsewhere: dict[str, str] | None = None, **other: Any) -> AsyncIterator[Any]:
        with serving(script) as url:
            servers = {**addresses.servers, **(elsewhere or {})}
            async with ToolGateway(servers) as gateway, DefaultAsyncHttpxClient() as http:
                tiers = settings.model_copy(update={"supervisor_model": settings.model})
                deps = dependencies(tiers, url, http, gateway, redis_client)
                alone = tuple(each.model_copy(update={"briefing": ()}) for each in deps.agents)  # scripts call for all
                deps = dataclasses.replace(deps, **{"agents": alone, **other})
                yield build_research_graph(deps, RedisSaver(redis_client, ttl_seconds=600))

    return build

"""Fixtures that many tests share: real servers, started once per test process and left by none."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
from redis.asyncio import Redis

from app.config import settings as configuration
from app.config.data_settings import SERVERS
from app.config.settings import Settings
from app.running.processes import Addresses, running
from app.store.embedded_redis import embedded_redis

# Machines are shared and slow for moments: an example may take its time. All else stays as it is (with CI set,
# Hypothesis repeats the same examples).
hypothesis.settings.register_profile("tollgate", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("tollgate")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make chaos` kills a worker after every superstep; a plain run of the tests after some."""
    parser.addoption("--all-chaos", action="store_true", help="kill a worker after every superstep")


@pytest.fixture(autouse=True, scope="session")
def _clean_environment() -> Iterator[None]:
    """No setting of whoever runs the tests may change their outcome."""
    with pytest.MonkeyPatch.context() as patch:
        ways = ("URL", "URLS", "COMMAND")
        servers = [f"MCP__{server.upper()}__{way}" for server in SERVERS for way in ways]
        for name in [*configuration.names(), *servers]:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of this test process: generated sales data, vectors, logs, the store."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def settings(data_dir: Path, _clean_environment: None) -> Settings:
    """Default settings, with no .env file and a data folder of their own."""
    return Settings(_env_file=None, data_dir=data_dir)


@pytest.fixture(scope="session")
def redis_url(data_dir: Path) -> Iterator[str]:
    """A real Valkey server."""
    with embedded_redis(data_dir) as url:
        yield url


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[Redis]:
    """A client of an empty server. Fails the test when it leaves a key without a time to live."""
    async with contextlib.aclosing(Redis.from_url(redis_url)) as client:
        await client.flushall()
        yield client
        keys = [key async for key in client.scan_iter()]
        eternal = [key for key in keys if await client.ttl(key) == -1]
        assert eternal == [], "these keys never expire"


@pytest.fixture(scope="session")
def addresses(settings: Settings) -> Iterator[Addresses]:
    """The stand-in model and the MCP servers, as real processes."""
    with running(settings) as found:
        yield found

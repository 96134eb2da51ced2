"""Fixtures that many tests share: real servers, started once per test process and left by none."""

import contextlib
import csv
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import certifi
import hypothesis
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from app.config import settings as configuration
from app.config.settings import Settings
from app.running.processes import Addresses, running
from app.store.embedded_redis import embedded_redis
from tests.data import DOCUMENTS, SALES
from tests.examples import USUAL

# Machines are shared and slow for moments: an example may take its time. All else stays as it is (with CI set,
# Hypothesis repeats the same examples). `make test` takes "fast"; `tests.examples` keeps properties to it that say
# how many examples they need.
hypothesis.settings.register_profile("full", hypothesis.settings.default, deadline=None, max_examples=USUAL)
hypothesis.settings.register_profile("fast", hypothesis.settings.get_profile("full"), max_examples=10)
hypothesis.settings.load_profile("full")

# Who starts the tests in the background of a shell hands down that SIGINT is ignored; programs under test would too.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make chaos` kills a worker after every superstep; a plain run of the tests after some."""
    parser.addoption("--all-chaos", action="store_true", help="kill a worker after every superstep")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups come first, because one process runs all of each, then slow tests: no process is busy long after the
    others. Tests of a module stay together, because they share programs."""
    items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in ("xdist_group", "slow")])


@pytest.fixture(autouse=True, scope="session")
def _clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of whoever runs the tests may change their outcome. LangSmith's pytest plugin keeps its own if it is
    told to track tests; it would do so with any key, and fail without one."""
    with pytest.MonkeyPatch.context() as patch:
        tracking = os.environ.get("LANGSMITH_TEST_TRACKING", "false")
        kept = "LANGSMITH_" if tracking == "true" else "none"
        for name in [*configuration.names(), *(name for name in os.environ if name.startswith("MCP__"))]:
            if not name.startswith(kept):
                patch.delenv(name, raising=False)
        patch.setenv("LANGSMITH_TEST_TRACKING", tracking)
        # Every HTTP client reads all certificates that are trusted, for 50 ms. No test reaches anybody who has one.
        one = tmp_path_factory.mktemp("certificates") / "one.pem"
        one.write_text("".join(Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----\n")[:2]))
        patch.setenv("SSL_CERT_FILE", str(one))
        yield


@pytest.fixture
def usual_csv_limit() -> Iterator[None]:
    """The limit of a field that programs have, but for the sales server, which raises it where it is imported."""
    raised = csv.field_size_limit(131_072)
    yield
    csv.field_size_limit(raised)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of this test process: generated sales data, vectors, logs, the store."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def settings(data_dir: Path, _clean_environment: None) -> Settings:
    """Default settings over the tests' own business, with no .env file and a data folder of their own."""
    return Settings(_env_file=None, data_dir=data_dir, sales_data=SecretStr(str(SALES)), knowledge_base_data=DOCUMENTS)


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


@pytest.fixture
def beside(addresses: Addresses) -> dict[str, str]:
    """Settings of a program that uses the model and the servers of this test process. One that starts its own takes
    twice the time."""
    servers = {f"MCP__{name.upper()}__URL": url for name, url in addresses.servers.items()}
    return {"TOLLGATE_STAND_IN_URL": addresses.model, **servers}

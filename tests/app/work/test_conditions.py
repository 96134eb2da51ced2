"""A worker takes no jobs while something is wrong that none of them could mend, says so, and goes on by itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NoConnection

from app.store.clock import StoreClock
from app.work import conditions as module
from app.work.conditions import Conditions, Provider
from graphs.redis.breaker import Breaker
from graphs.tools import gateway, transport
from graphs.tools.gateway import ToolGateway
from graphs.tools.limits import ToolLimits
from tests.certificates import certificate
from tests.raw_server import raw_server, status

NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def _looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0)


@asynccontextmanager
async def conditions(client: Redis, url: str = NOWHERE, **servers: str) -> AsyncIterator[tuple[Conditions, list[str]]]:
    said: list[str] = []
    async with httpx.AsyncClient() as http, ToolGateway(servers, client=client) as calls:
        provider = Provider(url, Breaker(client, "provider", failures=1, open_s=0.1), http)
        yield Conditions(client, StoreClock(client), calls, list(servers), provider, said.append), said


@contextmanager
def swapped(module: Any, name: str, value: Any) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, value)
        yield


@pytest.mark.parametrize(
    ("broken", "mended", "why"),
    [
        (("CONFIG SET", "maxmemory", "1"), ("CONFIG SET", "maxmemory", "0"), "Redis has no memory left"),
        (("REPLICAOF", "127.0.0.1", "9"), ("REPLICAOF", "NO", "ONE"), "Redis is a replica"),
        (
            ("CONFIG SET", "min-replicas-to-write", "1"),
            ("CONFIG SET", "min-replicas-to-write", "0"),
            "Redis has lost its replicas",
        ),
    ],
    ids=["full", "read-only", "alone"],
)
async def test_a_store_that_takes_nothing_is_an_outage(
    redis_client: Redis, broken: tuple[str, ...], mended: tuple[str, ...], why: str
) -> None:
    admin: Any = redis_client.execute_command
    async with conditions(redis_client) as (found, said):
        assert await found.allowed(4, 1) == 4
        await admin(*broken)
        try:
            assert await found.allowed(4, 0) == 0
            assert await found.allowed(4, 0) == 0
        finally:
            await admin(*mended)
        assert await found.allowed(4, 0) == 4
    assert said[0].startswith(f"worker: takes no jobs: {why}")
    assert said[1:] == ["worker: takes jobs again"]


async def test_a_store_that_is_away_is_one_too(redis_client: Redis) -> None:
    async with conditions(redis_client) as (found, said):
        with swapped(redis_client, "set", failing(NoConnection("gone"))):
            assert await found.allowed(4, 0) == 0
        assert await found.allowed(4, 0) == 4
    assert "Redis does not answer (gone); start it" in said[0]


@pytest.mark.parametrize(("seconds", "which"), [(20, "20 s ahead of"), (-20, "20 s behind")])
async def test_a_machine_whose_clock_is_off_takes_nothing_and_still_knows_the_time(
    redis_client: Redis, seconds: float, which: str
) -> None:
    wrong = SimpleNamespace(**{**vars(time), "time": lambda: time.time() + seconds})
    async with conditions(redis_client) as (found, said):
        with swapped(__import__("app.store.clock").store.clock, "time", wrong):
            assert await found.allowed(4, 0) == 0
            assert abs(found.clock().timestamp() - time.time()) < 1
        assert await found.allowed(4, 0) == 4
    assert (
        said[0]
        == f"worker: takes no jobs: the clock of this machine is {which} that of the store; synchronise it (NTP)"
    )


async def test_after_an_outage_of_the_provider_one_job_goes_first(redis_client: Redis) -> None:
    async with raw_server(status("401 Unauthorized")) as there, conditions(redis_client, there.url) as (found, said):
        breaker = found.provider.breaker
        await breaker.failed()
        assert await found.allowed(4, 0) == 0
        await redis_client.hset("tollgate:breaker:provider", "retry_at", "1")  # its time is over
        assert (await found.allowed(4, 0), await found.allowed(3, 1)) == (1, 0)
        assert there.received[0].head[0].startswith("GET /models ")
        await breaker.succeeded()
        assert await found.allowed(3, 1) == 3
    assert said == ["worker: takes no jobs: the model provider does not answer", "worker: takes jobs again"]


async def test_a_provider_that_nobody_answers_at_is_not_asked_by_a_job(redis_client: Redis) -> None:
    async with conditions(redis_client) as (found, _):
        await found.provider.breaker.failed()
        await redis_client.hset("tollgate:breaker:provider", "retry_at", "1")
        assert await found.allowed(4, 0) == 0


async def test_a_provider_that_has_no_such_page_is_tried_by_one_job(redis_client: Redis) -> None:
    async with raw_server(status("500 Internal")) as there, conditions(redis_client, there.url) as (found, _):
        assert await found.allowed(4, 0) == 4
        await found.provider.breaker.failed()
        assert await found.allowed(4, 0) == 0
        await redis_client.hset("tollgate:breaker:provider", "retry_at", "1")
        assert (await found.allowed(4, 0), await found.allowed(3, 1)) == (1, 0)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("401 Unauthorized", "sales rejects our tokens; give this worker and that server the same TOLLGATE_MCP_SECRET"),
        ("502 Bad Gateway", "sales does not answer"),
        (None, "sales does not answer"),
    ],
    ids=["another secret", "a proxy alone", "away"],
)
async def test_a_source_that_cannot_be_asked_is_waited_for(redis_client: Redis, answer: str | None, why: str) -> None:
    async with raw_server(status(answer or "404 Not Found")) as there:
        url = there.url if answer else NOWHERE
        async with conditions(redis_client, sales=f"{url}/mcp") as (found, said):
            until = time.monotonic() + 10
            while await found.allowed(4, 0) and time.monotonic() < until:
                pass
            assert await found.allowed(4, 0) == 0
        assert said[-1].startswith(f"worker: takes no jobs: {why}")
    assert not await redis_client.exists("tollgate:breaker:mcp:sales"), "who looks is no call that failed"
    assert not await redis_client.hexists("tollgate:breaker:mcp:sales", "retry_at")  # it was seen before


@pytest.mark.slow
async def test_a_source_is_looked_at_with_the_certificates_that_calls_trust(
    redis_client: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, _ = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    for each in (gateway, transport):
        monkeypatch.setattr(each, "trusted", httpx.create_ssl_context)  # not what this process has read before
    async with (
        raw_server(status("404 Not Found"), tls) as there,
        conditions(redis_client, sales=f"https://localhost:{there.port}/mcp") as (found, _),
    ):
        until = time.monotonic() + 10
        while not any(each.head[0].startswith("GET /readyz") for each in there.received):
            assert time.monotonic() < until
            await found.allowed(4, 0)
            await asyncio.sleep(0.05)


async def test_a_source_that_says_too_much_ends_no_worker(redis_client: Redis) -> None:
    endless = status("200 OK", b" " * (ToolLimits().result_bytes + 1), content_type="application/json")
    async with raw_server(endless) as there, conditions(redis_client, sales=f"{there.url}/mcp") as (found, _):
        assert await found.allowed(4, 0) == 4


async def test_a_source_that_is_back_is_asked_when_its_breaker_lets_calls_through(redis_client: Redis) -> None:
    await Breaker(redis_client, "mcp:sales", failures=1).failed()
    async with (
        raw_server(status("404 Not Found")) as there,
        conditions(redis_client, sales=f"{there.url}/mcp") as (found, said),
    ):
        assert await found.allowed(4, 0) == 0
        await redis_client.delete("tollgate:breaker:mcp:sales")
        assert await found.allowed(4, 0) == 4
    assert said == ["worker: takes no jobs: sales does not answer", "worker: takes jobs again"]


def failing(error: Exception) -> Any:
    async def fails(*_: object, **__: object) -> None:
        raise error

    return fails


async def test_a_source_that_jobs_go_on_without_is_not_missed(redis_client: Redis) -> None:
    async with conditions(redis_client, sales=NOWHERE, web=NOWHERE) as (found, _):
        found.needed = ["sales"]
        assert set(await found.parts()) == {module.MODEL, module.CLOCK, "sales"}

"""What is wrong with the store is said as it is, wherever it shows; and one module decides what a failure of it is."""

import ast
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

import graphs
from graphs.errors import LedgerUnavailable
from graphs.redis.breaker import PROBE_LOOK_S, Breaker
from graphs.redis.failures import STORE_AWAY, STORE_FAILED, explained
from graphs.redis.rate_limit import RateLimit
from graphs.spending.ledger import Ledger
from graphs.tools.buckets import _wait
from tests.graphs.ledgers import TTL

LEDGER_JOB = "tollgate:{ledger}:job:job"
PROJECT = Path(graphs.__file__).parents[1]


@pytest.fixture
async def admin(redis_client: Redis) -> AsyncIterator[Any]:
    """Whoever may break the server; it is mended afterwards."""
    client: Any = redis_client  # its stubs do not know every command
    yield client
    for mended in ("REPLICAOF NO ONE", "ACL DELUSER app", "CONFIG SET maxmemory 0"):
        await client.execute_command(*mended.split())


async def _hurt(admin: Any, how: str) -> None:
    match how:
        case "forbidden":
            rights = "on >secret ~* &* +@all -hset -hincrby"
            await admin.execute_command("ACL", "SETUSER", "app", *rights.split())
        case "other type":
            await admin.set(LEDGER_JOB, "no hash", ex=TTL)
        case "full":
            await admin.config_set("maxmemory", "1")
        case "replica":
            await admin.execute_command("REPLICAOF", "127.0.0.1", "1")


REFUSALS = {
    "forbidden": "Redis forbids this user a command or a key (",
    "other type": "a key in Redis has a type that Tollgate did not write (",
    "full": "Redis has no memory left (",
    "replica": "Redis is a replica, which cannot be written to (",
}


@pytest.mark.parametrize("how", REFUSALS)
async def test_a_refusal_is_named_as_what_it_is_also_from_within_a_script(admin: Any, redis_url: str, how: str) -> None:
    await _hurt(admin, how)
    user = "unix://app:secret@" if how == "forbidden" else "unix://"
    async with Redis.from_url(redis_url.replace("unix://", user)) as client:
        with pytest.raises(STORE_FAILED) as alone:
            await client.hset(LEDGER_JOB, "steps", "1")
        with pytest.raises(LedgerUnavailable) as within:
            await Ledger(client, ttl_seconds=TTL).count("job", steps=1)

    assert explained(alone.value).startswith(REFUSALS[how])
    assert f"nothing may be spent: {REFUSALS[how]}" in str(within.value)
    assert "does not answer" not in f"{within.value}{explained(alone.value)}"
    assert not isinstance(alone.value, STORE_AWAY)


async def test_a_cluster_that_is_away_is_a_store_that_does_not_answer(unused_tcp_port: int) -> None:
    cluster = RedisCluster(host="127.0.0.1", port=unused_tcp_port, retry=Retry(NoBackoff(), 0))
    breaker = Breaker(cluster, "openai")
    bucket = RateLimit(cluster, per_minute=1, burst=1)  # type: ignore[arg-type]

    assert await breaker.admits()
    await breaker.failed()
    assert await breaker.wait_s() == PROBE_LOOK_S
    assert await _wait(bucket, "key") == 0
    with pytest.raises(LedgerUnavailable, match="nothing may be spent: Redis does not answer"):
        await Ledger(cluster, ttl_seconds=TTL).spend("job")


def test_nobody_else_decides_what_a_failure_of_the_store_is() -> None:
    own = {"RedisError", "RedisClusterException"}
    found = []
    for file in [*PROJECT.glob("app/**/*.py"), *PROJECT.glob("graphs/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            caught = [node.type] if isinstance(node, ast.ExceptHandler) and node.type else []
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
                caught = [*node.args]
            names = {ast.unparse(each).split(".")[-1] for one in caught for each in ast.walk(one)}
            found += [f"{file.relative_to(PROJECT)}:{node.lineno}" for _ in own & names]  # type: ignore[attr-defined]
    assert found == [], "catch STORE_FAILED of graphs/redis/failures.py there"

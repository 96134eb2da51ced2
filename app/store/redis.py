"""The Redis client, and a preflight check of the server."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

from app.errors import BadInput
from app.store.embedded_redis import RedisError
from graphs.redis.failures import STORE_AWAY, STORE_FAILED, explained

OLDEST_REDIS = (6, 2)
PINGS = 20
CONNECTIONS = 50
SLOW_MS = 5.0


class RedisUrlError(RedisError):
    """REDIS_URL is invalid. The message never repeats it, because it may contain a password."""


class RedisUnavailable(RedisError):
    """Redis at the address is unreachable, or refuses us."""


@dataclass(frozen=True)
class Problem:
    """A problem with a server, and its remedy. If it is `fatal`, Tollgate must not start."""

    what: str
    remedy: str
    fatal: bool

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"


def connect(url: str) -> aioredis.Redis:
    """A client for redis://, rediss:// or unix:// that returns bytes. Does not connect yet; close it with `aclose`.

    Replies time out after 10 s, so BLOCK must be shorter. After a lost connection or a timeout, a command is retried up
    to three times: commands must be idempotent.

    Raises `RedisUrlError`.
    """
    try:
        _check_path(url)
        # A burst of more commands than connections waits for one instead of failing.
        pool = aioredis.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=10,
            client_name="tollgate",
            socket_connect_timeout=3.0,
            socket_timeout=10.0,
            # No health_check_interval: it sends PING before the login, and if that is refused or the server is
            # loading, each retry starts its own retries, and connecting takes minutes.
            retry=Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.5), retries=3),
        )
        client = aioredis.Redis.from_pool(pool)
        # Unknown options in the URL fail only here.
        pool.make_connection()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, AttributeError):
        # Not chained: the library's message may quote part of the password.
        raise RedisUrlError(
            "REDIS_URL is not a Redis address; write redis://[user:password@]host:port/db, rediss://... or "
            "unix:///path/to/socket, with special characters in the password percent-encoded"
        ) from None
    return client


def _check_path(url: str) -> None:
    """Refuse `redis://host/nonsense`, which the library takes for database 0."""
    parts = urlsplit(url)
    path = parts.path.strip("/")
    if not (path if parts.scheme == "unix" else path.isdecimal() or not path):
        raise ValueError


async def preflight(client: aioredis.Redis) -> list[Problem]:
    """Problems with this server's role, version, eviction, persistence and latency.

    Takes about 25 round trips. Raises `RedisUnavailable` if the server is unreachable or refuses us.
    """
    try:
        return await _problems(client)
    except STORE_FAILED as error:
        raise _unavailable(client, error) from error


async def checked(client: aioredis.Redis, warn: Callable[[str], None]) -> None:
    """Run the preflight check, and warn of problems.

    Raises:
        BadInput: a problem is fatal.
        RedisUnavailable: it is unreachable or refuses us.
    """
    for problem in await preflight(client):
        if problem.fatal:
            raise BadInput(str(problem))
        warn(str(problem))


def _unavailable(client: aioredis.Redis, error: Exception) -> RedisUnavailable:
    options = client.connection_pool.connection_kwargs
    address = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
    embedded = ", or unset it to use the embedded one" if isinstance(error, STORE_AWAY) else ""
    return RedisUnavailable(f"Redis at {address} cannot be used: {explained(error)}{embedded}")


async def _problems(client: aioredis.Redis) -> list[Problem]:
    try:
        info = await client.info()
    except aioredis.ResponseError as error:
        what = f"could not read version, role, eviction policy and persistence of Redis ({error})"
        return [
            Problem(what, _by_hand("INFO", "6.2 or newer, noeviction, AOF on"), fatal=False),
            *await _slow(client),
        ]
    if info.get("loading"):
        return [Problem("Redis is still loading its data", "wait until it has finished", fatal=True)]
    return [
        *_wrong_role(info),
        *_too_old(info),
        *_evicts(info),
        *await _forgets(client, info),
        *await _slow(client),
    ]


def _wrong_role(info: Mapping[str, Any]) -> Iterator[Problem]:
    if info.get("role") == "slave":
        primary = f"{info.get('master_host')}:{info.get('master_port')}"
        yield Problem("Redis is a replica", f"point REDIS_URL at its primary, {primary}", fatal=True)


def _too_old(info: Mapping[str, Any]) -> Iterator[Problem]:
    # Valkey gives the Redis version it is compatible with: 7.2.4.
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        yield Problem(f"Redis {version} is too old", "install Redis 6.2 or newer, or any Valkey", fatal=True)


def _evicts(info: Mapping[str, Any]) -> Iterator[Problem]:
    policy = info.get("maxmemory_policy")
    if policy is None:
        what = "could not read the eviction policy of Redis"
        yield Problem(what, _by_hand("INFO memory", "noeviction"), fatal=False)
    elif policy != "noeviction":
        what = f"Redis may drop state and budgets when its memory is full (maxmemory-policy is {policy})"
        yield Problem(what, "run CONFIG SET maxmemory-policy noeviction, and keep it in its configuration", fatal=True)


async def _forgets(client: aioredis.Redis, info: Mapping[str, Any]) -> list[Problem]:
    if info.get("aof_enabled"):
        return []
    try:
        snapshots = (await client.config_get("save")).get("save")
    except aioredis.ResponseError as error:
        what = f"could not read whether Redis keeps its data over a restart ({error})"
        return [Problem(what, _by_hand("CONFIG", "append-only file or snapshots on"), fatal=False)]
    if snapshots:
        return []
    what = "Redis forgets all jobs and spending at a restart (no append-only file, no snapshots)"
    return [Problem(what, "run CONFIG SET appendonly yes, and keep it in its configuration", fatal=False)]


async def _slow(client: aioredis.Redis) -> list[Problem]:
    median = statistics.median([await _ping_ms(client) for _ in range(PINGS)])
    if median <= SLOW_MS:
        return []
    what = f"Redis is slow to reach: {median:.1f} ms for a round trip (median of {PINGS})"
    return [Problem(what, f"run Tollgate near it; under {SLOW_MS:.0f} ms is good", fatal=False)]


async def _ping_ms(client: aioredis.Redis) -> float:
    began = time.perf_counter()
    await client.ping()
    return (time.perf_counter() - began) * 1000


def _by_hand(command: str, wanted: str) -> str:
    return f"allow this user {command}, or make sure of it by hand: {wanted}"

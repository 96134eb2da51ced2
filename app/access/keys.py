"""API keys: who may call, for which tenant, and with which scopes.

A key reads `tg_<id>_<secret>`. The secret is 32 random bytes, so it is stored as plain SHA-256: a slow hash is for
guessable passwords, and nobody guesses 256 random bits. The stored hash is of no use to whoever reads it.

One hash per key, `tollgate:{keys}:key:<id>`, and the ids by age in `tollgate:{keys}:index`. `tollgate:{keys}:required`
remembers that there has been a key, so that revoking the last one lets nobody in. Keys are configuration: they have no
TTL, and their number is not bounded.
"""

import hashlib
import hmac
import re
import secrets
import string
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

from cachetools import TTLCache
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from app.errors import BadInput
from graphs.clock import utc_now

REVOKED_WITHIN_S = 5.0  # by then every process refuses a revoked key; open streams end within 20 s

_ANSWER_S = 1.0  # slower answers are not cached: they may be outdated
_REMEMBERED = 10_000
_INDEX, _REQUIRED = "tollgate:{keys}:index", "tollgate:{keys}:required"
_ID = re.compile(r"[a-z]{12}", re.ASCII)
_KEY = re.compile(r"tg_([a-z]{12})_[A-Za-z0-9_-]{43}", re.ASCII)
TENANT = r"[a-z0-9][a-z0-9_-]{0,39}"
_LONGEST_NAME = 80


class Scope(StrEnum):
    """What a key may do. No scope includes another."""

    SUBMIT = "submit"
    READ = "read"
    DECIDE = "decide"
    CANCEL = "cancel"
    DELETE = "delete"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret. `created_at` is UTC, ISO 8601."""

    id: str
    tenant: str
    scopes: frozenset[Scope]
    name: str
    created_at: str


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key, with the only copy of its secret."""

    key: Key
    secret: str = field(repr=False)


class Keys:
    """A deployment's keys. One instance per process, which caches verified keys for some seconds.

    Args:
        client: the Redis with the keys.
        now: the time, in UTC.
        timer: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        client: Redis,
        *,
        now: Callable[[], datetime] = utc_now,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._now = now
        self._timer = timer
        # By hash, without the secrets. Only valid keys, so that guesses evict none.
        self._verified: TTLCache[bytes, Key] = TTLCache(_REMEMBERED, REVOKED_WITHIN_S - _ANSWER_S, timer)

    async def create(self, tenant: str, scopes: Collection[str], name: str = "") -> NewKey:
        """Create a key. Only the return value has its secret.

        Raises:
            BadInput: the tenant, the name or a scope is invalid, or there is no scope.
            redis.exceptions.RedisError: Redis failed.
        """
        if not scopes or not set(scopes) <= set(Scope):
            raise BadInput(f"the scopes of a key are one or more of {', '.join(Scope)}")
        if len(name) > _LONGEST_NAME or not name.isprintable():
            raise BadInput(f"the name of a key has at most {_LONGEST_NAME} printable characters")
        now = self._now()
        # Letters only, so that log redaction does not mask it as a phone or card number.
        key_id = "".join(secrets.choice(string.ascii_lowercase) for _ in range(12))
        created_at = now.isoformat(timespec="seconds")
        key = Key(key_id, checked_tenant(tenant), frozenset(Scope(scope) for scope in scopes), name, created_at)
        secret = f"tg_{key_id}_{secrets.token_urlsafe(32)}"
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.hset(_stored_at(key_id), mapping=_written(key, secret))
            pipe.zadd(_INDEX, {key_id: now.timestamp()})
            pipe.set(_REQUIRED, 1)
            await pipe.execute()
        return NewKey(key, secret)

    async def list(self) -> tuple[Key, ...]:
        """All keys, oldest first. Raises redis.exceptions.RedisError."""
        found: Any = await self._client.zrange(_INDEX, 0, -1)
        ids = [each.decode() for each in found]
        async with self._client.pipeline(transaction=False) as pipe:
            for key_id in ids:
                pipe.hgetall(_stored_at(key_id))
            hashes = await pipe.execute()
        return tuple(_read(key_id, stored) for key_id, stored in zip(ids, hashes, strict=True) if stored)

    async def revoke(self, key_id: str) -> Key:
        """Delete a key. Every process refuses it within 5 s, and ends its event streams within 20 s.

        Raises:
            BadInput: there is no such key. redis.exceptions.RedisError: Redis failed; the key may or may not be
                revoked.
        """
        if not _ID.fullmatch(key_id):  # and not quoted: it may be the secret
            raise BadInput("a key's id is 12 lower-case letters; `tollgate keys list` shows it")
        stored = await self._stored(key_id)
        if not stored:
            raise BadInput(f"there is no key {key_id}; `tollgate keys list` shows the existing ones")
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.delete(_stored_at(key_id))
            pipe.zrem(_INDEX, key_id)
            pipe.set(_REQUIRED, 1)  # older versions did not set this when they made a key
            await pipe.execute()
        self._verified.clear()
        return _read(key_id, stored)

    async def required(self) -> bool:
        """Whether requests need a key: there is or was one, and `waive` has not been called since.

        Raises redis.exceptions.RedisError.
        """
        return bool(await self._client.exists(_REQUIRED, _INDEX))

    async def waive(self) -> None:
        """Allow requests without a key again, until one is created.

        Raises:
            BadInput: a key is not revoked yet.
            redis.exceptions.RedisError: Redis failed.
        """

        async def unless_there_is_one(pipe: Pipeline) -> None:
            if await pipe.zcard(_INDEX):  # sent at once, because the key is watched
                raise BadInput("there is a key that is not revoked; revoke it first (`tollgate keys list` shows it)")
            pipe.multi()  # type: ignore[no-untyped-call]
            pipe.delete(_REQUIRED)

        await self._client.transaction(unless_there_is_one, _INDEX)

    async def has(self, key_id: str) -> bool:
        """Whether this key exists and is not revoked. Raises redis.exceptions.RedisError."""
        return bool(await self._client.exists(_stored_at(key_id)))

    async def get(self, key_id: str) -> Key | None:
        """The key, or None if it does not exist or is revoked. Raises redis.exceptions.RedisError."""
        stored = await self._stored(key_id)
        return _read(key_id, stored) if stored else None

    async def verify(self, secret: str) -> Key | None:
        """The key with this secret, or None if it is invalid or revoked. Raises redis.exceptions.RedisError."""
        parts = _KEY.fullmatch(secret)
        if parts is None:
            return None
        hashed = _hash(secret)
        if (known := self._verified.get(hashed)) is not None:
            return known
        asked = self._timer()
        stored = await self._stored(parts[1])
        if not stored or not hmac.compare_digest(stored[b"sha256"], hashed):
            return None
        key = _read(parts[1], stored)
        if self._timer() - asked < _ANSWER_S:
            self._verified[hashed] = key
        return key

    async def _stored(self, key_id: str) -> Mapping[bytes, bytes]:
        return await cast("Awaitable[dict[bytes, bytes]]", self._client.hgetall(_stored_at(key_id)))


def checked_tenant(tenant: str) -> str:
    """The tenant's name, unchanged. Raises BadInput if it is invalid."""
    if not re.fullmatch(TENANT, tenant, re.ASCII):
        raise BadInput("a tenant's name has 1 to 40 of a-z, 0-9, _ and -, and begins with a letter or a digit")
    return tenant


def _stored_at(key_id: str) -> str:
    return f"tollgate:{{keys}}:key:{key_id}"


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _written(key: Key, secret: str) -> dict[Any, Any]:
    return {
        "sha256": _hash(secret),
        "tenant": key.tenant,
        "scopes": " ".join(sorted(key.scopes)),
        "name": key.name,
        "created_at": key.created_at,
    }


def _read(key_id: str, stored: Mapping[bytes, bytes]) -> Key:
    """A stored key. Scopes unknown to this version permit nothing."""
    scopes = stored[b"scopes"].decode().split()
    return Key(
        key_id,
        stored[b"tenant"].decode(),
        frozenset(scope for scope in Scope if scope in scopes),
        stored[b"name"].decode(),
        stored[b"created_at"].decode(),
    )

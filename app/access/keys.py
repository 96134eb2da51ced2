"""API keys: who may call, for which tenant, and what.

A key reads `tg_<id>_<secret>`. The secret is 32 random bytes, so one round of SHA-256 is enough to store: a slow hash
makes up for passwords that can be guessed, and nobody guesses 256 random bits. What is stored is of no use to whoever
reads it.

One hash per key, `tollgate:{keys}:key:<id>`, and their ids by age in `tollgate:{keys}:index`. That there has been one
is kept in `tollgate:{keys}:required`, so that revoking the last one lets nobody in. They are configuration: without a
time to live, and as many as an administrator makes.
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

REVOKED_WITHIN_S = 5.0  # after this a revoked key is refused by every process; open streams end within 20 s

_ANSWER_S = 1.0  # what Redis took longer to say is not remembered: it may be old
_REMEMBERED = 10_000
_INDEX, _REQUIRED = "tollgate:{keys}:index", "tollgate:{keys}:required"
_ID = re.compile(r"[a-z]{12}", re.ASCII)
_KEY = re.compile(r"tg_([a-z]{12})_[A-Za-z0-9_-]{43}", re.ASCII)
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)
_LONGEST_NAME = 80


class Scope(StrEnum):
    """What a key may do. None includes another."""

    SUBMIT = "submit"
    READ = "read"
    DECIDE = "decide"
    CANCEL = "cancel"
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
    """A key that was just made, and its only copy in the clear."""

    key: Key
    secret: str = field(repr=False)


class Keys:
    """The keys of a deployment. One instance per process: it remembers for some seconds whom it has verified.

    Args:
        client: where they are kept.
        now: the time, in UTC.
        timer: seconds that only ever grow.
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
        # By hash: the secret itself is not in it. Only valid keys are, so that guesses push none out.
        self._verified: TTLCache[bytes, Key] = TTLCache(_REMEMBERED, REVOKED_WITHIN_S - _ANSWER_S, timer)

    async def create(self, tenant: str, scopes: Collection[str], name: str = "") -> NewKey:
        """Make a key. Its secret is in what is returned and nowhere else.

        Raises:
            BadInput: the tenant, the name or a scope cannot be used, or there is no scope.
            redis.exceptions.RedisError: Redis does not answer.
        """
        if not scopes or not set(scopes) <= set(Scope):
            raise BadInput(f"the scopes of a key are one or more of {', '.join(Scope)}")
        if len(name) > _LONGEST_NAME or not name.isprintable():
            raise BadInput(f"the name of a key has at most {_LONGEST_NAME} printable characters")
        now = self._now()
        # Letters only: in a log nothing takes it for a phone or card number and masks it.
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
        """All keys, the oldest first. Raises redis.exceptions.RedisError."""
        found: Any = await self._client.zrange(_INDEX, 0, -1)
        ids = [each.decode() for each in found]
        async with self._client.pipeline(transaction=False) as pipe:
            for key_id in ids:
                pipe.hgetall(_stored_at(key_id))
            hashes = await pipe.execute()
        return tuple(_read(key_id, stored) for key_id, stored in zip(ids, hashes, strict=True) if stored)

    async def revoke(self, key_id: str) -> Key:
        """Delete a key; every process refuses it within 5 s, and ends its streams of events within 20 s.

        Raises:
            BadInput: there is no such key.
            redis.exceptions.RedisError: Redis does not answer; the key may be revoked or not.
        """
        if not _ID.fullmatch(key_id):  # and not repeated: somebody may have given the secret
            raise BadInput("the id of a key is 12 small letters; `tollgate keys list` shows it")
        stored = await self._stored(key_id)
        if not stored:
            raise BadInput(f"there is no key {key_id}; `tollgate keys list` shows those that there are")
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.delete(_stored_at(key_id))
            pipe.zrem(_INDEX, key_id)
            pipe.set(_REQUIRED, 1)  # a key that an older version made has left no other trace
            await pipe.execute()
        self._verified.clear()
        return _read(key_id, stored)

    async def required(self) -> bool:
        """Whether a request needs a key: there is one, or has been, and nobody has said `waive` since.

        Raises redis.exceptions.RedisError.
        """
        return bool(await self._client.exists(_REQUIRED, _INDEX))

    async def waive(self) -> None:
        """Let requests without a key in again, until there is one.

        Raises:
            BadInput: there is a key that is not revoked.
            redis.exceptions.RedisError: Redis does not answer.
        """

        async def unless_there_is_one(pipe: Pipeline) -> None:
            if await pipe.zcard(_INDEX):  # the pipeline sends this at once: the key is watched
                raise BadInput("there is a key that is not revoked; `tollgate keys list` shows it")
            pipe.multi()  # type: ignore[no-untyped-call]
            pipe.delete(_REQUIRED)

        await self._client.transaction(unless_there_is_one, _INDEX)

    async def has(self, key_id: str) -> bool:
        """Whether this key is there, and not revoked. Raises redis.exceptions.RedisError."""
        return bool(await self._client.exists(_stored_at(key_id)))

    async def verify(self, secret: str) -> Key | None:
        """The key that this is, or None when it is none (any more). Raises redis.exceptions.RedisError."""
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
    """The name of a tenant as it was given. Raises BadInput when it is none."""
    if not _TENANT.fullmatch(tenant):
        raise BadInput("the name of a tenant is 1 to 40 of a-z, 0-9, _ and -, and begins with a letter or a digit")
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
    """A scope that this version does not know permits nothing."""
    scopes = stored[b"scopes"].decode().split()
    return Key(
        key_id,
        stored[b"tenant"].decode(),
        frozenset(scope for scope in Scope if scope in scopes),
        stored[b"name"].decode(),
        stored[b"created_at"].decode(),
    )

"""Sessions of browsers: a random cookie, of which Redis keeps the hash, stands for an API key until one logs out.

A session ends with its key: the key is looked up each time, so revoking it locks the browser out.
"""

import hashlib
import secrets
from typing import Any

from redis.asyncio import Redis

from app.access.keys import Key, Keys

LASTS_S = 12 * 3600


class Sessions:
    """All sessions of a deployment."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client: Any = client  # its stubs do not know which replies are bytes
        self._keys = keys

    async def begin(self, key: Key) -> str:
        """A new session's cookie. Raises redis.exceptions.RedisError."""
        cookie = secrets.token_urlsafe(32)
        await self._client.set(_stored_at(cookie), key.id, ex=LASTS_S)
        return cookie

    async def key(self, cookie: str) -> Key | None:
        """The session's key; None if the session is over or the key is revoked. Raises redis.exceptions.RedisError."""
        key_id = await self._client.get(_stored_at(cookie))
        return await self._keys.get(key_id.decode()) if key_id else None

    async def end(self, cookie: str) -> None:
        """Log out. Raises redis.exceptions.RedisError."""
        await self._client.delete(_stored_at(cookie))


def _stored_at(cookie: str) -> str:
    return f"tollgate:{{console}}:session:{hashlib.sha256(cookie.encode()).hexdigest()}"

"""A Lua script, sent to Redis once and then called by its hash."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import NoScriptError


class Script:
    """A script for any client. All its keys share a hash tag, so that one cluster node has them."""

    def __init__(self, *paths: Path) -> None:
        """Concatenate these files; shared functions come first."""
        self._text = "".join(path.read_text(encoding="utf-8") for path in paths)
        self._sha = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: Redis | RedisCluster, keys: Sequence[str], *arguments: Any) -> Any:
        """What the script returns. Raises RedisError."""
        call: Any = client
        try:
            return await call.evalsha(self._sha, len(keys), *keys, *arguments)
        except NoScriptError:  # EVAL loads it on the node with the keys
            return await call.eval(self._text, len(keys), *keys, *arguments)

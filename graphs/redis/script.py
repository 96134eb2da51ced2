"""A Lua script that Redis keeps: sent once, then called by its hash."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import NoScriptError


class Script:
    """A script on any client. All its keys have one hash tag, so that on a cluster one node has them."""

    def __init__(self, *paths: Path) -> None:
        """The text of these files, one after the other: functions that scripts share come first."""
        self._text = "".join(path.read_text(encoding="utf-8") for path in paths)
        self._sha = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: Redis | RedisCluster, keys: Sequence[str], *arguments: Any) -> Any:
        """What the script returns. Raises RedisError."""
        call: Any = client
        try:
            return await call.evalsha(self._sha, len(keys), *keys, *arguments)
        except NoScriptError:  # EVAL loads it on the node that has the keys
            return await call.eval(self._text, len(keys), *keys, *arguments)

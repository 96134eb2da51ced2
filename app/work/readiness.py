"""Whether jobs are accepted and can be run: whether the store accepts writes, and what workers report as missing.

Workers know what jobs need and where it is; the API, which publishes readiness, may not even reach it. So each worker
reports every two seconds that it is alive, and for each needed part whether it is available. Reports expire by the
store's clock. If there never was a worker, none is missed.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from redis.asyncio import Redis

from app.work.queue_worker import ended
from graphs.redis.failures import STORE_FAILED, briefly, explained
from graphs.state import Json

logger = logging.getLogger(__name__)

TELL_EVERY_S = 2.0
WORKER_MS, PART_MS = 10_000, 5_000  # validity of a report; a part is available if one worker has it
MISSED_S = 3600  # for which the last worker is missed
LOOK_S = 2.0
OK = "ok"
UNUSABLE = "unusable (a worker's log says why)"

Needs = Callable[[], Awaitable[Mapping[str, bool]]]
Replicas = dict[str, list[Json]]  # by MCP server


def _key(says: str, part: str) -> str:
    return f"tollgate:{{ready}}:{says}:{part}"


_REPLICAS = _key("knows", "replicas")


@contextlib.asynccontextmanager
async def telling(client: Redis, needs: Needs, replicas: Callable[[], Replicas] = dict) -> AsyncIterator[None]:
    """Report until the block ends that this worker is alive, which parts named by `needs` it has, and what it knows of
    the MCP servers' replicas."""

    async def tell() -> None:
        while True:
            try:
                await _tell(client, await needs(), replicas())
            except STORE_FAILED:  # readers see that too
                pass
            except Exception:
                logger.exception("this worker's readiness cannot be reported; retrying")
            await asyncio.sleep(TELL_EVERY_S)

    task = asyncio.create_task(tell(), name="says what this worker lacks")
    try:
        yield
    finally:
        await ended(task)


async def _tell(client: Redis, found: Mapping[str, bool], replicas: Replicas) -> None:
    async with client.pipeline(transaction=False) as pipe:
        pipe.set(_key("had", "worker"), 1, ex=MISSED_S)
        pipe.set(_key("has", "worker"), 1, px=WORKER_MS)
        pipe.set(_REPLICAS, json.dumps(replicas), px=WORKER_MS)
        for part, there in found.items():
            pipe.set(_key("has" if there else "lacks", part), 1, px=PART_MS)
        await pipe.execute()


class Readiness:
    """The readiness of the deployment, as far as this process knows.

    Args:
        client: the store.
        parts: names of the parts that jobs may need.
    """

    def __init__(self, client: Redis, parts: tuple[str, ...]) -> None:
        self._client = client
        self._parts = parts
        self._look: asyncio.Task[dict[str, str]] | None = None
        self._told: dict[str, str] = {}

    async def parts(self) -> dict[str, str]:
        """Each known part by name: `OK`, or what is wrong, safe for everyone.

        Costs one round trip, shared by concurrent callers, and at most two seconds.
        """
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._looked())
        return await asyncio.shield(self._look)

    async def replicas(self) -> Replicas:
        """The MCP servers' replicas, as the worker knows them that reported last. Raises RedisError."""
        told = await self._client.get(_REPLICAS)
        return json.loads(told) if told else {}

    async def _looked(self) -> dict[str, str]:
        why = ""
        try:
            async with asyncio.timeout(LOOK_S):
                found = {"store": OK} | await self._said()
        except TimeoutError:
            found = {"store": "Redis does not answer"}
        except STORE_FAILED as error:
            found, why = {"store": briefly(error)}, explained(error)
        if found != self._told and (missing := lacking(found)):
            logger.warning("not ready: %s", why or missing)
        self._told = found
        return found

    async def _said(self) -> dict[str, str]:
        """The workers' reports. Raises RedisError, also when the store is read-only."""
        names = ("worker", *self._parts)
        async with self._client.pipeline(transaction=False) as pipe:
            # A write that changes nothing, as there is no such key, but is refused like any other.
            pipe.set(_key("no", "write"), 1, xx=True, px=1)
            for says in ("has", "lacks"):
                pipe.mget([_key(says, name) for name in names])
            pipe.get(_key("had", "worker"))
            _, has, lacks, had_worker = await pipe.execute()
        state = {name: OK if has[at] else UNUSABLE for at, name in enumerate(names) if has[at] or lacks[at]}
        return {"worker": "none is running"} | state if had_worker else state


def lacking(parts: Mapping[str, str]) -> str:
    """What is wrong, in one line; empty if nothing is."""
    return "; ".join(f"{name}: {state}" for name, state in parts.items() if state != OK)

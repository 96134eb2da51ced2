"""Rate limits of a server's tools, shared by all processes: token buckets in Redis."""

import asyncio
from dataclasses import dataclass, field

from redis.asyncio import Redis

from graphs.errors import ServerUnavailable
from graphs.redis.failures import STORE_FAILED
from graphs.redis.rate_limit import RateLimit
from graphs.tools.limits import ToolLimits
from safe_http.turns import Turns

BURST_SHARE = 10  # a bucket holds a tenth of the calls per minute


@dataclass(eq=False)
class _Bucket:
    """A bucket, and the line of callers that found it empty, of which one at a time retries."""

    key: str
    rate: RateLimit
    line: Turns = field(default_factory=lambda: Turns(lambda: 1))


class ToolBuckets:
    """The token buckets of one server's tools."""

    def __init__(self, server: str, limits: ToolLimits, client: Redis) -> None:
        self._server = server
        self._limits = limits
        self._client = client
        self._buckets: dict[str, _Bucket] = {}

    async def take(self, tenant: str, tool: str, until: float) -> None:
        """Wait for a token until the deadline; tenants take turns. Raises ServerUnavailable."""
        bucket = self._bucket(tool)
        if not bucket.line.under_way and not await _wait(bucket.rate, bucket.key):
            return
        said = f"{self._server}.{tool} is rate limited over all jobs together; go on without it"
        try:
            async with asyncio.timeout_at(until), bucket.line.turn(tenant):
                while wait := await _wait(bucket.rate, bucket.key):
                    if asyncio.get_running_loop().time() + wait > until:
                        raise ServerUnavailable(said)
                    await asyncio.sleep(wait)
        except TimeoutError as late:
            raise ServerUnavailable(said) from late

    def _bucket(self, tool: str) -> _Bucket:
        if tool not in self._buckets:
            name = f"{self._server}.{tool}"
            rate = self._limits.rates.get(name, self._limits.per_minute)
            limit = RateLimit(self._client, per_minute=rate, burst=max(1, rate // BURST_SHARE))
            self._buckets[tool] = _Bucket(f"tool:{name}", limit)
        return self._buckets[tool]


async def _wait(bucket: RateLimit, key: str) -> float:
    """Seconds until the call is allowed; 0 when Redis fails, because then the ledger refuses."""
    try:
        return (await bucket.take(key)).retry_after_s or 0.0
    except STORE_FAILED:
        return 0.0

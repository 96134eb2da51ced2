"""What the store knows of all processes together: queue, questions, dead letters, money of the day, circuits.

Each API tells them to Prometheus, so that they are there while no worker is.
"""

from collections.abc import Mapping

from app.config.settings import Settings
from app.work.service import Service
from graphs.redis.breaker import Breaker


async def gauges(service: Service) -> dict[str, float]:
    """Numbers by metric name. Raises RedisError, LedgerUnavailable."""
    today = await service.spending(None)
    return await service.sizes() | {
        "day_spent_usd": today.spent_usd,
        "day_reserved_usd": today.reserved_usd,
        "day_limit_usd": today.limit_usd,
        "day_projected_usd": today.projection.high_usd if today.projection else today.spent_usd,
    }


async def open_circuits(circuits: Mapping[str, Breaker]) -> dict[str, float]:
    """1 for each circuit that is open, until a probe has succeeded; 0 for a closed one. Raises RedisError."""
    return {name: float(await breaker.wait_s() is not None) for name, breaker in circuits.items()}


def circuits(settings: Settings, service: Service) -> dict[str, Breaker]:
    """The circuit breakers of the providers and of the configured MCP servers, by name."""
    model = service.deps.model
    providers = {"model": model, "fallback": model.fallback}
    found = {name: each.toll.breaker for name, each in providers.items() if each}
    servers = {f"mcp_{name}": Breaker(service.client, f"mcp:{name}", now=service.deps.now) for name in settings.servers}
    return found | servers

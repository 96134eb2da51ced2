from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.billing_provider import Provider, billing
from tests.graphs.gates import Gate, gate


@pytest.fixture
def provider() -> Any:
    with billing(Provider()) as served:
        yield served


@pytest.fixture
async def toll(provider: Provider, redis_client: Redis) -> AsyncIterator[Gate]:
    async with gate(provider, redis_client) as built:
        yield built

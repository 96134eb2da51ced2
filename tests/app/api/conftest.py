"""The API for tests that need no settings of their own."""

from collections.abc import AsyncIterator

import pytest

from app.config.settings import Settings
from tests.app.api.in_process import Api, api_over


@pytest.fixture
async def api(settings: Settings, redis_url: str) -> AsyncIterator[Api]:
    """The API on a loopback address, over an empty store."""
    async with api_over(settings, redis_url) as api:
        yield api

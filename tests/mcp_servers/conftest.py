"""Servers that several tests of the MCP servers share."""

from collections.abc import Iterator

import pytest

from tests.mcp_servers.postgres_server import Server, postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A real Postgres, started once per test process."""
    with postgres() as server:
        yield server


@pytest.fixture
def shop(postgres_server: Server) -> Iterator[str]:
    """An empty database with a role of the same name."""
    with postgres_server.database("shop") as name:
        yield name

"""Servers that several tests of the MCP servers share."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.mcp_servers import slow_server
from tests.mcp_servers.postgres_server import Server, postgres
from tests.mcp_servers.program import Listening, Program, Serve, Start, served, served_here


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


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts `slow_server` as a program with these options and settings."""

    def started(*options: str, **settings: str) -> AbstractContextManager[Program]:
        return served("tests.mcp_servers.slow_server", tmp_path, "--folder", str(tmp_path), *options, **settings)

    return started


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Serves `slow_server` with these options in this process."""

    def serving(*options: str) -> AbstractContextManager[Listening]:
        return served_here(slow_server.build(tmp_path), *options)

    return serving

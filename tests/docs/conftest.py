"""Checkouts in which commands of the pages are run."""

from pathlib import Path

import pytest

from app.running.processes import Addresses
from tests.docs.pages import copied_to, settings_for


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all commands that leave it as it is."""
    return copied_to(tmp_path_factory.mktemp("pages"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """One of its own, for a test that changes it."""
    return copied_to(tmp_path)


@pytest.fixture(scope="session")
def beside(addresses: Addresses) -> dict[str, str]:
    """Settings with which a command uses the MCP servers and the model that run already, and starts none."""
    return settings_for(addresses)

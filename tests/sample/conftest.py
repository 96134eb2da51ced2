"""The sample business in place of the tests' own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config.settings import Settings
from app.running.processes import Addresses, running


@pytest.fixture(scope="session")
def settings(data_dir: Path, _clean_environment: None) -> Settings:
    """Default settings, which name the sample's data."""
    return Settings(_env_file=None, data_dir=data_dir / "sample")


@pytest.fixture(scope="session")
def addresses(settings: Settings) -> Iterator[Addresses]:
    """The stand-in model and the MCP servers over the sample."""
    with running(settings) as found:
        yield found

"""The sample business in place of the tests' own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config.settings import Settings
from app.running.processes import Addresses, running
from mcp_servers.sales import own_data
from sample import SALES


@pytest.fixture(scope="session")
def settings(data_dir: Path, _clean_environment: None) -> Settings:
    """Default settings, which name the sample's data."""
    return Settings(_env_file=None, data_dir=data_dir / "sample")


@pytest.fixture(scope="session")
def generated(settings: Settings) -> Path:
    """The sample sales, generated once per test process, which takes two seconds."""
    database, _ = own_data.load(SALES, settings.data_dir)
    return database


@pytest.fixture(scope="module")
def with_sales(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that has them: a copy, because DuckDB shares an open file with the mode of who opened it first."""
    folder = tmp_path_factory.mktemp("with-sales")
    shutil.copytree(generated.parent, folder / generated.parent.name)
    return folder


@pytest.fixture(scope="session")
def addresses(settings: Settings) -> Iterator[Addresses]:
    """The stand-in model and the MCP servers over the sample."""
    with running(settings) as found:
        yield found

"""Checkouts in which commands of the pages are run."""

from pathlib import Path

import pytest

from tests.docs.pages import copied_to


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all commands that leave it as it is."""
    return copied_to(tmp_path_factory.mktemp("pages"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """One of its own, for a test that changes it."""
    return copied_to(tmp_path)

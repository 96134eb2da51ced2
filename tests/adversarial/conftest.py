"""One deployment over the hostile data, in which all of its questions are asked at once."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.config.settings import Settings
from app.running.processes import Addresses, services
from tests.adversarial.cases import CASES, LANGUAGES
from tests.adversarial.hostile_data import written_to
from tests.adversarial.judged import Ended, asked

SECRET = "a-secret-that-no-report-may-tell-0123456789"


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory, _clean_environment: None) -> Settings:
    """Settings over the hostile library and table."""
    folder: Path = tmp_path_factory.mktemp("hostile")
    library, table = written_to(folder)
    own = Settings(
        _env_file=None,
        data_dir=folder / "data",
        sales_data=SecretStr(str(table)),
        knowledge_base_data=library,
        mcp_secret=SecretStr(SECRET),
    )
    return own.model_copy(update={"on_limit": "finish_partial"})


@pytest.fixture(scope="session")
def deployment(hostile: Settings) -> Iterator[tuple[str, Addresses]]:
    """Its Redis, and its programs."""
    with services(hostile) as running:
        yield running


@pytest.fixture(scope="session")
def ended(hostile: Settings, deployment: tuple[str, Addresses]) -> Mapping[str, Ended]:
    """The jobs, by question."""
    return asyncio.run(asked(hostile, *deployment, [*(each.question for each in CASES), *LANGUAGES]))

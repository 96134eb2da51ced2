"""Schemathesis: what the OpenAPI document promises is kept, for requests that it allows and for others."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import hypothesis
import pytest
import schemathesis
from prometheus_client import CollectorRegistry
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished

from app.api import create_app
from app.api.backend import opened_backend
from app.config.settings import Settings
from safe_http.serving import HttpServer
from tests.app.api.in_process import UNHURRIED, api_over

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def few_examples() -> Iterator[None]:
    """Ten of each route, beside those that cover its schema. Schemathesis keeps to Hypothesis' profile."""
    usual = hypothesis.settings.get_current_profile_name()
    hypothesis.settings.load_profile("fast")
    yield
    hypothesis.settings.load_profile(usual)


@pytest.fixture(scope="module")
def contract(settings: Settings, redis_url: str) -> Iterator[tuple[str, str]]:
    """The document as the API serves it on a socket, and a key."""
    secret = asyncio.run(_prepared(settings, redis_url))
    given = settings.model_copy(update=UNHURRIED)
    opening = opened_backend(given, redis_url, lambda _: None)
    app = create_app(given, opening, loopback=True, registry=CollectorRegistry())
    server = HttpServer(app, ending_s=1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/openapi.json", secret
        finally:
            server.should_exit = True
            thread.join()


async def _prepared(settings: Settings, redis_url: str) -> str:
    async with api_over(settings, redis_url) as api:
        return await api.key()


@pytest.mark.timeout(400)  # many hundred requests
@pytest.mark.usefixtures("few_examples")
def test_the_contract_is_kept(contract: tuple[str, str]) -> None:
    url, secret = contract
    config = SchemathesisConfig.from_dict(
        {
            "headers": {"Authorization": f"Bearer {secret}"},
            "continue-on-failure": True,
            "suppress-health-check": ["filter_too_much"],  # of slugs there are few
            "request-timeout": 5,
            "generation": {"database": "none"},
            # It searches for seconds for an id in a path that is no string, and there is none.
            "operations": [{"include-path-regex": "_id}(?!/decision)", "phases": {"coverage": {"enabled": False}}}],
        }
    )
    schema = schemathesis.openapi.from_url(url, config=config).exclude(path="/v1/jobs/{job_id}/events")  # has no end
    failures: list[str] = []
    asked = 0
    for event in from_schema(schema).execute():
        if isinstance(event, NonFatalError):
            failures.append(f"{event.label}: {event.value!r}")
        if isinstance(event, FatalError):
            raise event.exception
        if isinstance(event, ScenarioFinished):
            asked += len(event.recorder.interactions)
            failures += list(_failures(event))
    assert failures == []
    assert asked > 200


def _failures(event: ScenarioFinished) -> Iterator[str]:
    for checks in event.recorder.checks.values():
        for check in checks:
            if check.failure_info is not None:
                yield f"{event.phase.value} {check.name}: {check.failure_info.failure} {check.failure_info.code_sample}"

"""With LangSmith's own settings a job is traced; without them nothing is built and nothing is sent."""

import contextlib
import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.config.settings import Settings
from app.observing.telemetry import tracing
from tests.app.command_line import tollgate
from tests.http_server import served

ADDRESS = "jane.doe@example.org"
CONFIG = {
    "use_multipart_endpoint": False,
    "size_limit": 100,
    "size_limit_bytes": 20_000_000,
    "scale_up_qsize_trigger": 1000,
    "scale_up_nthreads_limit": 16,
    "scale_down_nempty_trigger": 4,
}


@contextlib.contextmanager
def ingest() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A server that takes what a LangSmith client sends; its address, and the requests it got."""
    taken: list[tuple[str, bytes]] = []

    async def take(request: Request) -> JSONResponse:
        body = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        taken.append((f"{request.method} {request.url.path} {request.headers.get('content-encoding', '')}", body))
        return JSONResponse({"version": "0.12.0", "batch_ingest_config": CONFIG})

    app = Starlette(routes=[Route("/{path:path}", take, methods=["GET", "POST", "PATCH"])])
    with served(app) as address:
        yield address, taken


def test_without_settings_there_is_no_tracer(settings: Settings) -> None:
    with tracing(settings) as handlers:
        assert handlers == []


@pytest.mark.slow
@pytest.mark.parametrize("tracing", ["true", "false"])
def test_a_job_is_traced_with_its_id_agents_and_limits(tmp_path: Path, beside: dict[str, str], tracing: str) -> None:
    with ingest() as (url, taken):
        ended = tollgate(
            tmp_path,
            "run",
            f"What was our revenue in 2024? Ask {ADDRESS}.",
            "--json",
            **beside,
            LANGSMITH_TRACING=tracing,
            LANGSMITH_API_KEY="ls-test",
            LANGSMITH_ENDPOINT=url,
        )
    assert ended.returncode == 0, ended.stderr
    job_id = json.loads(ended.stdout)["job_id"]
    assert all(ADDRESS.encode() not in body for _, body in taken)
    if tracing == "false":
        assert taken == []
        return
    runs = [run for _, body in taken for run in _posted(body)]
    job = next(run for run in runs if run["name"] == "research job")
    metadata = job["extra"]["metadata"]
    assert metadata["job_id"] == job_id
    assert metadata["limit_budget_micro_usd"] == 250_000
    assert "tollgate" in job["tags"]
    assert {run["name"] for run in runs} >= {"supervisor", "budget", "sales", "verify", "report", "finish"}
    agents = {run["extra"]["metadata"].get("agent") for run in runs}
    assert "sales" in agents


@pytest.mark.slow
def test_a_tracing_outage_does_not_hold_up_the_job(tmp_path: Path, beside: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ended = tollgate(
            tmp_path,
            "run",
            "What was our revenue in 2024?",
            **beside,
            LANGSMITH_TRACING="true",
            LANGSMITH_API_KEY="ls-test",
            LANGSMITH_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}",
        )
    assert ended.returncode == 0, ended.stderr
    assert "answered (completed)" in ended.stdout


def _posted(body: bytes) -> list[dict[str, Any]]:
    with contextlib.suppress(ValueError):
        return [run for run in json.loads(body).get("post", []) if "name" in run]
    return []

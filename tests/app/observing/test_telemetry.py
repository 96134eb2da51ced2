"""With their own settings jobs are traced to LangSmith and OpenTelemetry; without them nothing is built or sent."""

import asyncio
import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import langsmith
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.commands import doctor
from app.config.settings import Settings
from app.observing import spans
from app.observing.redaction import Redaction
from app.observing.telemetry import FLUSH_S, tracing
from mcp_servers.base.tracing import is_on
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


def test_without_langsmith_no_call_is_handed_to_a_thread_for_it(settings: Settings) -> None:
    async def called() -> list[str]:
        await langsmith.traceable(name="a call of a middleware")(asyncio.sleep)(0)
        return [each.name for each in threading.enumerate() if each.name.startswith("asyncio_")]

    assert asyncio.run(called())
    with tracing(settings, "worker"):
        assert asyncio.run(called()) == []


def test_without_settings_there_is_no_tracer(settings: Settings) -> None:
    with tracing(settings, "test") as handlers:
        assert handlers == []
        assert not isinstance(trace.get_tracer_provider(), TracerProvider)


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
            OTEL_EXPORTER_OTLP_ENDPOINT=url if tracing == "true" else "",
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
    spans = next(body for told, body in taken if told.startswith("POST /v1/traces"))
    assert bytes.fromhex(metadata["trace_id"]) in spans, "OpenTelemetry has it under the same id"
    assert metadata["limit_budget_micro_usd"] == 250_000
    assert "tollgate" in job["tags"]
    assert {run["name"] for run in runs} >= {"supervisor", "budget", "sales", "verify", "report", "finish"}
    agents = {run["extra"]["metadata"].get("agent") for run in runs}
    assert "sales" in agents


@pytest.mark.slow
def test_a_tracing_outage_does_not_hold_up_the_job(tmp_path: Path, beside: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nobody = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        ended = tollgate(
            tmp_path,
            "run",
            "What was our revenue in 2024?",
            **beside,
            LANGSMITH_TRACING="true",
            LANGSMITH_API_KEY="ls-test",
            LANGSMITH_ENDPOINT=nobody,
            OTEL_EXPORTER_OTLP_ENDPOINT=nobody,
        )
    assert time.monotonic() - began < FLUSH_S + spans.FLUSH_S + 20
    assert ended.returncode == 0, ended.stderr
    assert "answered (completed)" in ended.stdout


def test_what_is_exported_has_no_secrets() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans.Redacting(kept, Redaction(["a secret of ours"]))))
    said = f"a secret of ours, {ADDRESS}"
    context = SpanContext(1, 2, is_remote=True)
    with provider.get_tracer("test").start_as_current_span(said, links=[Link(context, {"said": said})]) as span:
        span.set_attributes({"said": said, "password": "x", "list": [said, "harmless"], "number": 7, "yes": True})
        span.add_event(said, {"said": said})
        span.set_status(Status(StatusCode.ERROR, said))
    (exported,) = kept.get_finished_spans()
    text = exported.to_json()
    assert "a secret of ours" not in text
    assert ADDRESS not in text
    assert exported.attributes
    assert (exported.attributes["password"], exported.attributes["number"], exported.attributes["yes"]) == (
        "[secret]",
        7,
        True,
    )
    assert (exported.context, exported.start_time) == (span.get_span_context(), span.start_time)  # type: ignore[attr-defined]
    assert "[secret]" in str(exported.status.description)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "off; OTEL_EXPORTER_OTLP_ENDPOINT or LANGSMITH_TRACING=true turns it on"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://me:hunter2@collector:4318/"},
            "OpenTelemetry: spans without contents to https://collector:4318/v1/traces",
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector/spans?key=hunter2",
                "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only",
            },
            "OpenTelemetry: spans with contents, redacted, to https://collector/spans",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp"},
            "OpenTelemetry: spans without contents to http://localhost:4318/v1/traces",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"},
            "off; OTEL_EXPORTER_OTLP_ENDPOINT or LANGSMITH_TRACING=true turns it on",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"},
            "off; OTEL_EXPORTER_OTLP_ENDPOINT or LANGSMITH_TRACING=true turns it on",
        ),
    ],
)
def test_the_doctor_says_what_is_on_and_where_it_goes(
    given: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert [line.found for line in doctor.tracing(Settings(_env_file=None))] == [told]
    assert is_on(given) is not told.startswith("off"), "MCP servers agree"


def _posted(body: bytes) -> list[dict[str, Any]]:
    with contextlib.suppress(ValueError):
        return [run for run in json.loads(body).get("post", []) if "name" in run]
    return []

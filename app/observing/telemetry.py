"""Tracing to an OpenTelemetry collector and to LangSmith, each if its own settings enable it. Otherwise nothing is
built or sent.

Secrets and personal data are redacted, as in events and logs.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any

import langsmith
from langchain_core.callbacks import BaseCallbackHandler

from app.config.settings import Settings
from app.observing.redaction import Redaction

FLUSH_S = 10.0  # an outage of the tracing service may lose traces, but not delay the job for long
TIMEOUT_MS = 5000


@contextlib.contextmanager
def tracing(settings: Settings, service: str) -> Iterator[list[BaseCallbackHandler]]:
    """Export the process's spans as this service's; yield the callback handlers for every run. Leaving flushes what is
    queued."""
    with _spans(settings, service), _langsmith(settings) as handlers:
        yield handlers


@contextlib.contextmanager
def _spans(settings: Settings, service: str) -> Iterator[None]:
    if not settings.spans_endpoint:
        yield
        return
    from app.observing.spans import exporting  # noqa: PLC0415  a slow import, for tracing only

    with exporting(service, Redaction(settings.secrets)):
        yield


@contextlib.contextmanager
def _langsmith(settings: Settings) -> Iterator[list[BaseCallbackHandler]]:
    """The LangSmith tracer, or none."""
    if not settings.langsmith_tracing:
        # LangChain wraps each call of a middleware for LangSmith, which hands it to a thread and back, also when off.
        langsmith.set_runtime_overrides(aio_to_thread=_at_once)
        try:
            yield []
        finally:
            langsmith.set_runtime_overrides()
        return
    from langchain_core.tracers import LangChainTracer  # noqa: PLC0415  slow imports, for tracing only
    from langsmith import Client  # noqa: PLC0415
    from urllib3 import Retry  # noqa: PLC0415

    client = Client(
        api_url=str(settings.langsmith_endpoint).rstrip("/") if settings.langsmith_endpoint else None,
        api_key=settings.langsmith_api_key.get_secret_value() if settings.langsmith_api_key else None,
        timeout_ms=TIMEOUT_MS,
        retry_config=Retry(total=0),
        anonymizer=Redaction(settings.secrets),
    )
    try:
        yield [LangChainTracer(project_name=settings.langsmith_project, client=client)]
    finally:
        client.close(timeout=FLUSH_S)


async def _at_once(_: Any, context: Context, function: Callable[..., Any], /, *given: Any, **named: Any) -> Any:
    return context.run(function, *given, **named)

"""Tracing to LangSmith, when its own settings ask for it. Without them nothing is built and nothing is sent.

Secrets and personal data are taken out of what is sent, as they are of events and logs.
"""

import contextlib
from collections.abc import Iterator

from langchain_core.callbacks import BaseCallbackHandler

from app.config.settings import Settings
from app.observing.redaction import Redaction

FLUSH_S = 10.0  # an outage of the tracing service may cost traces, it may not hold up the job for long
TIMEOUT_MS = 5000


@contextlib.contextmanager
def tracing(settings: Settings) -> Iterator[list[BaseCallbackHandler]]:
    """The handlers for every run: the LangSmith tracer, or none. Leaving sends what is still queued."""
    if not settings.langsmith_tracing:
        yield []
        return
    from langchain_core.tracers import LangChainTracer  # noqa: PLC0415  only tracing pays for these imports
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

"""Sends spans to an OpenTelemetry collector, redacted. Imported only when tracing is on: the SDK takes a while.

The SDK reads its own variables: where to, with which headers and certificates, sampler, batches, limits, resource.
"""

import contextlib
import functools
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, Status
from opentelemetry.util.types import Attributes

from app.errors import BadInput
from app.observing.redaction import Redaction

FLUSH_S = 3.0  # an outage of the collector may lose spans, but not delay the end of a process for long
UNNAMED = "unknown_service"  # how the SDK's name begins if none is set
# Most values are short and recur. Without a memory of them, redaction would cost several times what all else does.
KNOWN, SHORT = 2048, 200


@contextlib.contextmanager
def exporting(service: str, redact: Redaction) -> Iterator[None]:
    """Export this process's spans until the block ends; then send what is left, within `FLUSH_S`.

    Args:
        service: the name of the service if OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES do not set one.
        redact: removes secrets from all that is exported.

    Raises BadInput if the SDK refuses a variable.
    """
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith(UNNAMED):
        resource = resource.merge(Resource({SERVICE_NAME: service}))
    try:
        exporter = Redacting(OTLPSpanExporter(), redact)
        resource = Resource(exporter.masked(resource.attributes), resource.schema_url)
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    except ValueError as error:
        raise BadInput(f"tracing cannot be turned on as the OTEL_ variables say: {error}") from error
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        ending = threading.Thread(target=provider.shutdown, name="sends the last spans", daemon=True)
        ending.start()
        ending.join(FLUSH_S)


class Redacting(SpanExporter):
    """Passes on copies of spans without secrets and personal data: the last place for that, and also for libraries'
    spans."""

    def __init__(self, exporter: SpanExporter, redact: Redaction) -> None:
        self._exporter = exporter
        self._redact = redact
        self._known = functools.lru_cache(KNOWN, typed=True)(self._value)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export the copies."""
        return self._exporter.export([self._copy(each) for each in spans])

    def shutdown(self) -> None:
        """Shut the exporter down."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the exporter."""
        return self._exporter.force_flush(timeout_millis)

    def _copy(self, span: ReadableSpan) -> ReadableSpan:
        return ReadableSpan(
            name=self._text(span.name),
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=self.masked(span.attributes),
            events=[Event(self._text(each.name), self.masked(each.attributes), each.timestamp) for each in span.events],
            links=[Link(each.context, self.masked(each.attributes)) for each in span.links],
            kind=span.kind,
            status=Status(span.status.status_code, span.status.description and self._text(span.status.description)),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    def masked(self, attributes: Attributes) -> dict[str, Any]:
        """The attributes, redacted. Their names are those of code, and stay."""
        return {
            name: value if isinstance(value, bool | int | float) else self._masked(name, value)
            for name, value in (attributes or {}).items()
        }

    def _text(self, text: str) -> str:
        return str(self._masked("", text))

    def _masked(self, name: str, value: Any) -> Any:
        return self._known(name, value) if len(value) <= SHORT else self._value(name, value)

    def _value(self, name: str, value: Any) -> Any:
        return next(iter(self._redact({name: value}).values()))

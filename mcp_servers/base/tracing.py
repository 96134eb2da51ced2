"""A span for each call, in the caller's trace, if the variables of OpenTelemetry turn it on. It has names and the
outcome, never arguments or results.

Names are those of the conventions for MCP, which are still in development:
https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/mcp.md
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

FLUSH_S = 2.0  # an outage of the collector must not delay the end of the program for long
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
METHOD = "tools/call"
ERRORS = {"error": "tool_error"}  # outcomes by another name

_TRACER = trace.get_tracer(__name__)
_W3C = TraceContextTextMapPropagator()


def is_on(environment: Mapping[str, str]) -> bool:
    """Whether the variables turn tracing on."""
    exporter = environment.get("OTEL_TRACES_EXPORTER")
    off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporter == "none"
    return not off and (exporter == "otlp" or any(environment.get(each) for each in ENDPOINTS))


def export_spans(server: str) -> Callable[[], None]:
    """Export spans from now on. Returns what sends the last ones, within `FLUSH_S`."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  slow imports
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: f"tollgate-mcp-{server}"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)

    def flush() -> None:
        ending = threading.Thread(target=provider.shutdown, daemon=True)
        ending.start()
        ending.join(FLUSH_S)

    return flush


@contextlib.contextmanager
def span_of_call(tool: str, agent: str, meta: Mapping[str, Any]) -> Iterator[Callable[[str], None]]:
    """A span around a call that came with this `_meta`, whose `traceparent` it continues; `agent` may be unknown, "".
    Yields what notes the outcome."""
    carrier = {name: value for name, value in meta.items() if isinstance(value, str)}
    attributes = {
        "mcp.method.name": METHOD,
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": tool,
    }
    if agent:
        attributes["gen_ai.agent.name"] = agent
    with _TRACER.start_as_current_span(
        f"{METHOD} {tool}",
        context=_W3C.extract(carrier),
        kind=SpanKind.SERVER,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:

        def ended(outcome: str) -> None:
            if outcome != "ok":
                span.set_attribute("error.type", ERRORS.get(outcome, outcome))
                span.set_status(StatusCode.ERROR)

        yield ended


def trace_id() -> str | None:
    """The current trace in hexadecimal digits, if there is one."""
    current = trace.get_current_span().get_span_context()
    return trace.format_trace_id(current.trace_id) if current.is_valid else None

"""An OpenTelemetry collector on a real socket: takes spans over OTLP, and keeps them."""

import asyncio
import contextlib
import gzip
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tests.http_server import served


@dataclass(frozen=True)
class Span:
    """A span as it was exported: ids in hexadecimal digits, the process that made it by service and instance."""

    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    links: list[str]
    failed: bool
    service: str
    instance: str


@dataclass
class Collector:
    """What was taken, and where."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        """The settings of a program whose spans are to come here soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}

    def named(self, name: str) -> list[Span]:
        """The spans of this name."""
        return [each for each in self.spans if each.name == name]

    def path(self, span: Span) -> list[str]:
        """The names of the span and of all above it that were exported."""
        parent = next((each for each in self.spans if each.id == span.parent), None)
        return [span.name, *(self.path(parent) if parent else [])]

    async def has(self, wanted: Callable[[list[Span]], bool], seconds: float = 20) -> None:
        """Wait for these spans."""
        until = time.monotonic() + seconds
        while not wanted(self.spans):
            assert time.monotonic() < until, sorted({each.name for each in self.spans})
            await asyncio.sleep(0.05)


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A collector until the block ends."""
    collector = Collector()

    async def take(request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:  # it was killed
            return Response(status_code=400)
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        collector.bodies.append(body)
        collector.spans += _read(body)
        return Response(status_code=200)

    with served(Starlette(routes=[Route("/v1/traces", take, methods=["POST"])])) as address:
        collector.url = address
        yield collector


def _read(body: bytes) -> Iterator[Span]:
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _values(of_resource.resource.attributes)
        for each in (span for scope in of_resource.scope_spans for span in scope.spans):
            yield Span(
                each.name,
                each.trace_id.hex(),
                each.span_id.hex(),
                each.parent_span_id.hex(),
                _values(each.attributes),
                [link.trace_id.hex() for link in each.links],
                each.status.code == each.status.STATUS_CODE_ERROR,
                resource["service.name"],
                resource.get("service.instance.id", ""),
            )


def _values(attributes: Any) -> dict[str, Any]:
    def value(one: KeyValue) -> Any:
        return getattr(one.value, str(one.value.WhichOneof("value")))

    return {each.key: value(each) for each in attributes}

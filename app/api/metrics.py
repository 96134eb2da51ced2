"""The Prometheus metrics. Labels are templates and codes, so that callers cannot create series."""

import math
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
GAUGES = {
    "jobs_waiting": "Jobs waiting for a worker",
    "queue_oldest_seconds": "Seconds for which the oldest waiting job has waited",
    "jobs_running": "Jobs taken by workers",
    "worker_places": "Concurrent jobs of all workers",
    "jobs_suspended": "Jobs that wait for a new day's budget",
    "jobs_awaiting_human": "Jobs that wait for a human's decision",
    "awaiting_human_oldest_seconds": "Seconds for which the first of these has waited",
    "dead_letters": "Jobs dead-lettered after repeated failures",
    "day_spent_usd": "US dollars spent by the deployment on this UTC day",
    "day_reserved_usd": "US dollars that calls in flight may cost on top of what is spent",
    "day_limit_usd": "The deployment's budget of this UTC day, in US dollars",
    "day_projected_usd": "US dollars spent by the end of this UTC day, at its own pace or that of the last hour",
}
METHODS = {"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"}


class Metrics:
    """The metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._requests = Counter(
            "tollgate_http_requests", "Responses.", ("route", "method", "status"), registry=registry
        )
        self._seconds = Histogram(
            "tollgate_http_request_seconds",
            "Seconds until a response begins.",
            ("route", "method"),
            buckets=SECONDS,
            registry=registry,
        )
        self._accepted = Counter("tollgate_jobs_accepted", "Jobs accepted by this process.", registry=registry)
        self._gauges = {
            name: Gauge(f"tollgate_{name}", f"{text}; NaN: unknown.", registry=registry)
            for name, text in GAUGES.items()
        }
        self._circuits = Gauge(
            "tollgate_circuit_open",
            "1 while the circuit of a model provider or an MCP server is open, until a probe succeeds; NaN: unknown.",
            ("circuit",),
            registry=registry,
        )

    def answered(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """Count a response. `route` is the path template; None if no route matched."""
        place, known = route or "unmatched", method if method in METHODS else "other"
        self._requests.labels(place, known, str(status)).inc()
        self._seconds.labels(place, known).observe(seconds)

    def accepted(self) -> None:
        """Count a job."""
        self._accepted.inc()

    def text(self, now: Mapping[str, float], circuits: Mapping[str, float]) -> bytes:
        """All metrics in Prometheus' text format; `now` and `circuits` are what the store knows (`app.work.gauges`)."""
        for name, gauge in self._gauges.items():
            gauge.set(now.get(name, math.nan))
        for name, is_open in circuits.items():
            self._circuits.labels(name).set(is_open)
        return generate_latest(self._registry)

"""The Prometheus metrics. Labels are templates and codes, so that callers cannot create series."""

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
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
        self._waiting = {
            name: Gauge(f"tollgate_{name}", text, registry=registry)
            for name, text in (
                ("jobs_waiting", "Jobs waiting for a worker; NaN: unknown."),
                ("jobs_suspended", "Jobs that wait for a new day's budget; NaN: unknown."),
                ("jobs_running", "Jobs taken by workers; NaN: unknown."),
                ("worker_places", "Concurrent jobs of all workers; NaN: unknown."),
                ("dead_letters", "Jobs dead-lettered after repeated failures; NaN: unknown."),
            )
        }

    def answered(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """Count a response. `route` is the path template; None if no route matched."""
        place, known = route or "unmatched", method if method in METHODS else "other"
        self._requests.labels(place, known, str(status)).inc()
        self._seconds.labels(place, known).observe(seconds)

    def accepted(self) -> None:
        """Count a job."""
        self._accepted.inc()

    def text(self, **now: float) -> bytes:
        """All metrics in Prometheus' text format; `now` is the store's data on jobs, workers and dead letters."""
        for name, gauge in self._waiting.items():
            gauge.set(now.get(name, math.nan))
        return generate_latest(self._registry)

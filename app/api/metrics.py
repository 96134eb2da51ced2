"""What Prometheus is told. Labels are templates and codes, so that callers cannot make series."""

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = {"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"}


class Metrics:
    """The metrics of one process, in this registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._requests = Counter("tollgate_http_requests", "Answers.", ("route", "method", "status"), registry=registry)
        self._seconds = Histogram(
            "tollgate_http_request_seconds",
            "Seconds until an answer begins.",
            ("route", "method"),
            buckets=SECONDS,
            registry=registry,
        )
        self._accepted = Counter("tollgate_jobs_accepted", "Jobs accepted here.", registry=registry)
        self._waiting = {
            name: Gauge(f"tollgate_{name}", text, registry=registry)
            for name, text in (
                ("jobs_waiting", "Jobs that wait for a worker; NaN: unknown."),
                ("jobs_running", "Jobs that workers have taken; NaN: unknown."),
                ("worker_places", "Jobs that all workers together run at once; NaN: unknown."),
                ("dead_letters", "Jobs that failed again and again; NaN: unknown."),
            )
        }

    def answered(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """Count an answer. `route` is the template of its path; None where no route matched."""
        place, known = route or "unmatched", method if method in METHODS else "other"
        self._requests.labels(place, known, str(status)).inc()
        self._seconds.labels(place, known).observe(seconds)

    def accepted(self) -> None:
        """Count a job."""
        self._accepted.inc()

    def text(self, **now: float) -> bytes:
        """All metrics in Prometheus' text format; `now` is what the store says of jobs, workers and dead letters."""
        for name, gauge in self._waiting.items():
            gauge.set(now.get(name, math.nan))
        return generate_latest(self._registry)

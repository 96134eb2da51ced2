"""The tool gateway's Prometheus metrics. Labels are names of servers and tools, never arguments."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from graphs.tools.replicas import Replicas
from safe_http.shown import shown

MOST_TOOLS, OTHER = 100, "other"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class ToolMetrics:
    """The metrics of one gateway."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._tools: dict[str, set[str]] = {}
        self._seconds = Histogram(
            "tollgate_tool_call_seconds",
            "Seconds per call, including waits and retries, by outcome.",
            ("server", "tool", "outcome"),
            buckets=SECONDS,
            registry=registry,
        )
        self.wait = Histogram(
            "tollgate_tool_wait_seconds",
            "Seconds that a call waited for a replica.",
            ("server",),
            buckets=SECONDS,
            registry=registry,
        )
        self.retries = Counter("tollgate_tool_retries", "Retried calls.", ("server",), registry=registry)
        self._waiting = Gauge("tollgate_tool_waiting", "Calls waiting for a replica.", ("server",), registry=registry)
        self._under_way = Gauge(
            "tollgate_tool_under_way", "Calls in flight at a replica.", ("server", "replica"), registry=registry
        )
        self._up = Gauge(
            "tollgate_tool_replica_up", "1 if the replica is up, else 0.", ("server", "replica"), registry=registry
        )

    def called(self, server: str, tool: str, outcome: str, seconds: float) -> None:
        """Count a call. A server names its tools, so only the first ones have series of their own."""
        named = self._tools.setdefault(server, set())
        if len(named) < MOST_TOOLS:
            named.add(tool)
        self._seconds.labels(server, tool if tool in named else OTHER, outcome).observe(seconds)

    def watch(self, replicas: Replicas) -> None:
        """Collect the state of a server's replicas whenever the metrics are read."""
        for metric in (self.wait, self.retries):  # there from the start: a rate sees no step from nothing to one
            metric.labels(replicas.server)
        self._waiting.labels(replicas.server).set_function(lambda: replicas.waiting)
        for each in replicas.all:
            labels = replicas.server, shown(each.address)
            self._under_way.labels(*labels).set_function(partial(getattr, each, "under_way"))
            self._up.labels(*labels).set_function(partial(getattr, each, "up"))

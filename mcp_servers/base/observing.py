"""Prometheus metrics, and a JSON log line per call on stderr."""

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from mcp_servers.base.tracing import trace_id

REFUSED = ("queue_full", "waited_too_long", "stopping")  # why a call is answered `busy`
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LEAST = 8  # characters; shorter secrets are not redacted, because ordinary words contain them
SECRETS = ("_KEY", "_SECRET")  # suffixes of variables that hold a secret
_PASSWORD = re.compile(r"(://[^\s/:@]*:)[^\s/\"'<>]+@")

calls_log = logging.getLogger(__name__)


class Metrics:
    """The metrics of one server. Labels are its own tools and outcomes, so that callers cannot create series."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._calls = Counter("tollgate_mcp_calls", "Calls.", ("tool", "outcome"), registry=self.registry)
        self._seconds = Histogram(
            "tollgate_mcp_call_seconds",
            "Seconds from getting a slot to the result.",
            ("tool",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._refused = Counter(
            "tollgate_mcp_calls_refused", "Calls answered `busy`, by reason.", ("reason",), registry=self.registry
        )
        for reason in REFUSED:  # each is there before its first call, else a rate would not see that one
            self._refused.labels(reason)
        self.in_flight = Gauge("tollgate_mcp_calls_in_flight", "Calls being served.", registry=self.registry)
        self.waiting = Gauge("tollgate_mcp_calls_waiting", "Calls waiting for a slot.", registry=self.registry)

    def called(self, tool: str, outcome: str, seconds: float) -> None:
        """Count a call that was served."""
        self._calls.labels(tool, outcome).inc()
        self._seconds.labels(tool).observe(seconds)

    def refused(self, reason: str) -> None:
        """Count a call that was answered `busy`."""
        self._refused.labels(reason).inc()

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


def log_call(tool: str, agent: str, outcome: str, seconds: float, size: int) -> None:
    """Log a call: agent, tool, outcome, milliseconds and bytes; never its arguments."""
    if calls_log.isEnabledFor(logging.INFO):
        told = {"tool": tool, "agent": agent, "outcome": outcome, "ms": round(seconds * 1000, 1), "bytes": size}
        calls_log.info("call", extra={"call": told})


class _JsonLines(logging.Formatter):
    """One JSON document per line, with this process's secrets redacted: services quote a key that they reject."""

    def __init__(self, server: str, environment: Mapping[str, str]) -> None:
        super().__init__()
        self._server = server
        self._secrets = [each for name, each in environment.items() if name.endswith(SECRETS) and len(each) >= LEAST]

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told: dict[str, object] = {"time": time, "level": record.levelname, "server": self._server}
        if trace := trace_id():
            told["trace"] = trace
        told |= getattr(record, "call", None) or {"logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        line = _PASSWORD.sub(r"\1[secret]@", json.dumps(told))
        for secret in self._secrets:
            line = line.replace(secret, "[secret]")
        return line


def configure_logs(server: str, level: str, environment: Mapping[str, str]) -> None:
    """Log to stderr, one JSON document per line: calls at INFO, libraries at WARNING and above."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines(server, environment))
    logging.basicConfig(level=max(logging.WARNING, _number(level)), handlers=[handler], force=True)
    calls_log.setLevel(_number(level))
    # It warns of each call to a tool that the caller may not see, quoting the name it sent.
    logging.getLogger("mcp.server.lowlevel.server").setLevel(logging.ERROR)


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]

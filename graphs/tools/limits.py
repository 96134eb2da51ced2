"""The bounds of tool calls."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ToolLimits:
    """The bounds of tool calls.

    Attributes:
        timeout_s: seconds for a call, including waits and a retry; also for opening a session.
        output_chars: characters of a result that the model sees.
        result_bytes: most bytes in an answer.
        cache_seconds: how long the result of a tool annotated as read-only and idempotent serves equal calls of all
            jobs, if its server states the version of its data; 0: not at all.
        at_once: concurrent calls per replica, one less for a single tenant; our servers run eight by default.
        most_waiting: calls that may wait for a server; beyond that, the tenant with the most loses one.
        per_minute: calls of one tool per minute, over all processes.
        rates: exceptions to `per_minute`, by `server.tool`.
        failures: failed calls in a minute that open a server's breaker.
        open_s: seconds that a breaker stays open until a probe is admitted.
        away_s: seconds, from when a server was first found down, for which calls wait for it; later ones do not. 0: no
            waiting.
        probe_s: seconds between readiness probes of a replica, and in which a stdio program must answer a ping.
    """

    timeout_s: float = 60.0
    output_chars: int = 12_000
    result_bytes: int = 4 * 1024 * 1024
    cache_seconds: float = 300.0
    at_once: int = 8
    most_waiting: int = 1000
    per_minute: int = 6000
    rates: Mapping[str, int] = field(default_factory=dict)
    failures: int = 5
    open_s: float = 20.0
    away_s: float = 0.0
    probe_s: float = 5.0

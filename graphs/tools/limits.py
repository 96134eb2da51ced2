"""What bounds the calls of tools."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ToolLimits:
    """What bounds calls.

    Attributes:
        timeout_s: seconds that a call may take, waits and a retry included; opening a session may take as long.
        output_chars: characters of a result that the model is shown.
        result_bytes: bytes of an answer that are read.
        cache_seconds: how long the answer of a tool that its server annotates as read-only and idempotent serves equal
            calls, of all jobs, when the server names the version of its data; 0 for none.
        at_once: calls that one replica gets at a time, those of one tenant one less; our servers carry out eight by
            default.
        most_waiting: calls that wait for a place at a server; one more, or another of the tenant with the most, is
            refused.
        per_minute: calls of one tool in a minute, over all processes.
        rates: other numbers than that, by `server.tool`.
        failures: so many failed calls in a minute open the breaker of a server.
        open_s: seconds until one call may try whether it is back.
        away_s: seconds, from when a server was first found away, that calls wait for it; later ones do not. 0: none do.
        probe_s: seconds between two looks at whether a replica is ready, and in which a program has to answer a ping.
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

"""Answers that never arrive."""

from app.stand_in.faults.profile import Failure
from app.stand_in.wire import error_body

SERVER_ERROR = Failure(500, error_body("The server had an error while processing your request.", "server_error", None))
TOO_MANY = Failure(
    429, error_body("Rate limit reached for requests.", "requests", "rate_limit_exceeded"), {"retry-after": "0"}
)
OVERLOADED = Failure(503, error_body("The engine is currently overloaded.", "server_error", None))
CUT = Failure(None)

CYCLE = (SERVER_ERROR, TOO_MANY, OVERLOADED, CUT)


def flaky(number: int) -> Failure | None:
    """The first, third, fifth ... request fails, each in the next way of the cycle."""
    return CYCLE[number // 2 % len(CYCLE)] if number % 2 else None


def sometimes(number: int) -> Failure | None:
    """Every eleventh request fails, each in the next way of the cycle."""
    return None if number % 11 else CYCLE[number // 11 % len(CYCLE)]


def outage(_: int) -> Failure | None:
    """No request is answered."""
    return OVERLOADED


def severed(_: int) -> Failure | None:
    """Every connection is cut in mid-answer, and the answer is billed."""
    return CUT

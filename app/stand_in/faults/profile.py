"""What a profile may change: what is said, whether it arrives, when, and what it costs to lose it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from app.stand_in.completion import Spoken
from app.stand_in.roles import reply_to
from app.stand_in.wire import ChatRequest, Json, Reply

Speak = Callable[[ChatRequest], Spoken]


@dataclass(frozen=True)
class Failure:
    """An answer that is none: an error with this status, or None for a connection that is cut in mid-answer."""

    status: int | None
    body: Json = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


def spoken_by(rules: Callable[[ChatRequest], Reply]) -> Speak:
    """What other rules than the honest ones reply, as text."""
    return lambda request: Spoken.of(rules(request))


def honest(request: ChatRequest) -> Spoken:
    """What the rules reply, as text."""
    return Spoken.of(reply_to(request))


def never(_: int) -> Failure | None:
    """Every request gets its answer."""
    return None


@dataclass(frozen=True)
class Profile:
    """One way to be a model.

    `failure` is asked with the number of the request, the first being 1. `wait_s` are seconds before each answer, None
    for ever. With `bills_the_lost_in_full`, a request whose client did not wait for the answer costs the most
    that it can: nothing was cached, and the answer is as long as was allowed.
    """

    says: str
    speak: Speak = honest
    failure: Callable[[int], Failure | None] = never
    wait_s: float | None = 0
    tells_usage: bool = True
    bills_the_lost_in_full: bool = False


HONEST = Profile("answers as well as rules can")

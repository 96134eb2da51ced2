"""The one retry layer of model calls: what is waited out, for how long, and who must act on what remains.

A provider that is down is waited for, up to `outage_s` of a call and within the job's time, because an outage of
minutes is no reason to ask a human. An attempt that may have been paid for is made a few times only.

What a provider says of an error may hold keys and names of machines: it is logged, with the job's id. Whoever ordered
the job is told in words of ours what kind of error it was.
"""

import itertools
import logging
import math
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import openai

from graphs.answers.completion import ErrorInside
from graphs.answers.refusals import Kind, Refusal, refusal_in
from graphs.errors import (
    AccountRefused,
    AnswerWithheld,
    CircuitOpen,
    GraphError,
    ModelRefused,
    ModelUnavailable,
    NoCompletion,
    OperatorMustAct,
    UnusableAnswer,
)
from graphs.spending.spend import Account
from graphs.spending.toll import Emit, Toll, is_outage, may_be_billed

ATTEMPTS = 4  # of a call that is refused for now, or that may be billed each time
LONGEST_BACKOFF_S = 20.0
WORTH_TELLING_S = 1.0

T = TypeVar("T")

logger = logging.getLogger(__name__)


async def patiently(once: Callable[[], Awaitable[T]], toll: Toll, account: Account, emit: Emit) -> T:
    """What `once` gives, tried again while that makes sense.

    Args:
        once: one attempt, reserved and settled on its own.
        toll: knows the time, and how to wait.
        account: whose limits hold: `outage_s`, and the deadline of the job.
        emit: is told of waits of a second and more.

    Raises:
        GraphError: what remains of the last error.
    """
    failed_first, tries = math.inf, 0
    for number in itertools.count():
        try:
            return await once()
        except Exception as error:
            failed_first = min(failed_first, toll.clock())
            tries += not isinstance(error, CircuitOpen)
            asked_for = _asked_for(error)
            wait = _backoff(error, number) if asked_for is None else asked_for
            left = (account.deadline_at - toll.now()).total_seconds()
            over = toll.clock() - failed_first + wait > account.limits.outage_s if asked_for is None else wait > left
            free = isinstance(error, CircuitOpen) or (is_outage(error) and not may_be_billed(error))
            if not _passes(error) or over or wait > left or (tries >= ATTEMPTS and not free):
                remains = _translated(error, asked_for, left)
                if isinstance(remains, OperatorMustAct):
                    _log(account, "gives up", error)
                raise remains from (error if remains is not error else error.__cause__)
            if wait >= WORTH_TELLING_S:
                reason = _translated(error, None, left)
                _log(account, f"waits {wait:.0f} s", error)
                emit({"type": "warning", "waits_s": wait, "message": f"{account.agent} waits {wait:.0f} s: {reason}"})
        await toll.sleep(wait)
    raise AssertionError("it counts for ever")


def refusal_of(error: BaseException) -> Refusal | None:
    """The provider's own words, where the error is an answer of it."""
    if isinstance(error, ErrorInside):
        return error.refusal
    if isinstance(error, openai.APIStatusError):
        return refusal_in(error.status_code, error.response.content, error.response.headers)
    return None


def _log(account: Account, what: str, error: Exception) -> None:
    """For whoever runs the service: the words of the provider, or of what broke."""
    refusal = refusal_of(error)
    cause = f" ({error.__cause__})" if error.__cause__ else ""
    said = f"status {refusal.status}: {refusal.says}" if refusal else f"{error}{cause}"
    logger.warning("%s: %s %s: %s", account.job_id, account.agent, what, said)


def _passes(error: Exception) -> bool:
    """Whether the same call may succeed later."""
    if refusal := refusal_of(error):
        return refusal.retried
    return isinstance(error, CircuitOpen | NoCompletion | TimeoutError | openai.APIConnectionError)


def _asked_for(error: Exception) -> float | None:
    """Seconds that the provider itself wants us to wait."""
    refusal = refusal_of(error)
    return refusal.retry_after_s if refusal else None


def _backoff(error: Exception, number: int) -> float:
    """Exponential with full jitter; for an open breaker until it lets a probe through."""
    jitter = random.random()  # noqa: S311  not a secret
    if isinstance(error, CircuitOpen):
        return error.wait_s + jitter / 4
    return float(jitter * min(LONGEST_BACKOFF_S, 0.5 * 2**number))


def _translated(error: Exception, asked_for: float | None, left: float) -> Exception:
    """The error by who must act; as it is where it is none of the provider's."""
    if isinstance(error, GraphError):
        return error
    if refusal := refusal_of(error):
        return _of_refusal(refusal, asked_for, left)
    if isinstance(error, TimeoutError | openai.APITimeoutError):
        return ModelUnavailable("the model provider gave no answer in time")
    if isinstance(error, openai.APIError):
        return ModelUnavailable("the connection to the model provider broke")
    return error


def _of_refusal(refusal: Refusal, asked_for: float | None, left: float) -> GraphError:
    answered = f"the model provider answered with status {refusal.status}"
    if refusal.retried and asked_for is not None and asked_for > left:
        return ModelUnavailable(f"{answered} and asks to wait {asked_for:,.0f} s; the job has {left:,.0f} s left")
    told: dict[Kind, GraphError] = {
        "outage": ModelUnavailable(f"{answered}: it has failed"),
        "busy": ModelUnavailable(f"{answered}: it is asked too often, or has no room"),
        "account": AccountRefused(f"{answered}: {_to_mend(refusal)}"),
        "withheld": AnswerWithheld(f"{answered}: its content filter refuses the request"),
        "unread": UnusableAnswer("the model made a call that its own server could not read"),
        "context": ModelRefused(f"{answered}: the request is longer than the model reads"),
        "request": ModelRefused(f"{answered}: it does not take the request; the log has its words"),
    }
    return told[refusal.kind]


def _to_mend(refusal: Refusal) -> str:
    """What its account needs."""
    if refusal.status == 401 or "api key" in refusal.text.lower():
        return "it does not take the key; set the right OPENAI_API_KEY"
    if refusal.status == 403:
        return "the key may not use this model; let it, or configure another model"
    return "the account has no quota or money left; mend that at the provider"

"""The one retry layer of model calls: which errors are retried, for how long, and who must act on the rest.

A call waits for a provider that is down for up to `outage_s`, within the job's deadline, because an outage of minutes
is no reason to ask a human. An attempt that may have been billed is retried only a few times.

A provider's own message may contain keys and host names: it is logged with the job's id, and the submitter is told only
what kind of error it was.
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
from graphs.spending.faults import is_outage, may_be_billed
from graphs.spending.spend import Account
from graphs.spending.toll import Emit, Toll

ATTEMPTS = 4  # of a call that is refused for now, or that may be billed
LONGEST_BACKOFF_S = 20.0
WORTH_TELLING_S = 1.0

T = TypeVar("T")

logger = logging.getLogger(__name__)


async def patiently(once: Callable[[], Awaitable[T]], toll: Toll, account: Account, emit: Emit) -> T:
    """The result of `once`, retried while that makes sense.

    Args:
        once: one attempt, reserved and settled on its own.
        toll: provides clock and sleep.
        account: its `outage_s` and its job's deadline apply.
        emit: gets a warning for each wait of at least a second.

    Raises:
        GraphError: the last error, translated.
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
    raise AssertionError("unreachable: the count has no end")


def refusal_of(error: BaseException) -> Refusal | None:
    """The provider's refusal, if the error is one."""
    if isinstance(error, ErrorInside):
        return error.refusal
    if isinstance(error, openai.APIStatusError):
        return refusal_in(error.status_code, error.response.content, error.response.headers)
    return None


def _log(account: Account, what: str, error: Exception) -> None:
    """Log the provider's own message, or the underlying error, for the operator."""
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
    """Seconds that the provider asks us to wait."""
    refusal = refusal_of(error)
    return refusal.retry_after_s if refusal else None


def _backoff(error: Exception, number: int) -> float:
    """Seconds: exponential with full jitter; for an open circuit, until it admits a probe."""
    jitter = random.random()  # noqa: S311  not a secret
    if isinstance(error, CircuitOpen):
        return error.wait_s + jitter / 4
    return float(jitter * min(LONGEST_BACKOFF_S, 0.5 * 2**number))


def _translated(error: Exception, asked_for: float | None, left: float) -> Exception:
    """The error by who must act; unchanged if it is not the provider's."""
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
        "outage": ModelUnavailable(f"{answered}: it is failing"),
        "busy": ModelUnavailable(f"{answered}: it is rate limited or overloaded"),
        "account": AccountRefused(f"{answered}: {_account_problem(refusal)}"),
        "withheld": AnswerWithheld(f"{answered}: its content filter refuses the request"),
        "unread": UnusableAnswer("the model made a call that its own server could not read"),
        "context": ModelRefused(f"{answered}: the request is longer than the model reads"),
        "request": ModelRefused(f"{answered}: it does not accept the request; see the log for its message"),
    }
    return told[refusal.kind]


def _account_problem(refusal: Refusal) -> str:
    """How to fix the account."""
    if refusal.status == 401 or "api key" in refusal.text.lower():
        return "it rejects the key; set a valid OPENAI_API_KEY"
    if refusal.status == 403:
        return "the key may not use this model; allow it, or configure another model"
    return "the account has no quota or money left; top it up at the provider"

"""Whose fault a failed model call is, and whether it may be billed."""

import httpx2
import openai

from graphs.answers.completion import ErrorInside
from graphs.errors import NoCompletion

SERVER_ERROR = 500
NOT_BILLED = (openai.APIStatusError, ErrorInside, httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


def is_outage(error: BaseException) -> bool:
    """Whether the provider is at fault and not the request. Waiting for a connection from our own pool does not
    count."""
    if isinstance(error.__cause__, httpx2.PoolTimeout):
        return False
    if isinstance(error, ErrorInside):
        return error.refusal.kind == "outage"
    status = getattr(error, "status_code", 0)
    return status >= SERVER_ERROR or isinstance(error, TimeoutError | openai.APIConnectionError | NoCompletion)


def failure(error: BaseException) -> str | None:
    """What kind of failure of the provider this is, for events and metrics; None if it is not the provider's."""
    if isinstance(error, TimeoutError | openai.APITimeoutError):
        return "timeout"
    if is_outage(error):
        return "outage"
    return "refused" if isinstance(error, openai.APIStatusError | ErrorInside) else None


def may_be_billed(error: BaseException) -> bool:
    """False when the request was never sent, or the answer is an error or no completion and reports no usage."""
    if isinstance(error, ErrorInside | NoCompletion) and error.usage:
        return True
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    if any(isinstance(each, NoCompletion) and not each.may_be_billed for each in chain):
        return False
    return not any(isinstance(each, NOT_BILLED) for each in chain)

"""Classifies a provider's error: whose fault it is, and what it says about the request.

The status alone misleads: an exhausted quota comes as 429, a wrong key as 400, a bad request as 500, and any of them
inside a 200. So the whole body is read, in every shape that servers use.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from graphs.answers.reading import is_json

SHOWN = 200  # characters of a provider's message

Kind = Literal["outage", "busy", "account", "withheld", "unread", "context", "request"]

_ACCOUNT = re.compile(
    r"insufficient_quota|billing_hard_limit|credit_balance|spend_limit_exceeded|usage_limit_exceeded|current_quota"
    r"|exceeded your current quota|credit balance is too low|insufficient balance|enable billing|requires more credits"
    r"|api_key_invalid|invalid_api_key|API key not valid|(?:incorrect|invalid) API key|PerDay",
    re.IGNORECASE,
)
_WITHHELD = re.compile(r"content_filter|content_policy|flagged_input|usage polic", re.IGNORECASE)
_UNREAD = re.compile(r"tool_use_failed|error parsing tool call", re.IGNORECASE)
_CONTEXT = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum context length|reduce the length of the messages"
    r"|prompt is too long|input token count|exceeds the available context|too large for model with"
    r"|maximum number of tokens allowed|input length and .max_tokens. exceed",
    re.IGNORECASE,
)
_NEVER_FITS = re.compile(r"request too large", re.IGNORECASE)  # exceeds the rate limit itself: never fits
_AGAIN_IN = re.compile(
    r"(?:try again in|retry (?:after|in)|retryDelay)\W{0,4}(?:(\d{1,6})m)?(\d{1,6}(?:\.\d{1,6})?) ?(ms|s)",
    re.IGNORECASE,
)
_CODES = {"rate_limit_exceeded": 429, "server_error": 500, "model_not_found": 404, "invalid_request_error": 400}
_FOUND_ON_THE_WAY = re.compile(r"no endpoints found", re.IGNORECASE)


@dataclass(frozen=True)
class Refusal:
    """A provider's error answer.

    Attributes:
        status: the HTTP status, or the one in the body if that was 200.
        text: all strings in the body, for pattern matching.
        says: its message, on one line.
        param: the request field that the error's own `param` names, if any.
        retry_after_s: seconds to wait before a retry, if the provider says so.
    """

    status: int
    text: str
    says: str
    param: str = ""
    retry_after_s: float | None = None

    @property
    def kind(self) -> Kind:  # noqa: PLR0911  one line a kind
        """Whose fault it is."""
        if _WITHHELD.search(self.text):
            return "withheld"
        if _UNREAD.search(self.text):
            return "unread"
        if self.status in {401, 402, 403} or _ACCOUNT.search(self.text):
            return "account"
        if _CONTEXT.search(self.text):
            return "context"
        if self.status >= 500:
            return "outage"
        if self.status in {408, 409, 425, 429} and not _NEVER_FITS.search(self.text):
            return "busy"
        return "request"

    @property
    def retried(self) -> bool:
        """Whether the same request may succeed later."""
        return self.kind in {"outage", "busy"}


def refusal_in(status: int, body: bytes, headers: Mapping[str, str]) -> Refusal:
    """The refusal in an answer with an error status, whatever its body."""
    return refused(_json(body, body.decode(errors="replace")), status, headers)


def refused(document: Any, status: int, headers: Mapping[str, str]) -> Refusal:
    """The error in a body of any shape: OpenAI's, a list of them, flat, plain text, or nested."""
    words = " ".join(_words(document))
    error = _error(document)
    message = next((each for each in map(error.get, ("message", "detail", "error")) if isinstance(each, str)), words)
    param = error.get("param")
    return Refusal(
        status=status if status >= 400 else _status(error, words),
        text=words,
        says=" ".join(message.split())[:SHOWN],
        param=param if isinstance(param, str) else "",
        retry_after_s=_wait(headers, words),
    )


def _json(text: str | bytes, otherwise: str | None) -> Any:
    """The text parsed as JSON, or `otherwise`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return otherwise
    return value if is_json(value) else otherwise


def _error(document: Any) -> dict[str, Any]:
    """The object with message and code."""
    if isinstance(document, list):
        return _error(document[0]) if document else {}
    if not isinstance(document, dict):
        return {}
    inner = document.get("error")
    return _error(inner) if isinstance(inner, dict | list) else document


def _status(error: Mapping[str, Any], words: str) -> int:
    """The status that the body of a 200 names; without one, that of an outage."""
    for key in ("code", "status", "type"):
        told = error.get(key)
        if isinstance(told, str):
            told = int(told) if told.isdecimal() and len(told) == 3 else _CODES.get(told)
        if isinstance(told, int) and 400 <= told <= 599:
            return told
    return 404 if _FOUND_ON_THE_WAY.search(words) else 502


def _words(value: Any, depth: int = 0) -> Iterator[str]:
    """Every string in the value, JSON inside strings included, with its key."""
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(each, dict):
                yield f"{key}:"
            yield from _words(each, depth)
    elif isinstance(value, list):
        for each in value:
            yield from _words(each, depth)
    elif isinstance(value, str):
        inner = _json(value, None) if depth < 2 and value.lstrip().startswith(("{", "[")) else None
        if inner is None:
            yield value
        else:
            yield from _words(inner, depth + 1)
    elif value is not None:
        yield str(value)


def _wait(headers: Mapping[str, str], words: str) -> float | None:
    """Seconds to wait; None if not stated. Dates are rare, and backoff serves for them."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name])) * unit
        except (KeyError, ValueError):
            continue
    if said := _AGAIN_IN.search(words):
        seconds = float(said[2]) * (0.001 if said[3].lower() == "ms" else 1.0)
        return seconds + 60 * int(said[1] or 0)
    return None

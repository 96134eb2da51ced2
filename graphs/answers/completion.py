"""Parses a body that came with status 200 as one completion, or says that it is not one.

A proxy's page, JSON `null` or an error with a success status are outages of the provider. They cost nothing unless they
report usage.
"""

from collections.abc import Mapping
from typing import Any

import httpx
import httpx2
import openai
import orjson
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata

from graphs.answers.reading import is_json
from graphs.answers.refusals import Refusal, refused
from graphs.errors import NoCompletion
from safe_http.bodies import body

_READ = ("id", "object", "created", "model", "system_fingerprint")  # LangChain takes some other keys for an error
_DETAILS = ("prompt_tokens_details", "completion_tokens_details")
_TIER = "service_tier"
SERVICE_TIERS = ("priority", "fast", "flex")  # with prices of their own

ANSWER_BYTES = 16 * 1024 * 1024  # decompressed

Json = dict[str, Any]


class ErrorInside(Exception):
    """An error sent with status 200. `usage` holds the tokens that it reports, if any."""

    def __init__(self, refusal: Refusal, usage: UsageMetadata | None) -> None:
        super().__init__(refusal.says)
        self.refusal = refusal
        self.usage = usage


def completion_in(body: bytes, headers: Mapping[str, str]) -> Json:
    """The completion. Its first choice has a message; its usage is complete or absent.

    Raises:
        NoCompletion: the body is not a completion.
        ErrorInside: the body is an error.
    """
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise NoCompletion(_what(body), may_be_billed=body.lstrip()[:1] == b"{") from None
    if not is_json(document):
        raise NoCompletion("the model provider answered with JSON that is nested too deeply", may_be_billed=True)
    if not isinstance(document, dict):
        if isinstance(document, list) and document and isinstance(document[0], dict) and document[0].get("error"):
            raise ErrorInside(refused(document, 200, headers), None)
        named = {list: "a list", str: "a text", type(None): "null"}.get(type(document), "a number")
        raise NoCompletion(f"the model provider answered with JSON that is {named}, not a completion")
    usage = _usage(document.get("usage"))
    if usage and document.get(_TIER) in SERVICE_TIERS:
        usage[_TIER] = document[_TIER]
    told = tokens_of(usage)
    choice = _first(document.get("choices"))
    if (document.get("error") and not choice) or choice.get("error") or document.get("object") == "error":
        raise ErrorInside(refused(choice if choice.get("error") else document, 200, headers), told)
    if not choice:
        raise NoCompletion("the model provider answered without a choice, so with no completion", usage=told)
    if not isinstance(choice.get("message"), dict):
        raise NoCompletion("the model provider answered with a choice that has no message", usage=told)
    known = {key: document[key] for key in _READ if key in document}
    return {**known, "choices": [choice], "usage": usage}


def tokens_of(usage: Json | None) -> UsageMetadata | None:
    """A completion's usage in LangChain's format. The details are included in the totals. The service tier that
    answered is told by a count of its name."""
    if usage is None:
        return None
    read, wrote = (usage.get(name) or {} for name in _DETAILS)
    tier = {usage[_TIER]: usage["prompt_tokens"]} if _TIER in usage else {}
    into = {"cache_read": "cached_tokens", "cache_creation": "cache_write_tokens", "audio": "audio_tokens"}
    out = {"reasoning": "reasoning_tokens", "audio": "audio_tokens"}
    return UsageMetadata(
        input_tokens=usage["prompt_tokens"],
        output_tokens=usage["completion_tokens"],
        total_tokens=usage["total_tokens"],
        input_token_details=InputTokenDetails(**tier, **{ours: read[key] for ours, key in into.items() if key in read}),  # type: ignore[typeddict-item]
        output_token_details=OutputTokenDetails(**{ours: wrote[key] for ours, key in out.items() if key in wrote}),  # type: ignore[typeddict-item]
    )


def _first(choices: Any) -> Json:
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _usage(given: Any) -> Json | None:
    """Input and output tokens; None when they are absent or all zero.

    Some servers count reasoning tokens in the total only. They are billed as output.
    """
    if not isinstance(given, dict):
        return None
    read, wrote, total = (_count(given.get(f"{name}_tokens")) for name in ("prompt", "completion", "total"))
    if not read or (wrote is None and total is None):
        return None
    wrote = max(wrote or 0, (total or 0) - read)
    counted = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
    details = {name: given[name] for name in _DETAILS if isinstance(given.get(name), dict)}
    for name, part in details.items():
        details[name] = {key: each for key, each in part.items() if _count(each) is not None}
    return {**counted, **details}


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _what(body: bytes) -> str:
    """Says what a body is that is not JSON."""
    text = body.lstrip()[:200].lower()
    if not text:
        return "the model provider answered with an empty body"
    if text.startswith(b"<"):
        return "the model provider answered with a page, not a completion: is the base URL missing /v1?"
    if text.startswith((b"data:", b"event:", b":")):
        return "the model provider answered with a stream, which was not requested"
    if text.startswith((b"{", b"[")):
        return "the model provider's answer broke off in the middle"
    return "the model provider answered with text, not a completion: is the base URL right?"


async def whole(response: Any) -> bytes:
    """The body of an answer. Raises as the client does for an error status; NoCompletion for a body that is too large
    or has an unknown encoding."""
    try:
        return await body(response, ANSWER_BYTES)
    except httpx2.TimeoutException as error:
        raise openai.APITimeoutError(response.request) from error
    except httpx2.HTTPError as error:
        raise openai.APIConnectionError(request=response.request) from error
    except httpx.DecodingError as error:
        raise NoCompletion(f"the model provider's answer cannot be read: {error}", may_be_billed=True) from error

"""What errors of providers mean: the words of real ones, of which the status alone says little."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.answers.refusals import refusal_in


def openai(message: str, code: str | None = None, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


QUOTA = "You exceeded your current quota, please check your plan and billing details."
GOOGLE = {"code": 400, "status": "INVALID_ARGUMENT"}
CASES = [
    (401, openai("Incorrect API key provided: sk-…", "invalid_api_key"), "account"),
    (401, {"error": "Unauthorized"}, "account"),
    (402, {"error": {"code": 402, "message": "This request requires more credits, or fewer max_tokens."}}, "account"),
    (403, openai("You are not allowed to sample from this model"), "account"),
    (403, {"error": {"code": 403, "message": "flagged", "metadata": {"flagged_input": "x"}}}, "withheld"),
    (429, openai(QUOTA, "insufficient_quota", "insufficient_quota"), "account"),
    (429, openai("Billing hard limit has been reached", "billing_hard_limit_reached"), "account"),
    (
        429,
        [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "quotaId: PerDayPerProject"}}],
        "account",
    ),
    (400, [{"error": {**GOOGLE, "message": "API key not valid. Please pass a valid API key."}}], "account"),
    (400, {"code": "invalid argument", "error": "Incorrect API key provided: ab***yz."}, "account"),
    (400, openai("Your credit balance is too low to access the Anthropic API."), "account"),
    (429, openai("Rate limit reached for gpt-5. Please try again in 6.2s.", "rate_limit_exceeded"), "busy"),
    (429, openai("Request too large for gpt-5 on tokens per min (TPM): Limit 30000, Requested 30601."), "request"),
    (409, openai("conflict"), "busy"),
    (400, openai("This model's maximum context length is 4097 tokens.", "context_length_exceeded"), "context"),
    (400, {"error": {"code": 400, "type": "exceed_context_size_error", "message": "request (9010 tokens)"}}, "context"),
    (400, openai("prompt is too long: 215000 tokens > 200000 maximum"), "context"),
    (400, openai("The response was filtered", "content_filter"), "withheld"),
    (400, openai("Failed to call a function.", "tool_use_failed"), "unread"),
    (404, openai("The model 'x' does not exist", "model_not_found"), "request"),
    (400, "Bad Request", "request"),
    (500, openai("The server had an error", None, "server_error"), "outage"),
    (503, "", "outage"),
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "outage"),
    (502, "<html><body>Bad Gateway</body></html>", "outage"),
]


@pytest.mark.parametrize(("status", "body", "kind"), CASES, ids=str)
def test_whose_fault_it_is(status: int, body: Any, kind: str) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    assert refusal_in(status, raw, {}).kind == kind


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"retry-after": "7"}, "", 7),
        ({"retry-after-ms": "250", "retry-after": "7"}, "", 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, "", None),
        ({}, "Please try again in 6.2s.", 6.2),
        ({}, "Please try again in 120ms.", 0.12),
        ({}, "Please try again in 1m2.5s.", 62.5),
        ({}, "Please retry after 86400 seconds.", 86_400),
        ({}, "Try it again.", None),
    ],
)
def test_how_long_it_wants_us_to_wait(headers: dict[str, str], message: str, seconds: float | None) -> None:
    assert refusal_in(429, json.dumps(openai(message)).encode(), headers).retry_after_s == seconds


def test_what_a_gateway_passes_on_is_read_in_its_wrapping() -> None:
    inner = json.dumps(openai("Unknown parameter: 'seed'.", "unknown_parameter"))
    body = {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": inner}}}
    refusal = refusal_in(400, json.dumps(body).encode(), {})
    assert "Unknown parameter: 'seed'." in refusal.text
    assert refusal.says == "Provider returned error"


KEYS = ["error", "message", "code", "x"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["error", "message", "code", "x"]), inner)
    ),
    max_leaves=8,
)


@given(st.sampled_from([200, 400, 401, 404, 429, 500, 503]), JSON | st.binary(max_size=50))
def test_no_body_is_too_odd(status: int, body: Any) -> None:
    refusal = refusal_in(status, body if isinstance(body, bytes) else json.dumps(body).encode(), {})
    assert refusal.status >= 400
    assert refusal.kind
    assert len(refusal.says) <= 200


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        json.dumps(openai("[" * 100_000)).encode(),
        b'{"error": {"message": "no", "code": "' + b"9" * 5000 + b'"}}',
        json.dumps(openai(f"Please try again in {'9' * 5000}m1s.")).encode(),
    ],
)
def test_no_body_is_too_large(body: bytes) -> None:
    refusal = refusal_in(200, body, {})
    assert (refusal.status in {400, 502}, refusal.retry_after_s) == (True, None)

"""What is logged or shown holds no secret and nobody's personal data, and is otherwise what it was."""

import json
import math
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.settings import Settings
from app.observing.redaction import _PERSONAL, _SECRETS, LONGEST, Redaction, _folded, redacted
from graphs.untrusted import screening

HEX = "0123456789abcdef" * 2
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"key sk-proj-{HEX} used", "key [secret] used"),
        (f"tg_ab12_{HEX}", "[secret]"),
        (f"whsec_{HEX}=", "[secret]"),
        (f"Authorization: Bearer {HEX}", "Authorization: Bearer [secret]"),
        (f"eyJhbGciOiJIUzI1NiJ9.{HEX}.{HEX}", "[secret]"),
        ("AKIAIOSFODNN7EXAMPLE", "[secret]"),
        ("redis://app:hunter2@cache:6379/0", "redis://app:[secret]@cache:6379/0"),
        ("redis://:p@ss@cache/0", "redis://:[secret]@cache/0"),
        ("GET https://a.example/x?page=2&token=abc&n=1", "GET https://a.example/x?page=2&token=[secret]&n=1"),
        ('{"password": "hunter2", "n": 1}', '{"password": "[secret]", "n": 1}'),
        ("api_key=abc password = x", "api_key=[secret] password = [secret]"),
        (f"-----BEGIN RSA PRIVATE KEY-----\n{HEX}\n-----END RSA PRIVATE KEY----- end", "[secret] end"),
        (f"-----BEGIN PRIVATE KEY-----\n{HEX}\ncut off", "[secret]"),
        ("write to ada@example.org\n  and wait", "write to [e-mail address]\n  and wait"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN [IBAN]"),
        ("call +49 30 1234 5678", "call [phone number]"),
        ("card 4111 1111 1111 1111, or 4111111111111111.", "card [card number], or [card number]."),
    ],
)
def test_a_secret_is_masked_wherever_it_stands(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert redacted({"a": [{"b": text}], text: 1}) == {"a": [{"b": shown}], shown: 1}


def test_what_has_the_name_of_a_secret_is_masked() -> None:
    given = {"password": "a", "X-Api-Key": "b", "session_token": "c", "input_tokens": 7, "token": 3, "cookie": ""}
    masked = {"password": "[secret]", "X-Api-Key": "[secret]", "session_token": "[secret]"}
    assert redacted(given) == given | masked


def test_the_configured_secrets_are_known_by_their_value() -> None:
    settings = Settings(
        _env_file=None,
        OPENAI_API_KEY="plain7word",
        OPENAI_BASE_URL="https://ada:pass%2Fword%20one@llm.example/v1",
        REDIS_URL="redis://:storepass@127.0.0.1/0",
        sales_data="/srv/own/sales.csv",
        webhook_secret="whsec_" + "QUJD" * 8,
        web_search_url="https://search.example/?api_key=of-search",
        MCP={"sales": {"urls": "https://bob:of-sales@a.example/mcp,https://b.example/mcp"}},
        fallback_api_key="abc",
        fallback_model="m",
        fallback_base_url="https://tokenasuser@b.example/v1",
    )
    redact = Redaction(settings.secrets)
    for each in ("plain7word", "pass/word one", "pass%2fword%20one", "pass%2Fword+one", "storepass", "of-search"):
        assert redact({each: [f"it said '{each}'."], "k": each}) == {
            "[secret]": ["it said '[secret]'."],
            "k": "[secret]",
        }
    assert redact("of-sales, tokenasuser") == "[secret], [secret]"
    assert redact("a part of abcdef, and of /srv/own/sales.csv") == "a part of abcdef, and of /srv/own/sales.csv"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "task_started", "task": "T1", "agent": "sales", "objective": "Revenue by region, 2024-01 to 2025-06:"},
        {"type": "tool_call", "tool": "sales__query", "arguments": {"from": "2024-01-01", "top": 5}, "ms": 12},
        {
            "type": "model_call",
            "model": "gpt-5-mini-2025-08-07",
            "cost_micro_usd": 4111111111111111,
            "estimated": False,
        },
        {"type": "warning", "message": "risk-adjusted growth of +12.5 %\n\tfrom  1,234,567.89 EUR  (E12, E13)"},
        {"type": "job", "job_id": "job-20261121-103400-ab12cd", "status": "completed", "report": None, "share": 0.25},
        {"type": "report", "link": "http://127.0.0.1:8000/v1/jobs?limit=5", "digest": HEX},
    ],
)
def test_an_ordinary_event_is_left_alone(event: dict[str, Any]) -> None:
    assert redacted(event) == event


@given(VALUES)
def test_any_value_becomes_json_once_and_for_all(value: Any) -> None:
    shown = redacted(value)
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert redacted(shown) == shown


def test_what_is_not_json_becomes_its_text() -> None:
    assert redacted([math.nan, Decimal("1.5"), (1, 2), {3: None}]) == ["nan", "1.5", [1, 2], {"3": None}]


def test_neither_depth_nor_length_breaks_it() -> None:
    nested: Any = "core"
    for _ in range(900):
        nested = [nested]
    assert "nested too deep" in json.dumps(redacted(nested))
    assert len(redacted("long " * LONGEST)) == LONGEST + 1


@pytest.mark.parametrize("part", ["-eyJ", "a@", "://a:", "Bearer ", "password ", "-----BEGIN ", "AB12 ", "? ", "&key="])
def test_no_text_takes_long(part: str) -> None:
    began = time.process_time()
    redacted(part * (LONGEST // len(part)))
    assert time.process_time() - began < 2


@pytest.mark.parametrize("number", range(len(_SECRETS)))
@given(data=st.data())
def test_what_is_looked_for_first_is_in_all_that_is_masked(number: int, data: st.DataObject) -> None:
    pattern, _, words = _SECRETS[number]
    text = data.draw(st.from_regex(pattern))
    assert any(word in _folded(text) for word in words)


@pytest.mark.parametrize("kind", screening._PERSONAL)
@given(data=st.data())
def test_what_hints_at_personal_data_is_in_all_that_is_masked(kind: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(screening._PERSONAL[kind]))
    assert "@" in text or "+" in text or _PERSONAL.search(text)


def test_case_hides_no_secret() -> None:
    assert redacted("BAS\u0131C abcdefghijkl, pa\u017fsword=x") == "BAS\u0131C [secret], pa\u017fsword=[secret]"
    assert Redaction(["Kühlhaus-9"])("x K\xdcHLHAU\u017f-9") == "x [secret]"

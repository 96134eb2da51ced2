"""The projection of a day's spend, and what could cost less: worked out by hand."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadInput
from app.work.spending import DAYS_KEPT, checked_day, projected
from app.work.suggestions import suggestions
from graphs.spending.limits import MICRO
from graphs.spending.parts import DayParts, ItemSpend
from graphs.spending.spend import Amount, DaySpend

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOTHING = DaySpend(tenant=Amount(), deployment=Amount())
FIVE = 5 * MICRO


def test_a_projection_goes_on_like_today_and_like_the_last_hour() -> None:
    """Half of the day is over: as much again, or for twelve hours what the last one cost."""
    found = projected({20: 1_000_000, 44: 100_000, 47: 100_000}, 1_200_000, FIVE, NOON)
    assert found
    assert (found.low_usd, found.high_usd, found.limit_at) == (2.4, 3.6, None)
    assert found.basis.startswith("USD 1.20 since 00:00 UTC, USD 0.20 in the last 60 minutes; ")
    late = projected({44: 100_000, 48: 10_000}, 1_200_000, FIVE, NOON + timedelta(minutes=10))
    assert late
    assert "USD 0.11 in the last 70 minutes" in late.basis
    assert (late.low_usd, late.high_usd) == (2.3, 2.4)  # 1.2 + 0.11 / 70 * 710, and 1.2 + 1.2 / 730 * 710


def test_a_projection_ends_at_the_limit_and_says_when() -> None:
    found = projected({47: 400_000}, 400_000, 1_000_000, NOON)
    assert found
    assert (found.low_usd, found.high_usd) == (0.8, 1.0)
    assert found.limit_at == NOON + timedelta(minutes=90)
    passed = projected({47: 400_000}, 400_000, 0, NOON)
    assert passed
    assert (passed.low_usd, passed.high_usd, passed.limit_at) == (0.4, 0.4, None)


@pytest.mark.parametrize(("spent", "minutes"), [(0, 720), (400_000, 14)])
def test_of_nothing_and_of_a_quarter_of_an_hour_nothing_is_projected(spent: int, minutes: int) -> None:
    midnight = NOON.replace(hour=0)
    assert projected({0: spent}, spent, FIVE, midnight + timedelta(minutes=minutes)) is None


@given(st.dictionaries(st.integers(0, 95), st.integers(1, 10**9)), st.integers(0, 10**9), st.floats(0, 86399, width=32))
def test_a_projection_is_between_what_is_spent_and_the_limit(slots: dict[int, int], limit: int, seconds: float) -> None:
    spent = sum(slots.values())
    found = projected(slots, spent, limit, NOON.replace(hour=0) + timedelta(seconds=seconds))
    if found:
        assert spent / MICRO <= found.low_usd <= found.high_usd <= max(spent, limit) / MICRO


def test_a_day_that_is_not_kept_is_refused() -> None:
    today = date(2026, 3, 1)
    assert checked_day(None, today) == today
    assert checked_day(today - timedelta(days=DAYS_KEPT), today)
    for other in (today + timedelta(days=1), today - timedelta(days=DAYS_KEPT + 1)):
        with pytest.raises(BadInput, match=f"there is no spend of {other}; give a day of the last 40"):
            checked_day(other, today)


def parts_of(**models: ItemSpend) -> DayParts:
    return DayParts(spend=NOTHING, items={f"model:{name}": used for name, used in models.items()})


def test_what_could_cost_less_is_said_once_of_a_kind() -> None:
    large: dict[str, Any] = {"type": "model_call", "agent": "analyst", "prompt_bytes": 84_321}
    asked: dict[str, Any] = {"type": "tool_call", "tool": "sales__revenue", "evidence": "E1"}
    events = {
        "job-a": [large, large | {"prompt_bytes": 1}, *[asked | {"arguments": {"by": "year"}}] * 3],
        "job-b": [asked | {"arguments": {"by": "year"}}, {"type": "model_call"}, {"type": "cut"}],
    }
    found = suggestions(parts_of(small=ItemSpend(input_tokens=200_000, cached_tokens=30_000)), events)
    assert [each.about for each in found] == ["cache", "prompts", "repeated calls"]
    assert found[0].text.startswith("small read 200,000 tokens, 15 % of them from its cache.")
    assert found[1].text.startswith("The largest prompt had 84 KB, of analyst in job-a, ")
    assert found[2].text.startswith("sales__revenue was called 3 times with the same arguments in job-a, ")


def test_where_little_can_be_saved_nothing_is_said() -> None:
    few, well_cached = ItemSpend(input_tokens=49_999), ItemSpend(input_tokens=200_000, cached_tokens=40_000)
    asked: dict[str, Any] = {"type": "tool_call", "tool": "sales__revenue"}
    calls = [asked | {"arguments": {"by": each}, "evidence": each} for each in "ab"]
    failed = asked | {"arguments": {}, "error": "down"}
    events = {"job-a": [{"type": "model_call", "prompt_bytes": 47_999}, *calls, failed, failed]}
    assert suggestions(parts_of(few=few, cached=well_cached), events) == []
    assert suggestions(parts_of(), {}) == []

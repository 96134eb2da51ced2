"""A claim may round a number of its evidence, and may state no other."""

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from graphs.numbers import numbers_in, quantities, unknown

amounts = st.decimals(min_value=1, max_value=Decimal("1e9"), places=2)


@given(amounts)
def test_a_number_is_known_as_written(amount: Decimal) -> None:
    assert unknown(f"revenue was EUR {amount:,}", numbers_in([f"revenue {amount}"])) == []


@given(amounts, st.integers(0, 2))
def test_a_rounded_number_is_known(amount: Decimal, places: int) -> None:
    assume(amount >= 100)
    rounded = round(amount, places)
    assert unknown(f"revenue was EUR {rounded:,f}", frozenset({amount})) == []


@given(amounts)
def test_millions_are_known_to_the_digit_they_state(amount: Decimal) -> None:
    millions = (amount / 1_000_000).quantize(Decimal("0.1"), ROUND_HALF_EVEN)
    assert unknown(f"about EUR {millions} million", frozenset({amount})) == []


@given(amounts, amounts)
def test_another_number_is_unknown(claimed: Decimal, known: Decimal) -> None:
    assume(abs(claimed - known) > Decimal("0.01"))
    assume(claimed % 1)
    assert unknown(f"EUR {claimed:,}", frozenset({known})) == [f"{claimed:,}"]


@given(st.integers(0, 99), st.integers(0, 99))
def test_small_counts_are_exact(claimed: int, known: int) -> None:
    assume(claimed != known)
    assert unknown(f"{claimed} customers", frozenset({Decimal(known), Decimal(known) + Decimal("0.4")})) != []


@pytest.mark.parametrize(
    "text",
    ["in 2024", "from 2022 to 2025", "2024-Q3", "2024-07-31", "CO2", "[E7]", "EV-S19", "H1 2025", "no number"],
)
def test_labels_claim_nothing(text: str) -> None:
    assert quantities(text) == []


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        ("sales fell 5.9%", "change -5.9 percent"),
        ("1,880,370 cars", "1,880,370 new cars"),
        ("more than 17 million cars", "17 million cars were sold"),
        ("12.5%", "a share of 0.125"),
        ("EUR 28.72 per 100 kWh", "28.72 EUR per 100 kWh"),
    ],
)
def test_ways_of_writing_the_same(claim: str, evidence: str) -> None:
    assert unknown(claim, numbers_in([evidence])) == []


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        ("16 million cars", "17 million cars"),
        ("sales fell 6.0%", "sales fell 5.9%"),
        ("2,100 chargers", "2024 was the year"),
        ("5 chargers", "4.7 chargers"),
        ("EUR99999999", "EUR 5"),
        ("2050 chargers", "2 chargers"),
        ("EUR 5 billion", "5 countries"),
    ],
)
def test_numbers_of_one_s_own(claim: str, evidence: str) -> None:
    assert unknown(claim, numbers_in([evidence])) != []

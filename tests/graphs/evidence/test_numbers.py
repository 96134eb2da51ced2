"""A claim may round a number of its evidence, and may state no other."""

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from graphs.evidence.numbers import numbers_in, quantities, unknown

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


@given(st.integers(1, 99), st.decimals(min_value="-0.5", max_value="0.5", places=2))
def test_small_counts_are_exact(claimed: int, off: Decimal) -> None:
    assume(off)
    assert unknown(f"{claimed} customers", frozenset({claimed + off})) == [str(claimed)]
    assert unknown(f"{claimed} customers", frozenset({Decimal(claimed)})) == []


@pytest.mark.parametrize(
    "text",
    [
        "2024-Q3",
        "2024-07-31",
        "31 December 2024",
        "March 15, 2024",
        "2024/25",
        "FY2024",
        "Q4'24",
        "Q1 FY24 and 4Q24",
        "1H 2025",
        "Jan '24",
        "in week 48",
        "CO2",
        "[E7]",
        "EV-S19",
        "none",
    ],
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
        ("EUR 3.7-4.1 million", "3,700,000 EUR to 4,100,000 EUR"),
        ("\u20ac3.7m to \u20ac4.1m", "between \u20ac3.7 and \u20ac4.1 million"),
        ("10-15%", "0.1 and 0.15"),
        ("from 800 to 1.2 million", "800 and 1,200,000"),
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
        ("3.7-4.1 million", "3,800,000 to 4,100,000"),
    ],
)
def test_numbers_of_one_s_own(claim: str, evidence: str) -> None:
    assert unknown(claim, numbers_in([evidence])) != []


@given(st.integers(2, 10**12 - 1))
@example(1_002_000)
@example(12_345)
def test_words_are_read_as_digits_are(number: int) -> None:
    (read,) = quantities(f"It sold {in_words(number)} units more.")
    assert read.value == number
    assert unknown(f"{number:,} units", numbers_in([f"They sold {in_words(number)} units."])) == []


def in_words(number: int) -> str:
    """British, with `and`, commas and hyphens."""
    parts: list[str] = []
    for scale, name in ((10**9, " billion"), (10**6, " million"), (1000, " thousand"), (1, "")):
        part, number = divmod(number, scale)
        if part:
            parts.append(
                (" and " if parts and scale == 1 and part < 100 else ", " if parts else "") + _below_1000(part) + name
            )
    return "".join(parts)


def _below_1000(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    small = (
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    )
    words = f"{small}eighteen nineteen".split()
    tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    below = words[rest - 1] if rest < 20 else "-".join([tens[rest // 10 - 2], *words[rest % 10 - 1 : rest % 10]])
    told = [f"{words[hundreds - 1]} hundred"] if hundreds else []
    return " and ".join([*told, *([below] if rest else [])])


@pytest.mark.parametrize(
    ("claim", "read"),
    [
        ("Twelve thousand units were sold.", ["Twelve thousand"]),
        ("between five and six million cars", ["five", "six million"]),
        ("two hundred and three hundred", ["two hundred", "three hundred"]),
        ("from two thousand and three thousand on", ["two thousand", "three thousand"]),
        ("half a million, or one and a half million", ["half a million", "one and a half million"]),
        ("ten percent, one per cent", ["ten percent", "one per cent"]),
        ("two dozen and a dozen, a hundred, a thousand", ["two dozen", "a dozen", "a hundred", "a thousand"]),
        ("a ten-million-euro order", ["ten-million"]),
        ("five customers left", ["five"]),
        ("two million two years later", ["two million", "two"]),
    ],
)
def test_numbers_in_words_claim(claim: str, read: list[str]) -> None:
    assert [each.text for each in quantities(claim)] == read


@pytest.mark.parametrize(
    "text",
    [
        *(
            "One of them",
            "no one knows",
            "a car",
            "a one-off",
            "the first, second and third quarter",
            "a third of sales",
        ),
        *("two-thirds of sales", "three quarters of all", "three-phase chargers", "a two-year plan", "a twofold rise"),
        *(
            "the two countries",
            "all three segments",
            "the last twelve months",
            "Two sources disagree.",
            "two new studies",
        ),
        *("dozens", "millions of cars", "someone of the tenth", "a thousandth", "often"),
    ],
)
def test_words_that_are_no_number_of_their_own(text: str) -> None:
    assert quantities(text) == []


@pytest.mark.parametrize(
    ("claim", "evidence", "is_known"),
    [
        ("twelve thousand units", "12,345 units", True),
        ("twelve thousand units", "12,745 units", False),
        ("12 chargers", "twelve chargers", True),
        ("2.3 million cars", "two million three hundred thousand cars", True),
        ("five chargers", "4.7 chargers", False),
        ("twenty-five percent", "a share of 0.25", True),
        ("twelve units", "a dozen units", True),
    ],
)
def test_words_and_digits_carry_one_another(claim: str, evidence: str, is_known: bool) -> None:
    assert (unknown(claim, numbers_in([evidence])) == []) is is_known


@pytest.mark.parametrize(
    ("written", "same", "parts"),
    [
        (
            "EUR 1.234,56 million",
            ["EUR 1,234.56 million", "1234560000", "EUR 1.2 billion"],
            ["1.234 million", "56 million"],
        ),
        ("EUR 1 234,56", ["1,234.56", "1.234,56"], ["234 euros", "56 euros", "1 euro"]),
        ("1.234.567 euros", ["1,234,567", "1.2 million"], ["1.234 euros", "567 euros"]),
        ("12,5 % of them", ["12.5%", "12.5 percent"], ["5%", "2.5%"]),
        ("1,23,45,678 rupees", ["12,345,678", "1,23,45,678"], ["45,678 rupees", "23 rupees"]),
        ("Rs 3 crore", ["Rs 30,000,000", "300 lakh", "30 million"], ["3 million", "3 lakh"]),
        ("2 lakh people", ["200,000", "0.2 million"], ["2 million", "20,000"]),
        ("12 \u4e07", ["120,000", "12\u4e07"], ["12 million", "12,000"]),
        ("3\u5104", ["300 million", "300,000,000"], ["3 million"]),
        ("\u0967\u0968\u0969 people", ["123 people"], ["12 people", "3 people"]),
        ("twenty-three million", ["23 million", "23,000,000"], ["3 million", "20 million"]),
        ("1.234 kg", ["1.234", "1.23"], ["1,234 kg", "234 kg"]),
        ("1,234 kg", ["1234 kg", "1.2 thousand"], ["1.234 kg", "234 kg"]),
    ],
)
def test_numbers_are_read_as_people_write_them_at_home(written: str, same: list[str], parts: list[str]) -> None:
    """And a part of one carries nothing."""
    known = numbers_in([f"It came to {written} in all."])
    assert [each for each in same if unknown(f"It was {each}.", known)] == []
    assert [each for each in parts if not unknown(f"It was {each}.", known)] == []
    assert unknown(f"It was {written}.", known) == []

"""The numbers of text that is JSON, CSV or prose: none is joined with its neighbour, none that is grouped is cut."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.evidence.numbers import unknown
from graphs.evidence.plain_results import numbers_of, table_of


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("Sold 1,250 units, 7% more.", "1,250 units, 7% more"),
        ("In Norway, sales rose.\nSold 1,250 units.", "1,250 units"),  # no table, though it looks like one
        ("Of 2024:\nyear,units,returns\n2024,123,456\n2025,124,457\n\nNo more.", "123 and 456, then 124 and 457"),
        ('{"units": [123, 456], "note": "7% more", "share": 1.5e-1}', "123, 456, 7% and 0.15"),
        ("[123,456,789]", "123, 456, 789"),
    ],
)
def test_what_a_text_says_is_known(text: str, claim: str) -> None:
    assert unknown(claim, numbers_of(text, None)) == []


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("Sold 1,250 units.", "250 units"),
        ("[123,456]", "123,456"),
        ("true", "1 unit"),
        ("E7 has CO2 of 2024-07-31", "7 units"),
    ],
)
def test_what_a_text_does_not_say_is_not(text: str, claim: str) -> None:
    assert unknown(claim, numbers_of(text, None)) != []


@given(st.lists(st.integers() | st.floats(allow_nan=False, allow_infinity=False), max_size=5))
def test_each_number_beside_the_text_is_known(numbers: list[float]) -> None:
    known = numbers_of("See the data.", {"deep": [{"er": numbers}]})
    assert known == {abs(Decimal(str(each))) for each in numbers}


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    numbers_of(text, None)
    numbers_of(json.dumps(text), [text])
    table_of(text, None)


@pytest.mark.usefixtures("usual_csv_limit")
def test_a_line_that_is_too_long_for_a_table_is_none() -> None:
    assert table_of(f'year,units\n2024,{"1" * 200_000}\n2025,"2', None) is None

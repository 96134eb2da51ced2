"""How the rules read a question: times, places, what is asked, and whose facts it asks for."""

import pytest

from sample.rules.parts import parts_of
from sample.rules.periods import times
from sample.rules.places import places
from sample.rules.reading import names, read


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("from 2023 to 2025", ["2023 to 2025"]),
        ("2022-2024", ["2022 to 2024"]),
        ("in 2024 and 2025", ["2024", "2025"]),
        ("Q3 2024 against 2023-Q3", ["2024-Q3", "2023-Q3"]),
        ("the third quarter of 2024", ["2024-Q3"]),
        ("March 2024", ["2024-03"]),
        ("between January and June 2024", ["2024-01 to 2024-06"]),
        ("from November 2023 to February 2024", ["2023-11 to 2024-02"]),
        ("1,920 cars for EUR 2019.50 and 2024%", []),
    ],
)
def test_periods_are_read_once_each_in_order(text: str, labels: list[str]) -> None:
    assert [span.label for span in times(text).spans] == labels


@pytest.mark.parametrize(
    ("text", "past", "ahead"),
    [("over the last 3 years", 36, None), ("last quarter", 3, None), ("the next two quarters", None, 6),
     ("the coming year", None, 12)],
)  # fmt: skip
def test_relative_periods_count_months(text: str, past: int | None, ahead: int | None) -> None:
    read_times = times(text)
    assert (read_times.past.months if read_times.past else None) == past
    assert (read_times.ahead.months if read_times.ahead else None) == ahead


def test_open_ends_keep_the_year_that_counts() -> None:
    assert (times("since 2023").since, times("after 2023").since) == (2023, 2024)
    assert (times("until 2024").until, times("before 2024").until) == (2024, 2023)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("French and Dutch cars in Britain", ["France", "Netherlands", "United Kingdom"]),
        ("tell us about sales in the US", ["United States"]),
        ("sales in japan", ["Japan"]),
        ("worldwide and in the European Union", ["World", "EU"]),
    ],
)
def test_places_by_name_and_adjective(text: str, found: list[str]) -> None:
    assert places(text) == found


@pytest.mark.parametrize(
    ("text", "measures"),
    [
        ("Which customer segments grew fastest?", []),
        ("How many units were sold?", ["units"]),
        ("How did the Home 11 sell?", ["revenue"]),
        ("revenue and orders by channel", ["orders", "revenue"]),
        ("Revenue of Home 22 in 2024 and how many were returned?", ["returns", "revenue"]),
        ("How many chargers were sold to Fleet customers?", ["units"]),
        ("Which customers bought most units?", ["customers"]),
        ("How many wallboxes did we sell?", ["units"]),
    ],
)
def test_measures(text: str, measures: list[str]) -> None:
    assert read(text).measures == measures


def test_names_are_capitalised_words_that_nothing_else_explains() -> None:
    assert names("How did the Voltbay Turbo 50 sell in Germany in March, compared with Kanaal Express?") == [
        "Turbo 50",
        "Kanaal Express",
    ]
    assert names("how did the voltbay turbo 50 sell?") == ["turbo 50"]


def test_a_question_about_both_sides_is_cut_and_each_half_keeps_place_and_years() -> None:
    parts = parts_of("Compare our sales in France with the French electric car market in 2024, and forecast 2026.")
    assert parts.own.startswith("Compare our sales in France")
    assert "forecast 2026" in parts.own or "forecast 2026" in parts.market
    assert parts.market.startswith("the French electric car market in 2024")
    half = parts_of("Did Voltbay's Spanish revenue grow faster than electric car registrations in 2025?")
    assert half.own == "Did Voltbay's Spanish revenue grow faster in 2025"
    assert half.market == "electric car registrations in 2025 in Spain"


def test_a_clause_without_a_side_of_its_own_belongs_to_its_neighbour() -> None:
    before = parts_of("Take Germany, and how many public charging points are there?")
    assert (before.own, before.market) == ("", "Take Germany, how many public charging points are there")
    after = parts_of("How many charging points has Italy, and do sources agree?")
    assert after.market == "How many charging points has Italy; do sources agree"

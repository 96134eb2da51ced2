"""A bare 1990 to 2040 is a year where it stands as one; anywhere else it measures something and needs evidence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.evidence.numbers import numbers_in, quantities, unknown
from graphs.evidence.years import years

YEARS = [
    *("in 2024", "since 2019", "by 2030", "until 2035", "through 2030", "during 2024", "before 2020", "as of 2024"),
    *(
        "from 2023 to 2025",
        "between 2023 and 2025",
        "2024 and 2025",
        "2023, 2024 and 2025",
        "2024-2026",
        "2022\u20132025",
    ),
    *("2024/2025", "2024 vs. 2023", "in both 2023 and 2024", "in the years 2022 to 2025", "rose from 2023 to 2025"),
    *("Q3 2024", "H1 2025", "March 2024", "Sept. 2024", "fiscal 2024", "early 2024", "at the end of 2024", "FY 2024"),
    *("the third quarter of 2022", "the summer of 2023", "2024's best month", "the 1990s", "(2024)", "2024: EUR 5"),
    *(
        "2026 forecast",
        "the 2024 targets",
        "2024 annual revenue",
        "EV sales 2024",
        "Acme's 2025 revenue",
        "a 2025 study",
    ),
    *("the 2024 grant", "Germany 2024", "ACEA, 2025", "IEA Global EV Outlook 2025.", "# Charging in Europe 2024"),
    *(
        "for 2026 (95% interval)",
        "compared with 2023",
        "higher than 2023",
        "up on 2023",
        "forecast to 2030",
        "**2024**",
    ),
    *(
        "2024 was a record year.",
        "2024 saw fewer orders.",
        "In 2024 customers bought more.",
        "1. 2024 was",
        "| 2024 | x |",
    ),
    *(
        "In 2024 [E1] sales rose",
        "Sales in 2024 were EUR 5",
        "Revenue in 2024 reached EUR 5",
        "in 2024 makes it",
        "For 2023 SolarQuotes has",
    ),
    *(
        "In total it rose. 2024 was better.",
        "its outlook of 2024",
        "the EU's 2035 reduction",
        "17% over 2024",
        "between **2023** and **2025** sales grew",
        "in 2025 registrations rose",
    ),
]
MEASURES = [
    *("sold 1999 units", "2030 chargers", "2024 customers", "2030 public charging points", "2030 fast-charging points"),
    *(
        "EUR 2030",
        "EUR2030",
        "\u20ac2030",
        "2030 EUR",
        "2030 \u20ac",
        "2030%",
        "2030 percent",
        "2030 million",
        "2030 euros",
    ),
    *("1999 kWh", "2030 people", "2030 of them", "**2030** chargers", "the 2030 chargers", "our 2024 customers"),
    *("rose by 2030", "fell to 1999", "more than 2030", "amounted to 2030", "by 1999 units", "with 2030 stores"),
    *(
        "sold 2030 in Germany",
        "a total of 2030",
        "Customers: 2030",
        "they have 2025",
        "reached 2030.",
        "2030.5",
        "2,030",
    ),
    *("from 2030 to 1999", "from 1999 to 2030 units", "1999 and 2030 units", "between 1999 and 2030 public chargers"),
]


@pytest.mark.parametrize("text", YEARS)
def test_it_is_a_year(text: str) -> None:
    assert [each.text for each in quantities(text) if each.text.isdigit() and len(each.text) == 4] == []


@pytest.mark.parametrize("text", MEASURES)
def test_it_measures_something(text: str) -> None:
    assert list(years(text)) == []
    assert unknown(text, frozenset()) != []
    assert unknown(text, numbers_in(["1999, 2024, 2025, 2030 and 2030.5"])) in ([], ["2030 million"])


@given(st.integers(1990, 2040), st.sampled_from(["in {}", "since {}", "March {}", "Q1 {}", "the {} forecast", "({})"]))
def test_what_is_said_of_one_year_is_said_of_all(year: int, text: str) -> None:
    assert quantities(text.format(year)) == []


@given(st.integers(1990, 2040), st.sampled_from(["{} units", "EUR {}", "{}%", "exactly {}", "{} new cars"]))
def test_what_is_counted_is_counted_in_any_number(number: int, text: str) -> None:
    assert [each.mantissa for each in quantities(text.format(number))] == [number]


@pytest.mark.parametrize("number", [1989, 2041, 1200])
def test_other_numbers_are_never_years(number: int) -> None:
    assert len(quantities(f"in {number}")) == 1


@pytest.mark.slow
def test_it_takes_time_in_proportion_to_the_length() -> None:
    for text in ("2024" + " " * 200_000 + "x", "2024, " * 20_000, "2024 to " * 20_000, "In " * 50_000 + "2024"):
        assert len(list(years(text))) <= 20_000

"""Estimates that differ are found, and nothing else is taken for one."""

import pytest

from graphs.evidence.estimates import Difference, differences
from graphs.state import FindingState
from tests.app.reports.made import finding

DPA = "the dpa report of its annual figures (on example.org)"


def percent(claim: str, value: float, cited: str, **other: str) -> FindingState:
    return finding(claim, cited, value=value, **{"unit": "%", "period": "2025", **other})


def values(found: list[Difference]) -> list[list[tuple[str, str]]]:
    return [[(each.value, each.who) for each in one.estimates] for one in found]


def test_findings_that_are_the_same_but_for_a_number_differ() -> None:
    (one,) = differences(
        [
            percent("The market grew by 45% in 2025, according to the union.", 45, "E1"),
            percent("The market grew by 43.2% in 2025.", 43.2, "E2"),
            percent("Exports grew by 12% in 2025.", 12, "E2"),
        ]
    )
    assert one.of == "The market grew by … in 2025"
    assert [(each.value, each.who, each.evidence) for each in one.estimates] == [
        ("43.2%", "", ("E2",)),
        ("45%", "the union", ("E1",)),
    ]
    assert one.spread == "1.8 percentage points"


def test_the_spread_of_amounts_has_its_share() -> None:
    claims = [
        ("The market was worth EUR 12 million in 2025.", 12e6),
        ("The market was worth EUR 15 million in 2025.", 15e6),
    ]
    (one,) = differences([finding(claim, f"E{at}", value=value) for at, (claim, value) in enumerate(claims)])
    assert one.spread == "3,000,000, 25% of the smallest"


def test_one_finding_that_names_two_publications_differs_in_itself() -> None:
    claim = f"Growth of sales in 2025 is 45% in {DPA} and 43.2% in the press release of 27 January 2026."
    assert values(differences([percent(claim, 45, "E1")])) == [
        [("43.2%", "the press release of 27 January 2026"), ("45%", DPA)]
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Sales grew by 45% in 2025.", 45), ("Sales grew by 43% in 2024.", 43)),  # another year
        (("Sales grew by 45% in the north.", 45), ("Sales grew by 43% in the south.", 43)),  # another place
        (("Sales grew by 45%.", 45), ("Sales fell by 43%.", 43)),  # another direction
        (("Sales grew by 45%.", 45), ("Sales grew by 45.2%.", 45.2)),  # rounded
        (("A rival sells for EUR 500.", 500), ("A rival sells for EUR 700.", 700)),  # not the same rival
        (("Sales of B grew by 45% from 31%.", 45), ("Sales of B grew by 43% from 30%.", 43)),  # which of the two?
        (("Sales were 45 in 2025.", 45), ("Sales were 43 thousand in 2025.", 44)),  # the value is not the claim's
    ],
)
def test_findings_about_other_things_do_not_differ(one: tuple[str, float], other: tuple[str, float]) -> None:
    assert differences([percent(*one, "E1"), percent(*other, "E2")]) == []


def test_findings_of_other_periods_units_or_the_same_evidence_do_not_differ() -> None:
    first = percent("Sales grew by 45%.", 45, "E1")
    for other in (
        percent("Sales grew by 43%.", 43, "E2", period="2024"),
        percent("Sales grew by 43%.", 43, "E2", unit="points"),
        percent("Sales grew by 43%.", 43, "E1"),
    ):
        assert differences([first, other]) == []


@pytest.mark.parametrize(
    "claim",
    [
        "Growth is 45% in Norway and 43.2% in Sweden",
        "Growth is 45% in 2024 and 43.2% in 2025",
        "Growth is 45% in the report of 2024 and 43.2% in the report of 2025",
        "Growth in 2024 is 45% in the report of 2025 and 43.2% in the press release",
        "Growth is 45% in the report and 45.2% in the press release",
        "Growth is 45% in the report and 43 in the press release",
    ],
)
def test_places_and_years_are_no_publications(claim: str) -> None:
    assert differences([percent(claim, 45, "E1")]) == []

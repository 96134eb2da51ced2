"""What the rules cannot read becomes a gap, and never a figure about something else."""

import pytest

from sample.rules.slots import unknown_goods
from sample.rules.unread import unread, without_share_of_market


@pytest.mark.parametrize(
    ("question", "quoted"),
    [
        ("Revenue excluding Germany in 2025", "'excluding Germany in 2025'"),
        ("Revenue by channel, but not the Online shop", "'not the Online shop'"),
        ("Revenue without Norway", "'without Norway'"),
        ("Units in all countries except France", "'except France'"),
        ("Which customers didn't buy in 2025?", "'didn't buy in 2025'"),
        ("How many orders over $10,000 were there?", "'over $10,000'"),
        ("Revenue at a discount above 20%", "'above 20%'"),
        ("Which countries sold more than 120 million?", "'more than 120 million'"),
        ("Customers with fewer than 5 orders", "'fewer than 5'"),
        ("Which customers stopped buying in 2025?", "'stopped buying'"),
        ("How many new customers did we win?", "'new customers did'"),
    ],
)
def test_what_changes_the_count_gives_a_gap_instead_of_a_figure(question: str, quoted: str) -> None:
    [gap] = unread(question).fatal
    assert quoted in gap


@pytest.mark.parametrize(
    ("question", "gap"),
    [
        ("Why did revenue fall in 2024?", "not why"),
    ],
)
def test_what_leaves_the_figure_as_it_is_stands_beside_it(question: str, gap: str) -> None:
    [stated] = unread(question).beside
    assert gap in stated
    assert unread(question).fatal == []


@pytest.mark.parametrize(
    "question",
    [
        "Revenue over 2024 and 2025",
        "Revenue over the last 3 years",
        "Growth over 3 years",
        "Did revenue grow more than in 2023?",
        "Do sources agree or not?",
        "Revenue below target in Norway",
    ],
)
def test_ordinary_questions_are_read_in_full(question: str) -> None:
    assert unread(question).fatal == unread(question).beside == []


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("How many toasters did we sell in 2025?", ["toasters"]),
        ("revenue from toasters in 2025", ["toasters"]),
        ("revenue through the partner channel", ["partner"]),
        ("revenue from new products", ["new"]),
        ("How many chargers did we sell?", []),
        ("How many orders were there in Norway?", []),
        ("revenue of all products by channel", []),
        ("How many units of our best product were sold?", []),
        ("revenue from January to March", []),
        ("through the best sales channel", []),
    ],
)
def test_a_noun_that_nothing_explains_is_unknown(text: str, unknown: list[str]) -> None:
    assert unknown_goods(text) == unknown


@pytest.mark.parametrize("text", ["market share of Voltbay", "Voltbay's share of the German charger market"])
def test_a_share_of_a_market_is_told_from_a_share_of_revenue(text: str) -> None:
    assert without_share_of_market(text) != text
    assert without_share_of_market("share of revenue by channel") == "share of revenue by channel"

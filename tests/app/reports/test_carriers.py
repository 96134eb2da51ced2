"""A number leads to the cell or line that carries it."""

from html.parser import HTMLParser

from app.reports.page import article
from tests.app.reports.made import evidence, made, table


class Links(HTMLParser):
    """What is linked, and where to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self._target = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._target = dict(attributes).get("href") or "" if tag == "a" else ""

    def handle_data(self, data: str) -> None:
        if self._target:
            self.found.append((data, self._target))
            self._target = ""


def test_a_number_leads_to_the_place_that_carries_it() -> None:
    known = {
        "E2": table(["year", "revenue"], [2023, 31.5], [2024, 38_000_000.0]),
        "E3": evidence("two shops\nsome 20% of 7 shops", kind="text"),
    }
    text = "Revenue was 38 million in 2024 [1]. It was 99 before [1]. A fifth: 20% [2]. Both [1, 2]."
    shown = article(made(text, known))
    assert Links(shown).found[:7] == [
        ("38 million", "#E2-1-1"),
        ("[1]", "#E2"),
        ("[1]", "#E2"),
        ("20%", "#E3-1"),
        ("[2]", "#E3"),
        ("[1", "#E2"),
        ("2]", "#E3"),
    ]
    assert '<td id="E2-1-1" class="num carries">38000000.0</td>' in shown
    assert '<mark id="E3-1">some 20% of 7 shops</mark>' in shown
    shown = article(made("| year | revenue | source |\n| - | - | - |\n| 2024 | EUR 38 million | [1] |", known))
    assert Links(shown).found[:2] == [("38 million", "#E2-1-1"), ("[1]", "#E2")]


def test_a_link_holds_no_link() -> None:
    source = evidence("7 shops", kind="document", url="https://acea.example/")
    shown = article(made("[7 of us](https://acea.example/) [1]", {"E1": source}))
    assert Links(shown).found[:2] == [("7 of us", "https://acea.example/"), ("[1]", "#E1")]

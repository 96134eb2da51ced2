"""The report in the console: a number leads to the cell that carries it, and nothing that a model wrote gets out."""

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from app.console.report import linked
from graphs.evidence.store import Evidence
from tests.app.api.test_report_page import HARMLESS, PIECES, SVG, Seen, evidence

SOURCES = "\n\n## Sources\n\n1. `sales.by_year()`: sales ([E2](evidence/E2.md))\n2. a page ([E3](evidence/E3.md))\n"


def table(*rows: list[object]) -> Evidence:
    return evidence("a table", kind="table", columns=["year", "revenue"], rows=list(rows))  # type: ignore[arg-type]


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


def test_a_number_leads_to_the_cell_that_carries_it() -> None:
    known = {"E2": table([2023, 31.5], [2024, 38_000_000.0]), "E3": evidence("some 20% of 7 shops", kind="text")}
    text = f"# Title\nRevenue was 38 million in 2024 [1]. It was 99 before [1]. A fifth: 20% [2].{SOURCES}"
    body, sources = linked(text, known)
    assert Links(body).found[:5] == [
        ("38 million", "#E2-1-1"),
        ("[1]", "#E2"),
        ("[1]", "#E2"),
        ("20%", "#E3"),
        ("[2]", "#E3"),
    ]
    assert '<td id="E2-1-1" class="cited">38000000.0</td>' in sources
    assert "Title" not in body
    body, _ = linked(f"| year | revenue | source |\n| - | - | - |\n| 2024 | EUR 38 million | [1] |{SOURCES}", known)
    assert Links(body).found[:2] == [("38 million", "#E2-1-1"), ("[1]", "#E2")]


@given(st.lists(PIECES | st.text(max_size=8) | st.sampled_from(["7", "[1]", "2024"]), max_size=20).map("".join))
def test_nothing_that_a_model_writes_gets_out(text: str) -> None:
    known = {"E1": evidence(text, kind="chart", svg=SVG), "E2": table([text, 7])}
    body, sources = linked(text + SOURCES, known)
    seen = Seen(body + sources)
    assert seen.tags <= HARMLESS | {"div"}
    assert not any(name.startswith("on") or name == "style" for name in seen.attributes)
    for tag, reference in seen.references:
        allowed = r"data:image/svg\+xml;base64,.*" if tag == "img" else r"#(E\d+(-\d+-\d+)?)?"
        assert re.fullmatch(allowed, reference)

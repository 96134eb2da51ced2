"""The HTML page of a report: all in one, and nothing that a model wrote in it runs or is loaded."""

import base64
import hashlib
import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from app.reports.page import POLICY, STYLE, article, page
from tests.app.reports.made import SVG, evidence, finding, made, table

HARMLESS = {
    "html", "head", "text", "meta", "title", "style", "body", "h1", "h2", "h3", "h4", "h5", "h6", "p", "ul", "ol", "li",
    "a", "img", "em", "strong", "code", "pre", "blockquote", "hr", "br", "table", "thead", "tbody", "tr", "th", "td",
    "details", "summary", "main", "header", "section", "div", "span", "dl", "dt", "dd", "button", "mark", "figure",
    "figcaption", "svg", "rect", "line", "polyline",
}  # fmt: skip
PIECES = st.sampled_from([
    "<script>", "</style>", "<img src=x onerror=alert(1)>", "![x](", "[x](", "javascript:alert(1)", "data:text/html,x",
    "evidence/E1.svg", "evidence/E1.md", "https://evil.example/x.png", ")", "\n\n", "# ", "| a | b |\n| - | - |\n",
    "&#106;avascript:x", "<", '"', "'", "`", "```\n", "> ", "[E1]", "<!--", "]]>", "vbscript:x", " ", "- ",
])  # fmt: skip


class Seen(HTMLParser):
    """The tags of a page, and what they refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.references: list[tuple[str, str]] = []
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.references += [(tag, value or "") for name, value in attributes if name in {"src", "href"}]


@given(st.lists(PIECES | st.text(max_size=8), max_size=20).map("".join))
def test_nothing_that_a_model_writes_gets_out(text: str) -> None:
    known = {"E1": evidence(text, kind="chart", svg=SVG, title=text), "E2": table([text, "n"], [text, 7])}
    hostile = {"question": f"{text}?", "title": text or "x", "flags": [text], "problems": [text], "stop_detail": text}
    report = made(text, known, finding(f"{text} 7", "E2", agent=text, unit=text), **hostile, status="partial")
    for shown in (page(report), article(report)):
        seen = Seen(shown)
        assert seen.tags <= HARMLESS
        assert not any(name.startswith("on") or name == "style" for name in seen.attributes)
        for tag, reference in seen.references:
            allowed = r"data:image/svg\+xml;base64,.*" if tag == "img" else r"#(E\d+(-\d+){0,2})?"
            assert re.fullmatch(allowed, reference)


def test_a_chart_is_in_the_page() -> None:
    seen = Seen(page(made("![growth](evidence/E1.svg)", {"E1": evidence(kind="chart", svg=SVG)})))
    reference = next(reference for tag, reference in seen.references if tag == "img")
    assert base64.b64decode(reference.partition(",")[2]).decode() == SVG


def test_an_image_that_is_no_chart_of_ours_is_its_description() -> None:
    for source in ("https://evil.example/x.png", "evidence/E2.svg", "evidence/E1.svg"):
        told = page(made(f"![growth]({source})", {"E1": table(["year"])}))
        assert "<img" not in told
        assert "growth" in told


def test_a_link_leads_to_a_source_or_nowhere() -> None:
    source = evidence(kind="document", url="https://acea.example/größe")
    flagged = source.model_copy(update={"flags": ["override"], "content": {"url": "https://evil.example/"}})
    given = (
        "<https://acea.example/größe> [x](https://evil.example/) [y](https://acea.example/größe?d=1) [z](mailto:a@b.c)"
    )
    seen = Seen(page(made(given, {"E1": source, "E2": flagged})))
    assert seen.references[:4] == [("a", "https://acea.example/gr%C3%B6%C3%9Fe"), *[("a", "#")] * 3]
    assert not any("evil" in reference for _, reference in seen.references)


def test_the_policy_lets_only_the_style_of_the_page_through() -> None:
    told = page(made("x"))
    assert f"<style>{STYLE}</style>" in told
    assert base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode() in POLICY
    assert "script-src" not in POLICY
    assert POLICY.startswith("default-src 'none'")

"""Text of others in a report stays readable, and nothing in it loads, leads anywhere or is HTML."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from graphs.untrusted.inert import inert, one_line, unlinked

SOURCE = "https://acea.example/report?year=2024"
LIVE = re.compile(r"[a-z]://|www\.\w|\w@\w+\.", re.IGNORECASE)  # what programs make links of where they see it
TABLE = "## Market\n\n- a\n- b\n\n| a | b |\n|---|---|\n| 1 < 2 | x |"
PIECES = st.sampled_from([
    "![x](", "[x](", "https://evil.example/p.png?d=1", SOURCE, ")", "]", "[", "(", "<", ">", "\\", "`", "```\n", "\n",
    "\n\n",
    "]: ", "[E1]", "[E1]: ", "![a](E1.svg)", "<img src=", "<a href=", "<!--", "javascript:alert(1)", "//evil.example",
    "!", "www.evil.example", "thief@evil.example", "&#58;", "&lt;", " ", "- ", "> ", "\r", "\x1b",
    "\u202e", "HTTPS://", "ftp://",
])  # fmt: skip


def led_to(text: str) -> set[str]:
    """Where the Markdown leads and what it loads; raw HTML counts."""
    return set(_targets(MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)))


def _targets(tokens: list[Token]) -> list[str]:
    found = [str(each.attrs[key]) for each in tokens for key in ("href", "src") if key in each.attrs]
    found += [each.content for each in tokens if each.type in {"html_block", "html_inline"}]
    return [*found, *(target for each in tokens for target in _targets(each.children or []))]


@given(st.lists(PIECES | st.text(max_size=4), max_size=14).map("".join))
@example("[x]:\nhttps://evil.example\n\n[x]")
@example("[E1]: https://evil.example\n\nIt rose [E1].")
@example("![<img src=https://evil.example>](E1.svg)")
@example("[x]\x1b(https:\x1b//evil.example) <\u202eimg src=x>")
@example(f"[![a](E1.svg)]({SOURCE}) {SOURCE}.evil.example")
def test_nothing_leads_anywhere_but_to_sources_and_charts(text: str) -> None:
    told = inert(text, [SOURCE])
    assert led_to(told) <= {SOURCE, "E1.svg"}
    assert not LIVE.search(told.replace(SOURCE, ""))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("It rose by 12.5% [E1, E2].", "It rose by 12.5% [E1, E2]."),
        (TABLE, TABLE),
        ("![growth](E9.svg)", "![growth](E9.svg)"),
        (f"See [ACEA]({SOURCE}), or {SOURCE}.", f"See [ACEA]({SOURCE}), or {SOURCE}."),
        ("![x](https://evil.example/?d=38)", "![x]\\(https[:]//evil.example/?d=38)"),
        ("[x](https://evil.example)", "[x]\\(https[:]//evil.example)"),
        (f"![x]({SOURCE})", f"![x]\\({SOURCE})"),
        (f"{SOURCE}&d=38", "https[:]//acea.example/report?year=2024&d=38"),
        ("<img src=x> a<b", "&lt;img src=x> a&lt;b"),
        ("Ask thief@evil.example at www.evil.example", "Ask thief[at]evil.example at www[.]evil.example"),
    ],
)  # fmt: skip
def test_it_stays_readable(text: str, told: str) -> None:
    assert inert(text, [SOURCE]) == told


def test_a_title_is_one_line() -> None:
    assert one_line("Chargers\n\n# Sources\n1. [a](https://evil.example)") == (
        "Chargers # Sources 1. \\[a]\\(https[:]//evil.example)"
    )


@given(st.lists(PIECES | st.text(max_size=4), max_size=14).map("".join))
@example("SELECT 1 WHERE a < b AND url = 'https://evil.example/p.png'")
def test_no_program_links_what_is_in_code(text: str) -> None:
    assert not LIVE.search(unlinked(text))
    assert unlinked("SELECT a FROM t WHERE b <c AND x LIKE '%](y)'") == "SELECT a FROM t WHERE b <c AND x LIKE '%](y)'"

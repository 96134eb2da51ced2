"""What code adds to a report stands by itself, whatever the Markdown before it leaves open."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from graphs.evidence.markdown import MARKDOWN, below, closed
from graphs.untrusted.inert import inert

TITLE = "What is missing"
PIECES = st.sampled_from([
    "```", "~~~", "````text", "\n", "\n\n", "\n", "\n    ", "\n  ", "- ", "* ", "1. ", "99) ", "> ", ">", "- - - ",
    "> > > ", "| a | b |\n|---|---|\n| 1", "a | b\n-|-\n", "===", "---", "# ", "## Sources", "<!-- ", "<div>",
    "<script>", "<?", "<![CDATA[", "[x]: /y", "[x]: ", "[", "](", "**", "*", "`", "``", "\\", "$$", "&amp;", "<",
    "word", "Rose.", "\t", ":::", "\n".join("  " * depth + "- x" for depth in range(14)), "- " * 20, "> " * 30,
])  # fmt: skip
BODIES = st.lists(PIECES | st.text(max_size=3), max_size=16).map("".join)
PARSERS = [
    MARKDOWN,
    MarkdownIt("commonmark", {"html": True}).enable("table"),
    MarkdownIt("js-default", {"html": True}),  # as editors have it: 100 levels, strikethrough
]


@pytest.mark.parametrize("parser", PARSERS)
@given(BODIES)
@example("- " * 30 + "x")
@example("```\n- " + "- " * 30)
@example("\n".join("  " * depth + "- x" for depth in range(60)))
@example("> " * 60 + "deep")
@example("- a\n\n  ```\n  b")
@example("~~~~ x\n~~~")
def test_what_follows_a_closed_text_is_as_if_it_stood_alone(parser: MarkdownIt, text: str) -> None:
    added = "## Sources\n\n1. One\n\n---\n\nJob `x`"
    tokens = parser.parse(f"{closed(inert(text))}\n\n{added}")
    alone = parser.parse(added)
    shown = [(each.type, each.tag, each.level, each.content) for each in tokens[-len(alone) :]]
    assert shown == [(each.type, each.tag, each.level, each.content) for each in alone]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("## Market\n\n- a\n  - b\n\n| a |\n|---|\n| 1 |", "## Market\n\n- a\n  - b\n\n| a |\n|---|\n| 1 |"),
        ("```\ncode\n```", "```\ncode\n```"),
        ("a\n\n```text\ncode", "a\n\n```text\ncode\n```"),
        ("~~~~\n~~~", "~~~~\n~~~\n~~~~"),
        ("- - - - - - - - 1. deep\n     - > x", "- \\- - - - - - - 1. deep\n- \\> x"),
        ("", ""),
    ],
)
def test_a_text_is_only_changed_where_it_must_be(text: str, told: str) -> None:
    assert closed(text) == told


@given(BODIES)
def test_nothing_is_lost_of_what_is_nested(text: str) -> None:
    deep = "\n".join(f"{'- ' * depth}w{depth}" for depth in range(1, 30))
    shown = MARKDOWN.render(closed(inert(f"{deep}\n\n{text}")))
    assert all(f"w{depth}" in shown for depth in range(1, 30))


@pytest.mark.parametrize(
    ("text", "section"),
    [
        (f"It rose.\n\n## {TITLE}\n\n- gap\n", "\n- gap\n"),
        (f"## {TITLE}\n- gap\n\n### More\n\n- gap 2\n\n## Market\n\nIt rose.", "- gap\n\n### More\n\n- gap 2\n\n"),
        (f"### {TITLE}:\n- gap\n# Market", "- gap\n"),
        (f"**{TITLE}**\n---\n- gap", "- gap"),
        (f"It says ## {TITLE} here.", ""),
        (f"```\n## {TITLE}\n```\n99", ""),
        (f"> ## {TITLE}\n> 99", ""),
        ("", ""),
    ],
)
def test_a_section_is_found_by_its_heading_and_ends_with_it(text: str, section: str) -> None:
    found = below(text, TITLE)
    assert text[found.start : found.stop] == section

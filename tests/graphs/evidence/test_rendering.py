"""The report as a reader gets it: nothing in the words of others hides or changes what code says around them."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it.token import Token

from graphs.evidence.markdown import MARKDOWN
from graphs.evidence.rendering import rendered
from graphs.spending.limits import Limits
from graphs.state import Report
from graphs.stop_reasons import EXPLAINED, StopReason
from graphs.untrusted.inert import one_line
from tests.graphs.evidence.test_markdown import BODIES, PARSERS

NOTICE = "Written by the stand-in."


def state(text: str) -> Any:
    """A job that has something of everything, in these words."""
    dropped = {"id": "F1", "task": "T1", "claim": text, "refused": "12 is not in E1", "status": "dropped"}
    evidence = {
        "id": "E1", "task": "T1", "server": "knowledge_base", "tool": "read", "arguments": {}, "title": text,
        "source": {"publisher": text, "date": text, "url": text}, "untrusted": True, "flags": [],
    }  # fmt: skip
    return {
        "job_id": "job-1", "question": f"{text} ?", "status": "partial", "stop_reason": StopReason.BUDGET,
        "stop_detail": text, "flags": [text, "second"], "findings": {"F1": dropped}, "evidence": {"E1": evidence},
        "tasks": {}, "limits": Limits().model_dump(), "used": {"micro_usd": 1000},
    }  # fmt: skip


def report(body: str, text: str) -> Report:
    problems = [f"“{text}”: 99 is not in E1", "second"]
    return Report(title=text, body=body, attempts=2, by_code=False, problems=problems)


def blocks(tokens: list[Token]) -> list[tuple[str, str]]:
    """Of what stands at the top of the document: the kind, and all text in it."""
    found: list[tuple[str, str]] = []
    for token in tokens:
        if token.level == 0 and token.nesting >= 0:
            found.append((token.tag, token.content))
        elif token.type == "inline":
            found[-1] = (found[-1][0], f"{found[-1][1]}{said(token.children or [])}\n")
    return found


def said(children: list[Token]) -> str:
    return "".join(" " if each.type == "softbreak" else each.content for each in children)


def plain(text: str) -> str:
    return said(MARKDOWN.parseInline(one_line(text))[0].children or [])


WORDS = BODIES.filter(one_line)


@pytest.mark.parametrize("parser", PARSERS)
@given(BODIES, WORDS)
@example("- " * 30, "`")
@example("```", "# #")
@example("~~~", "1. - > x")
@example("![c](E1.svg)", "**")
@example("> a", "---")
@example("x", "a \\")
@example("x", "<![CDATA[<![CDATA[[")
@example("===", "&amp; &#42; ~~x~~ _x_ ``` <!--")
def test_what_code_says_stands_at_the_top_whatever_the_words_in_it_and_between(
    parser: Any, body: str, text: str
) -> None:
    told = blocks(parser.parse(rendered(state(text), report(f"{body}\n\nIt rose [E1].", text), NOTICE)))
    words = plain(text)
    assert told[:4] == [
        ("h1", f"{words}\n"),
        ("blockquote", f"{plain(f'{text} ?')}\n"),
        ("p", f"This report is partial: {EXPLAINED[StopReason.BUDGET]} ({words}).\n"),
        ("p", f"{NOTICE}\n"),
    ]
    *listed, (_, sources), (rule, _), (_, run) = told[-10:]
    assert listed == [
        ("h2", "Dropped claims\n"),
        ("ul", f"{plain(f'“{text}” (12 is not in E1)')}\n"),
        ("h2", "Statements not verified\n"),
        ("ul", f"{plain(f'“{text}”: 99 is not in E1')}\nsecond\n"),
        ("h2", "Remarks\n"),
        ("ul", f"{words}\nsecond\n"),
        ("h2", "Sources\n"),
    ]
    assert sources == f"{words}, {words}, {words}, {words} (E1; from outside)\n"
    assert (rule, run.partition(" (")[0]) == ("hr", "Job job-1 · partial")


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="@/.:")))
@example("# a #")
@example("1) - a")
@example("__a__ a__b")
@example("&lt; a_b _c_ ~~d~~ ~5 [x](y) <b> \\")
def test_one_line_reads_as_it_was_written(text: str) -> None:
    assert plain(text) == " ".join(text.split())

"""Parses a report's Markdown into tokens that are safe to show in any form.

The text comes from a model, so raw HTML stays text, a chart is one of ours or its description, and a link leads to a
source of the report, to its evidence or nowhere.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from markdown_it.token import Token

from graphs.evidence.markdown import MARKDOWN
from graphs.evidence.rendering import EVIDENCE_FOLDER
from graphs.evidence.store import Evidence
from graphs.untrusted.inert import is_address

NOWHERE = "#"
_NUMERIC = re.compile(
    r"[^\w\[]{0,3}(?:[A-Z]{3}[\s\u00a0]?)?[^\w\[]{0,3}\d[\d.,\s\u00a0]*(?:%|\s?[\w$\u20ac\u00a3]{1,8})?", re.ASCII
)
LONGEST_ADDRESS = 2048
_CHART = re.compile(rf"{EVIDENCE_FOLDER}/(E\d+)\.svg", re.ASCII)
_FILE = re.compile(rf"{EVIDENCE_FOLDER}/(E\d+)\.md", re.ASCII)


def parsed(text: str, evidence: Mapping[str, Evidence], under: int = 1) -> list[Token]:
    """The tokens. An image is the chart of evidence `meta["chart"]`; a link leads to a source, to evidence (`#E1`) or
    nowhere. Headings are below that of level `under`, and skip no level; columns of numbers have the class `num`."""
    tokens = MARKDOWN.parse(text)
    named = (each.url for each in evidence.values() if not each.flags)
    _localised(tokens, evidence, {MARKDOWN.normalizeLink(each) for each in named if _leads(each)})
    _levelled(tokens, under)
    _aligned(tokens)
    return tokens


def _leads(address: str) -> bool:
    return is_address(address) and len(address) <= LONGEST_ADDRESS


def _localised(tokens: Sequence[Token], evidence: Mapping[str, Evidence], sources: Collection[str]) -> None:
    for token in tokens:
        _localised(token.children or [], evidence, sources)
        if token.type == "image":
            chart = _CHART.fullmatch(str(token.attrs["src"]))
            if chart and chart[1] in evidence and evidence[chart[1]].svg:
                token.meta["chart"] = chart[1]
            else:
                token.type, token.tag, token.children = "text", "", None
        elif token.type == "link_open":
            target = str(token.attrs["href"])
            file = _FILE.fullmatch(target)
            inside = f"#{file[1]}" if file and file[1] in evidence else NOWHERE
            token.attrs["href"] = target if target in sources else inside


def _levelled(tokens: Sequence[Token], under: int) -> None:
    level = under
    for token in tokens:
        if token.type == "heading_open":
            level = min(max(int(token.tag[1:]), under + 1), level + 1)
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{level}"


def _aligned(tokens: Sequence[Token]) -> None:
    """Mark the cells of columns that have numbers only, but for citations."""
    columns: list[list[tuple[Token, str]]] = []
    at = 0
    for token, inline in pairwise(tokens):
        if token.type == "table_open":
            columns = []
        elif token.type == "tr_open":
            at = 0
        elif token.type in {"th_open", "td_open"}:
            columns += [[]] if at == len(columns) else []
            columns[at].append((token, inline.content))
            at += 1
        elif token.type == "tbody_close":
            for column in columns[1:]:
                if all(_NUMERIC.fullmatch(content) for _, content in column[1:] if content):
                    for cell, _ in column:
                        cell.attrSet("class", "num")
                        cell.attrs.pop("style", None)

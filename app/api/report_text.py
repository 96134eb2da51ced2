"""Parses a report's Markdown into tokens that are safe to show in any form.

The text comes from a model, so raw HTML stays text, a chart is one of ours or its description, and a link leads to a
source of the report, to its evidence or nowhere.
"""

import re
from collections.abc import Collection, Mapping, Sequence

from markdown_it.common.utils import unescapeAll
from markdown_it.token import Token

from graphs.evidence.markdown import MARKDOWN
from graphs.evidence.rendering import EVIDENCE_FOLDER
from graphs.evidence.store import Evidence
from graphs.untrusted.inert import is_address

NOWHERE = "#"
LONGEST_ADDRESS = 2048
_CHART = re.compile(rf"{EVIDENCE_FOLDER}/(E\d+)\.svg", re.ASCII)
_FILE = re.compile(rf"{EVIDENCE_FOLDER}/(E\d+)\.md", re.ASCII)


def parsed(text: str, evidence: Mapping[str, Evidence]) -> list[Token]:
    """The tokens. An image is the chart of evidence `meta["chart"]`; a link leads to a source, to evidence (`#E1`) or
    nowhere."""
    tokens = MARKDOWN.parse(text)
    named = (each.url for each in evidence.values() if not each.flags)
    _localised(tokens, evidence, {MARKDOWN.normalizeLink(each) for each in named if _leads(each)})
    return tokens


def _leads(address: str) -> bool:
    return is_address(address) and len(address) <= LONGEST_ADDRESS


def title_of(text: str) -> str:
    """The report's first heading, as text."""
    return next((unescapeAll(line[2:]) for line in text.splitlines() if line.startswith("# ")), "Report")


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

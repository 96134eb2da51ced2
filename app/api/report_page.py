"""A report as one HTML page that needs nothing else: charts and evidence are in it.

The text comes from a model, so raw HTML in it stays text, nothing is loaded from anywhere, and the policy lets no
script run.
"""

import base64
import hashlib
import html
import re
from collections.abc import Collection, Mapping, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from graphs.evidence import Evidence
from graphs.rendering import EVIDENCE_FOLDER, about

STYLE = (
    "body{max-width:50rem;margin:2rem auto;padding:0 1rem;font:1rem/1.5 system-ui,sans-serif;color:#1a1a1a}"
    "img{max-width:100%}table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.2rem .6rem}"
    "pre{overflow-x:auto;background:#f5f5f5;padding:.6rem}blockquote{color:#555;margin-left:0}"
)
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; img-src data:; style-src 'sha256-{_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
)
_CHART = re.compile(rf"{EVIDENCE_FOLDER}/(E\d+)\.svg", re.ASCII)
_FILE = re.compile(rf"{EVIDENCE_FOLDER}/(E\d+)\.md", re.ASCII)


def page(text: str, evidence: Mapping[str, Evidence]) -> str:
    """The page of this report, given as Markdown, and of the evidence behind it."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    known = (each.content.get("url") for each in evidence.values() if not each.flags)
    _localised(tokens, evidence, {markdown.normalizeLink(str(url)) for url in known if url})
    body = markdown.renderer.render(tokens, markdown.options, {})
    title = html.escape(next((line[2:] for line in text.splitlines() if line.startswith("# ")), "Report"))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body>\n{body}{_appendix(evidence)}</body></html>\n"
    )


def _localised(tokens: Sequence[Token], evidence: Mapping[str, Evidence], sources: Collection[str]) -> None:
    """Charts become part of the page, evidence a link into it; an image from anywhere else is its description, and a
    link that leads to no source leads nowhere."""
    for token in tokens:
        _localised(token.children or [], evidence, sources)
        if token.type == "image":
            chart = _CHART.fullmatch(str(token.attrs["src"]))
            svg = evidence[chart[1]].content.get("svg") if chart and chart[1] in evidence else None
            if svg is None:
                token.type, token.tag, token.children = "text", "", None
            else:
                token.attrs["src"] = f"data:image/svg+xml;base64,{base64.b64encode(str(svg).encode()).decode()}"
        elif token.type == "link_open":
            target = str(token.attrs["href"])
            file = _FILE.fullmatch(target)
            token.attrs["href"] = f"#{file[1]}" if file else target if target in sources else "#"


def _appendix(evidence: Mapping[str, Evidence]) -> str:
    parts = [
        f'<details id="{name}"><summary>{name}: {html.escape(f"{each.server}.{each.tool}")}</summary>'
        f"<p>{html.escape(about(each))}</p><pre>{html.escape(each.text)}</pre></details>\n"
        for name, each in evidence.items()
    ]
    return f"<h2>Evidence</h2>\n{''.join(parts)}" if parts else ""

"""A report as one self-contained HTML page with charts and evidence. Its policy blocks all scripts."""

import base64
import hashlib
import html
from collections.abc import Mapping, Sequence

from markdown_it.token import Token

from app.api.report_text import parsed, title_of
from graphs.evidence.markdown import MARKDOWN
from graphs.evidence.rendering import about
from graphs.evidence.store import Evidence

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


def page(text: str, evidence: Mapping[str, Evidence]) -> str:
    """The page for this Markdown report and its evidence."""
    tokens = parsed(text, evidence)
    inlined(tokens, evidence)
    body = MARKDOWN.renderer.render(tokens, MARKDOWN.options, {})
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title_of(text))}</title>'
        f"<style>{STYLE}</style></head><body>\n{body}{_appendix(evidence)}</body></html>\n"
    )


def inlined(tokens: Sequence[Token], evidence: Mapping[str, Evidence]) -> None:
    """Put the charts into the tokens of their images."""
    for token in tokens:
        inlined(token.children or [], evidence)
        if token.type == "image":
            svg = evidence[token.meta["chart"]].svg or ""
            token.attrs["src"] = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _appendix(evidence: Mapping[str, Evidence]) -> str:
    parts = [
        f'<details id="{name}"><summary>{name}: {html.escape(f"{each.server}.{each.tool}")}</summary>'
        f"<p>{html.escape(about(each))}</p><pre>{html.escape(each.text)}</pre></details>\n"
        for name, each in evidence.items()
    ]
    return f"<h2>Evidence</h2>\n{''.join(parts)}" if parts else ""

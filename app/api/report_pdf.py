"""A report as PDF, with its charts and the beginning of each piece of evidence."""

import asyncio
import json
import logging
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from markdown_it.tree import SyntaxTreeNode

from app.api.report_text import parsed, title_of
from app.api.typesetting import REFUSED
from app.errors import NotTypeset, OperatorMustAct
from graphs.evidence.rendering import about
from graphs.evidence.store import Evidence
from safe_http.turns import Turns

EVIDENCE_CHARS = 2_000  # of each piece; the HTML page has all of it
DEEPEST = 8  # deeper nesting is flattened; Typst refuses much deeper nesting
AT_ONCE = 2
WAIT_S = 10.0
SECONDS = 20.0
# Run as a file: as a module it would import its package, which takes seconds.
_COMMAND = (sys.executable, "-I", str(Path(__file__).with_name("typesetting.py")))
_ENVIRONMENT = {"RAYON_NUM_THREADS": "1"}
# Exits caused by the document: on purpose, or out of memory or stack.
_ITS_FAULT = {REFUSED, -signal.SIGABRT, -signal.SIGSEGV, -signal.SIGKILL}

logger = logging.getLogger(__name__)


class Typesetter:
    """Typesets few PDFs at a time, because each takes a CPU that also serves requests. Tenants take turns."""

    def __init__(self) -> None:
        self._turns = Turns(lambda: AT_ONCE)

    async def pdf(self, text: str, evidence: Mapping[str, Evidence], tenant: str) -> bytes:
        """The PDF of this tenant's Markdown report.

        Raises:
            NotTypeset: it needs too much time, memory or nesting, or a chart is invalid.
            OperatorMustAct: the queue is too long, or the typesetter does not work.
        """
        try:
            async with asyncio.timeout(WAIT_S):
                await self._turns.take(tenant)
        except TimeoutError as error:
            raise OperatorMustAct("the typesetter is busy; retry later, or request HTML") from error
        try:
            async with asyncio.timeout(SECONDS):
                return await _typeset(await asyncio.to_thread(_document, text, evidence))
        except TimeoutError as error:
            raise NotTypeset(f"the report takes longer than {SECONDS:g} s to typeset; request HTML") from error
        finally:
            self._turns.give_back(tenant)


async def _typeset(document: bytes) -> bytes:
    process = await asyncio.create_subprocess_exec(*_COMMAND, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=_ENVIRONMENT)
    try:
        made, said = await process.communicate(document)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        logger.warning("a report could not be typeset (%d): %s", process.returncode, said.decode()[-500:])
    elif said:
        logger.warning(
            "a report was typeset, but: %s Debian's fonts-noto-* packages have more fonts", said.decode()[-500:]
        )
    if process.returncode in _ITS_FAULT:
        raise NotTypeset("the report is too large or contains something that cannot be typeset; request HTML")
    if process.returncode:
        raise OperatorMustAct("the typesetter does not work; the log says why")
    return made


def _document(text: str, evidence: Mapping[str, Evidence]) -> bytes:
    """The input of `typesetting.typ`."""
    try:
        nodes = [_node(each) for each in SyntaxTreeNode(parsed(text, evidence)).children]
    except RecursionError as error:
        raise NotTypeset("the report is nested too deeply to be typeset; request HTML") from error
    parts = [
        {"id": name, "title": f"{name}: {each.server}.{each.tool}", "about": about(each), "text": _begun(each.text)}
        for name, each in evidence.items()
    ]
    charts = {name: each.svg for name, each in evidence.items()}
    return json.dumps({"title": title_of(text), "nodes": nodes, "charts": charts, "evidence": parts}).encode()


def _begun(text: str) -> str:
    """The first lines of the text, as many as fit."""
    if len(text) <= EVIDENCE_CHARS:
        return text
    cut = text[:EVIDENCE_CHARS]
    lines, _, rest = cut.rpartition("\n")
    begun = lines if len(rest) < EVIDENCE_CHARS // 2 else cut
    return f"{begun}\n# {len(text)} characters in total; the HTML report has all of them"


def _node(node: SyntaxTreeNode, depth: int = 0) -> dict[str, Any]:
    """A node for the template: its kind, that kind's attributes, and its children."""
    told: dict[str, Any] = {"kind": node.type}
    match node.type:
        case "text" | "code_inline" | "code_block" | "fence":
            told["text"] = node.content
        case "image":
            return {**told, "chart": node.meta["chart"], "text": node.content, "children": []}
        case "link":
            told["target"] = node.attrs["href"]
        case "heading":
            told["level"] = int(node.tag.removeprefix("h"))
        case "ordered_list":
            told["start"] = node.attrs.get("start", 1)
        case "table":
            told["sides"] = [_side(each) for each in node.children[0].children[0].children]
        case "paragraph" if node.hidden:  # in a tight list
            told["kind"] = "inline"
    if depth < DEEPEST:
        return {**told, "children": [_node(each, depth + 1) for each in node.children]}
    return {"kind": "inline", "children": [_node(each, 0) for each in _leaves(node)]}


def _leaves(node: SyntaxTreeNode) -> Iterator[SyntaxTreeNode]:
    return (each for each in node.walk() if not each.children)


def _side(heading: SyntaxTreeNode) -> str:
    return str(heading.attrs.get("style", "left")).removeprefix("text-align:")

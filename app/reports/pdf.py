"""A report as PDF, with its charts and the beginning of each piece of evidence."""

import asyncio
import base64
import json
import logging
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from app.errors import NotTypeset, OperatorMustAct
from app.reports.document import Document
from app.reports.drawing import described, svg
from app.reports.exhibits import Exhibit, cut, exhibit
from app.reports.figures import FIGURE
from app.reports.sources import Source
from app.reports.typesetting import REFUSED
from safe_http.turns import Turns

EVIDENCE_CHARS, EVIDENCE_ROWS = 2_000, 30  # of each piece; the HTML page has all of it
CELL_CHARS, LONG = 400, 40  # of a cell: at most, and from when columns share the page by their length
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

    async def pdf(self, document: Document, tenant: str) -> bytes:
        """The PDF of this tenant's report.

        Raises:
            NotTypeset: it needs too much time, memory or nesting, or a chart is invalid.
            OperatorMustAct: the queue is too long, or the typesetter does not work.
        """
        return await self._made(lambda: _document(document), tenant)

    async def pictures(self, charts: Mapping[str, str], tenant: str) -> dict[str, bytes]:
        """These SVGs as PNGs, by the same keys. Raises as `pdf`."""
        if not charts:
            return {}
        drawn = json.loads(await self._made(lambda: json.dumps({"pictures": [*charts.values()]}).encode(), tenant))
        return {key: base64.b64decode(each) for key, each in zip(charts, drawn, strict=True)}

    async def _made(self, given: Callable[[], bytes], tenant: str) -> bytes:
        try:
            async with asyncio.timeout(WAIT_S):
                await self._turns.take(tenant)
        except TimeoutError as error:
            raise OperatorMustAct("the typesetter is busy; retry later, or request HTML") from error
        try:
            async with asyncio.timeout(SECONDS):
                return await _typeset(await asyncio.to_thread(given))
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


def _document(document: Document) -> bytes:
    """The input of `typesetting.typ`."""
    exhibits = {
        name: exhibit(name, each, document.carriers, EVIDENCE_ROWS, EVIDENCE_CHARS)
        for name, each in document.evidence.items()
    }
    places = {cell.anchor for shown in exhibits.values() for row in shown.rows for cell in row if cell.anchor}
    there = places | {each.id for each in document.appendix}
    try:
        told = {
            "title": document.title,
            "question": document.question,
            "notice": document.notice,
            "facts": document.facts,
            "partial": _nodes(document.partial, there),
            "body": _nodes(document.body, there),
            "sections": [{"title": each.title, "nodes": _nodes(each.tokens, there)} for each in document.sections],
            "method": _nodes(document.method.tokens, there),
            "sources": [_source(each) for each in document.sources],
            "evidence": [
                {**_source(each), "call": each.call[:-1], **_exhibit(exhibits[each.id])} for each in document.appendix
            ],
            "charts": {name: each.svg for name, each in document.evidence.items() if each.svg},
        }
    except RecursionError as error:
        raise NotTypeset("the report is nested too deeply to be typeset; request HTML") from error
    return json.dumps(told).encode()


def _source(source: Source) -> dict[str, Any]:
    return {
        "id": source.id,
        "number": source.number,
        "words": source.words,
        "address": source.address,
        "doubts": source.doubts,
    }


def _exhibit(shown: Exhibit) -> dict[str, Any]:
    more = f"{shown.more}; the HTML report has them" if shown.columns and shown.more else shown.more
    lines = [[each.name for each in shown.columns], *([cell.text for cell in row] for row in shown.rows)]
    widest = [max(len(line[at][:CELL_CHARS]) for line in lines) for at in range(len(shown.columns))]
    return {
        "columns": [each._asdict() for each in shown.columns],
        "rows": [[{"text": cut(each.text, CELL_CHARS), "anchor": each.anchor} for each in row] for row in shown.rows],
        "widths": [round(min(max(each, 6), 120) ** 0.5, 1) for each in widest] if max(widest, default=0) > LONG else [],
        "text": "\n".join(each.text for each in shown.lines),
        "more": more,
    }


def _nodes(tokens: Sequence[Token], there: Collection[str]) -> list[dict[str, Any]]:
    return [_node(each, there) for each in SyntaxTreeNode(tokens).children]


def _node(node: SyntaxTreeNode, there: Collection[str], depth: int = 0) -> dict[str, Any]:
    """A node for the template: its kind, that kind's attributes, and its children."""
    told: dict[str, Any] = {"kind": node.type}
    match node.type:
        case "text" | "code_inline" | "code_block" | "fence":
            told["text"] = node.content
        case "image":
            return {**told, "chart": node.meta["chart"], "text": node.content, "children": []}
        case "figure":
            series = node.meta[FIGURE]
            return {**told, "svg": svg(series), "text": described(series), "caption": node.content, "children": []}
        case "link":
            told["target"] = _target(node, there)
        case "heading":
            told["level"] = int(node.tag.removeprefix("h"))
        case "ordered_list":
            told["start"] = node.attrs.get("start", 1)
        case "table":
            told["sides"] = [_side(each) for each in node.children[0].children[0].children]
        case "paragraph" if node.hidden:  # in a tight list
            told["kind"] = "inline"
    if depth < DEEPEST:
        return {**told, "children": [_node(each, there, depth + 1) for each in node.children]}
    return {"kind": "inline", "children": [_node(each, there, 0) for each in _leaves(node)]}


def _target(node: SyntaxTreeNode, there: Collection[str]) -> str:
    """Where a link leads: the place in the evidence if it is shown, else the evidence, else nowhere."""
    target = str(node.attrs["href"])
    if not target.startswith("#"):
        return target
    places = (target[1:], target[1:].partition("-")[0])
    return next((f"#{each}" for each in places if each in there), "#")


def _leaves(node: SyntaxTreeNode) -> Iterator[SyntaxTreeNode]:
    return (each for each in node.walk() if not each.children)


def _side(heading: SyntaxTreeNode) -> str:
    if heading.attrs.get("class") == "num":
        return "right"
    return str(heading.attrs.get("style", "left")).removeprefix("text-align:")

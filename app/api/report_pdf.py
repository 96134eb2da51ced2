"""A report as PDF, with its charts and the beginning of each piece of evidence behind it."""

import asyncio
import json
import logging
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markdown_it.tree import SyntaxTreeNode

from app.api.report_text import parsed, title_of
from app.errors import NotTypeset
from graphs.evidence import Evidence
from graphs.rendering import about

EVIDENCE_CHARS = 2_000  # of each piece; the HTML page has all of it
DEEPEST = 8  # what is nested deeper is set as if it were not; Typst refuses what is much deeper
SECONDS = 20.0
# As a file: of a module its package would be imported, too, which takes seconds.
_COMMAND = (sys.executable, "-I", str(Path(__file__).with_name("typesetting.py")))

logger = logging.getLogger(__name__)


class Typesetter:
    """Makes one PDF at a time, for each takes a CPU that answers the others."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()

    async def pdf(self, text: str, evidence: Mapping[str, Evidence]) -> bytes:
        """The document of this report, given as Markdown.

        Raises:
            NotTypeset: it takes too much time or memory, or has a chart that is none.
        """
        document = json.dumps(_document(text, evidence)).encode()
        async with self._one:
            try:
                async with asyncio.timeout(SECONDS):
                    return await _typeset(document)
            except TimeoutError as error:
                raise NotTypeset(f"the report takes longer than {SECONDS:g} s to typeset; ask for HTML") from error


async def _typeset(document: bytes) -> bytes:
    process = await asyncio.create_subprocess_exec(*_COMMAND, stdin=PIPE, stdout=PIPE, stderr=PIPE, env={})
    try:
        made, said = await process.communicate(document)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        logger.warning("a report could not be typeset (%d): %s", process.returncode, said.decode()[-500:])
        raise NotTypeset("the report has something that cannot be typeset, or too much; ask for HTML")
    return made


def _document(text: str, evidence: Mapping[str, Evidence]) -> dict[str, Any]:
    """What `typesetting.typ` reads."""
    return {
        "title": title_of(text),
        "nodes": [_node(each) for each in SyntaxTreeNode(parsed(text, evidence)).children],
        "evidence": [
            {"id": name, "title": f"{name}: {each.server}.{each.tool}", "about": about(each), "text": _begun(each.text)}
            for name, each in evidence.items()
        ],
    }


def _begun(text: str) -> str:
    """Whole lines of it, as many as have a place."""
    if len(text) <= EVIDENCE_CHARS:
        return text
    begun = text[:EVIDENCE_CHARS].rpartition("\n")[0]
    return f"{begun}\n# {len(text)} characters in all; the HTML report has them"


def _node(node: SyntaxTreeNode, depth: int = 0) -> dict[str, Any]:
    """What the template sets: the kind of the node, what that kind needs, and what is in it."""
    told: dict[str, Any] = {"kind": node.type if depth < DEEPEST or not node.children else "inline"}
    match told["kind"]:
        case "text" | "code_inline" | "code_block" | "fence":
            told["text"] = node.content
        case "image":
            told |= {"svg": node.meta["svg"], "text": node.content}
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
    return {**told, "children": [_node(each, depth + 1) for each in node.children]}


def _side(heading: SyntaxTreeNode) -> str:
    return str(heading.attrs.get("style", "left")).removeprefix("text-align:")

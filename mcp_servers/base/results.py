"""Results of tools: compact text for the model, and structured content for programs.

The text is CSV or prose, because FastMCP's own rendering of a dict (indented JSON) costs several times the tokens.
"""

import csv
import io
from typing import Literal

from mcp.server.fastmcp.exceptions import ToolError
from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel, ConfigDict

COST = "cost_usd"  # in the `_meta` of a tool: what a call costs at most; in that of a result: what it did cost

Cell = str | int | float | bool | None


class Unbilled(ToolError):
    """The tool failed in a way that nobody charges for."""


class Table(BaseModel):
    """Rows under named columns. `row_count` is the number of rows before the server's row limit.

    `unreliable_rows` (from 0): so much of their text was lost that their numbers prove nothing.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["table"] = "table"
    title: str
    columns: list[str]
    rows: list[list[Cell]]
    row_count: int
    truncated: bool = False
    notes: list[str] = []
    unreliable_rows: list[int] = []
    data_version: str


class Document(BaseModel):
    """One document, or one section of it, with what a citation needs. `unreliable`: see `Table.unreliable_rows`."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["document"] = "document"
    id: str
    title: str
    publisher: str
    date: str
    url: str
    confidence: str
    section: str | None
    sections: list[str]
    text: str
    notes: list[str] = []
    unreliable: bool = False
    data_version: str


class WebTable(Table):
    """Unverified rows from outside."""

    untrusted: Literal[True] = True


class WebPage(Document):
    """An unverified page from outside, or one of the `parts` of a long one.

    `retrieved` is a UTC date without time, so that reading a page twice gives the same.
    """

    untrusted: Literal[True] = True
    part: int
    parts: int
    retrieved: str


class Chart(BaseModel):
    """A picture of a table, as SVG markup."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["chart"] = "chart"
    title: str
    svg: str
    data_version: str


def table_result(table: Table) -> CallToolResult:
    """CSV with a header for the model, the table as structured content."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(["" if cell is None else cell for cell in row] for row in table.rows)
    lines = [f"# {table.title}", out.getvalue().rstrip("\n")]
    if table.truncated:
        lines.append(f"# cut: {len(table.rows)} of {table.row_count} rows; narrow the request to see the rest")
    lines += [f"# {note}" for note in table.notes]
    return _result("\n".join(lines), table)


def document_result(document: Document) -> CallToolResult:
    """The text under a header line with what a citation needs."""
    notes = "".join(f"\n# {note}" for note in document.notes)
    return _result(f"{_head(document)}{notes}\n{document.text}", document)


def page_result(page: WebPage) -> CallToolResult:
    """Like a document, and how to read the next part if there is one."""
    more = f"\n# part {page.part} of {page.parts}; the next is part={page.part + 1}" if page.part < page.parts else ""
    return _result(f"{_head(page)}\n{page.text}{more}", page)


def chart_result(chart: Chart) -> CallToolResult:
    """One line for the model; the SVG is structured content only."""
    return _result(f"# chart drawn: {chart.title}", chart)


def unbilled(message: str) -> CallToolResult:
    """A failure that cost nothing."""
    return CallToolResult(content=[TextContent(type="text", text=message)], isError=True, _meta={COST: 0})


def _head(document: Document) -> str:
    return f"# {document.title} | {document.publisher} | {document.date} | {document.confidence} | {document.url}"


def _result(text: str, content: BaseModel) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structuredContent=content.model_dump(mode="json")
    )

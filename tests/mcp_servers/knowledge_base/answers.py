"""What the knowledge base answers, as tests read it."""

from pathlib import Path
from typing import Any

from mcp.types import CallToolResult, TextContent

from mcp_servers.base.reloading import Progress
from mcp_servers.base.results import Table
from mcp_servers.knowledge_base.documents import Library
from mcp_servers.knowledge_base.reading import Reader
from mcp_servers.knowledge_base.server import COLUMNS
from mcp_servers.knowledge_base.shelf import Folder


def library_of(folder: Path, reader: Reader | None = None) -> Library:
    return Folder(folder, None, reader).load(Progress()).library


def text_of(result: CallToolResult) -> str:
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


def rows_of(result: CallToolResult) -> list[dict[str, Any]]:
    assert not result.isError, text_of(result)
    table = Table.model_validate(result.structuredContent)
    assert table.columns == COLUMNS
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]

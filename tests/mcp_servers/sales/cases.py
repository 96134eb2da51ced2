"""Inputs as strangers bring them, what is right, and how it is tried."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp_servers.base.serving import StartupError
from mcp_servers.sales import catalog, own_data, settings
from mcp_servers.sales.warehouse import Warehouse

Make = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """An input and what is right.

    Attributes:
        name: of the file, or of a folder with a slash at its end.
        content: text, bytes, or a function that makes the file or folder.
        sql: a query, and `rows`, its answer.
        told: what describe_schema says somewhere.
        remedy: a line of the settings file with which it becomes right; without it, it is refused or text, as `told`.
    """

    name: str
    content: str | bytes | Make
    sql: str = ""
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    told: str = ""
    remedy: str = ""


def made(case: Case, folder: Path) -> Path:
    data = folder / case.name.removesuffix("/")
    if callable(case.content):
        data.mkdir() if case.name.endswith("/") else None
        case.content(data)
    else:
        data.write_bytes(case.content.encode() if isinstance(case.content, str) else case.content)
    return data


def loaded(data: Path, folder: Path) -> Warehouse:
    return Warehouse(lambda: own_data.load(data, folder / "own"))


def schema(warehouse: Warehouse) -> str:
    found = catalog.describe(warehouse)
    return "\n".join([*found.notes, *(str(row) for row in found.rows)])


def holds(case: Case, folder: Path) -> None:
    data = made(case, folder)
    if case.remedy:
        told = ""
        try:
            told = schema(loaded(data, folder))
        except StartupError as refusal:
            told = str(refusal)
        assert case.told in told
        settings.place(data).write_text(case.remedy)
    warehouse = loaded(data, folder)
    if case.sql:
        assert warehouse.rows(case.sql) == case.rows
    if not case.remedy:
        assert case.told in schema(warehouse)

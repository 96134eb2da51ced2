"""An MCP server that nobody here knows, over stdio: a warehouse with rows, notes, and a tool that changes them."""

import json
from typing import Annotated, Literal

from mcp.server.fastmcp import FastMCP
from pydantic import Field

server = FastMCP("inventory")

STOCK = [
    {"item": "Bolt M8", "warehouse": "Hamburg", "on_hand": 4120, "price_eur": 0.12},
    {"item": "Bolt M8", "warehouse": "Oslo", "on_hand": 380, "price_eur": 0.14},
    {"item": "Washer W2", "warehouse": "Hamburg", "on_hand": 17650, "price_eur": 0.03},
]
NOTES = {
    "N1": ("Storing bolts", "Bolts are stored below 60 percent humidity. A shelf carries at most 850 kg.\n\nAsk Ines."),
    "N2": ("Opening hours", "The warehouse in Oslo opens at 7 and closes at 16."),
}
CHANGES: list[str] = []


@server.tool()
def stock_levels(
    item: Annotated[str, Field(description="name of an item, or a part of it", examples=["Bolt M8"])],
    order_by: Literal["item", "warehouse"] = "item",
) -> str:
    """How many pieces of an item each warehouse has on hand, and their price."""
    rows = [row for row in STOCK if item.lower() in str(row["item"]).lower()]
    return json.dumps({"rows": sorted(rows, key=lambda row: str(row[order_by])), "cut": False})


@server.tool()
def search_notes(query: Annotated[str, Field(description="keywords to search for")], limit: int = 5) -> str:
    """Finds notes of the warehouse staff."""
    words = query.lower().split()
    found = [
        (key, title) for key, (title, text) in NOTES.items() if any(word in f"{title} {text}".lower() for word in words)
    ]
    return json.dumps([{"note_id": key, "title": title} for key, title in found[:limit]])


@server.tool()
def read_note(note_id: Annotated[str, Field(pattern=r"^N\d+$")]) -> str:
    """The whole text of a note."""
    title, text = NOTES[note_id]
    return f"# {title}\n\n{text}"


@server.tool()
def set_stock(item: str, on_hand: int) -> str:
    """Changes how many pieces of an item there are."""
    CHANGES.append(f"{item} {on_hand}")
    raise RuntimeError("nobody asked for that")


if __name__ == "__main__":
    server.run("stdio")

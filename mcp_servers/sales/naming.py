"""Names that are easy to write in SQL, and comments with the original names."""

import re
import unicodedata
from collections.abc import Iterable

from duckdb import DuckDBPyConnection

SPELT = str.maketrans({"€": " eur ", "%": " pct ", "#": " number ", "&": " and ", "ß": "ss", "ø": "o", "Ø": "O"})


def snake_case(name: str) -> str:
    """`Umsatz (€)` becomes `umsatz_eur`; a name without usable characters becomes empty."""
    ascii_name = unicodedata.normalize("NFKD", name.translate(SPELT)).encode("ascii", "ignore").decode()
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", ascii_name)
    plain = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    return f"c_{plain}" if plain[:1].isdigit() else plain


def plain_names(connection: DuckDBPyConnection, originals: Iterable[str]) -> list[str]:
    """A unique `snake_case` name for each, none of them a reserved word."""
    keywords = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'"
    reserved = {str(word) for (word,) in connection.execute(keywords).fetchall()}
    names: list[str] = []
    for position, old in enumerate(originals, start=1):
        plain = snake_case(old) or f"column_{position}"
        if plain in reserved:
            plain += "_"
        repeats = sum(re.fullmatch(rf"{plain}(_\d+)?", name) is not None for name in names)
        names.append(f"{plain}_{repeats + 1}" if plain in names else plain)
    return names


def original(old: str, new: str) -> str:
    """The comment on a changed name; empty if it was not changed."""
    return f"original name: {old}" if old != new else ""


def describe(connection: DuckDBPyConnection, what: str, parts: Iterable[str]) -> None:
    """Comment on `what` (`TABLE x`, `COLUMN x.y`, with quoted names) unless all parts are empty."""
    if comment := "; ".join(filter(None, parts)).replace("'", "''"):
        connection.execute(f"COMMENT ON {what} IS '{comment}'")

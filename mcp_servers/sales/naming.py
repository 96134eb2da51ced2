"""Names that are easy to write in SQL, and comments with the original names."""

import re
from collections.abc import Iterable

from anyascii import anyascii
from duckdb import DuckDBPyConnection

SPELT = str.maketrans({"€": " eur ", "%": " pct ", "#": " number ", "&": " and "})


class Names:
    """Gives out unique `snake_case` names, none of them a reserved word."""

    def __init__(self, connection: DuckDBPyConnection) -> None:
        keywords = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'"
        self._reserved = {str(word) for (word,) in connection.execute(keywords).fetchall()}
        self._taken: list[str] = []

    def take(self, original: str, kind: str) -> str:
        """The name for an original one; `table_2` if nothing of it can be spelt, `order_` if it is reserved."""
        plain = snake_case(original) or f"{kind}_{len(self._taken) + 1}"
        plain += "_" * (plain in self._reserved)
        repeats = sum(re.fullmatch(rf"{plain}(_\d+)?", name) is not None for name in self._taken)
        self._taken.append(f"{plain}_{repeats + 1}" if plain in self._taken else plain)
        return self._taken[-1]


def snake_case(name: str) -> str:
    """`Umsatz (€)` becomes `umsatz_eur`, `Сумма` `summa`; a name without letters or digits becomes empty."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", anyascii(name.translate(SPELT)))
    plain = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    return f"c_{plain}" if plain[:1].isdigit() else plain


def original(old: str, new: str) -> str:
    """The comment on a changed name; empty if it was not changed."""
    return f"original name: {old}" if old != new else ""


def describe(connection: DuckDBPyConnection, what: str, parts: Iterable[str]) -> None:
    """Comment on `what` (`TABLE x`, `COLUMN x.y`, with quoted names) unless all parts are empty."""
    if comment := "; ".join(filter(None, parts)).replace("'", "''"):
        connection.execute(f"COMMENT ON {what} IS '{comment}'")

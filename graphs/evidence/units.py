"""Reads the unit of a number in prose and of a table's column: a currency, percent, or a physical unit.

None means that it is not said, and then it contradicts nothing.
"""

import re

from graphs.evidence.years import CURRENCIES

PERCENT, COUNT = "%", "a count"
COUNTED = ("units", "orders", "customers", "items", "pieces", "count", "quantity", "qty", "number")
_SIGNS = {"$": "USD", "\u20ac": "EUR", "\u00a3": "GBP", "\u00a5": "JPY"}
_NAMES = {"euro": "EUR", "euros": "EUR", "dollars": "USD", "pounds": "GBP", "yen": "JPY", "francs": "CHF"}
_MORE = ("JPY", "CNY", "INR", "CAD", "AUD", "PLN", "CZK", "BRL", "KRW")
CODES = (*CURRENCIES.split("|"), *_MORE)
_PHYSICAL = ("kW", "MW", "GW", "Wh", "kWh", "MWh", "GWh", "TWh", "kg", "km", "MB", "GB", "TB")
_OF_A_WORD = {
    **{each.lower(): each for each in (*CODES, *_PHYSICAL)},
    **_NAMES,
    **dict.fromkeys(("pct", "percent", "percentage", "%"), PERCENT),
}
_BEFORE = re.compile(rf"(?:\b({'|'.join(CODES)})|([{''.join(_SIGNS)}]))\s?[-\u2212]?$")
_AFTER = re.compile(
    rf"\s?(?:({'|'.join((*CODES, *_PHYSICAL))})(?![\w/])|([{''.join(_SIGNS)}])|({'|'.join(_NAMES)})\b)", re.IGNORECASE
)
_WORD = re.compile(rf"[^\W\d_]+|[%{''.join(_SIGNS)}]")


def of_number(before: str, number: str, after: str) -> str | None:
    """The unit of a number in prose, from the number and the text on both sides."""
    if re.search(r"(?:%|per ?cent)$", number, re.IGNORECASE):
        return PERCENT
    if found := _BEFORE.search(before):
        return found[1] or _SIGNS[found[2]]
    if found := _AFTER.match(after):
        return _SIGNS[found[2]] if found[2] else _OF_A_WORD[(found[1] or found[3]).casefold()]
    return COUNT if (noun := noun_after(after)) and noun in COUNTED else None


def of_name(name: str) -> str | None:
    """The unit that the name of a column, or a cell with a unit, says: `revenue_eur`, `share_pct`, `Price (USD)`."""
    return of_words(words(name))


def of_words(named: frozenset[str]) -> str | None:
    """The unit that the words say, of several the only currency (`EUR per kWh`); None if they leave a doubt."""
    found = {unit for word in named if (unit := _SIGNS.get(word) or _OF_A_WORD.get(word))}
    if not found and named.intersection(COUNTED):
        return COUNT
    found = found.intersection(CODES) or found
    return found.pop() if len(found) == 1 else None


def words(name: str) -> frozenset[str]:
    """The words of a name or a text, in lower case; `revenue_eur` has two."""
    return frozenset(word.casefold() for word in _WORD.findall(name.replace("_", " ")))


def noun_after(after: str) -> str:
    """The word directly after a number, in lower case; empty if there is none."""
    found = re.match(r"\s?([^\W\d_]+)", after)
    return found[1].casefold() if found else ""

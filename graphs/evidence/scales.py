"""Reads the scale of a table's numbers: `Sales in USD million`, `revenue_eur_m`, `units (thousands)`."""

import re

from graphs.evidence.units import CODES, PERCENT, of_name, words

_WORDS = {
    **dict.fromkeys(("thousand", "thousands"), 1_000),
    **dict.fromkeys(("million", "millions", "mn", "mio"), 1_000_000),
    **dict.fromkeys(("billion", "billions", "bn"), 1_000_000_000),
}
_OF_MONEY = {"k": 1_000, "m": 1_000_000, "b": 1_000_000_000}  # `length_m` is in metres
_TITLE = re.compile(rf"\b(?:in|\w+,|\()\s?(?:\w+\s)?({'|'.join(_WORDS)})\b", re.IGNORECASE)


def scale_of(column: str, title: str) -> int:
    """What a number in the column is to be multiplied by; 1 if neither its name nor the title of the table says."""
    named, unit = words(column), of_name(column)
    known = {**_WORDS, **(_OF_MONEY if unit in CODES else {})}
    if found := [known[each] for each in named if each in known]:
        return found[0]
    said = _TITLE.search(title)
    return _WORDS[said[1].casefold()] if said and unit != PERCENT else 1

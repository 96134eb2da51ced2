"""Countries and regions of the sample, by the names and adjectives that people use."""

import re

_NAMES = {
    "Germany": "German", "France": "French", "Italy": "Italian", "Netherlands": "Dutch; Holland",
    "Norway": "Norwegian", "Sweden": "Swedish", "Spain": "Spanish", "Austria": "Austrian", "Belgium": "Belgian",
    "Brazil": "Brazilian", "China": "Chinese", "Denmark": "Danish", "Finland": "Finnish", "Hungary": "Hungarian",
    "India": "Indian", "Ireland": "Irish", "Japan": "Japanese", "Poland": "", "Portugal": "Portuguese",
    "Switzerland": "Swiss", "United Kingdom": "UK; Britain; Great Britain; British; England; U.K.",
    "United States": "USA; America; American; U.S.", "EU": "European Union; EU27; member states; member state",
    "Europe": "European", "World": "worldwide; global; globally; world's",
}  # fmt: skip
REGIONS = frozenset({"EU", "Europe", "World"})

_PLACE_OF = {
    each.lower(): name for name, others in _NAMES.items() for each in (name, *filter(None, others.split("; ")))
}
_LONGEST_FIRST = sorted(_PLACE_OF, key=len, reverse=True)
_ANY = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, _LONGEST_FIRST))})(?!\w)|\bUS\b", re.IGNORECASE)


def places(text: str) -> list[str]:
    """Countries and regions the text names, in order, each once, by their plain names."""
    return list(dict.fromkeys(found for match in _ANY.finditer(text) if (found := _meant(match))))


def without_places(text: str) -> str:
    """The text with the names of places blanked."""
    return _ANY.sub(lambda match: " " if _meant(match) else match.group(), text)


def by_name(text: str) -> str:
    """The text with each country by its plain name."""
    return _ANY.sub(lambda match: found if (found := _meant(match)) and found not in REGIONS else match.group(), text)


def same_place(value: str, place: str) -> bool:
    """Whether a value of the data ("UK") is that place ("United Kingdom")."""
    return value == place or _PLACE_OF.get(value.lower()) == place


def _meant(match: re.Match[str]) -> str:
    """`us` and `US` are not the same."""
    word = match.group()
    if word.lower() == "us":
        return "United States" if word == "US" else ""
    return _PLACE_OF[word.lower()]

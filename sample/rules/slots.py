"""Words that stand where a product, channel or segment must stand, and that no rule knows."""

import re

from app.stand_in.words import FILLER
from sample.rules import vocabulary
from sample.rules.places import without_places
from sample.rules.vocabulary import COMMON_CAPITALS, MONTHS, NUMBERS, without

_VERBS = "did|do|does|have|has|had|were|was|are|is|will|we|our|sold|bought|returned|went|came|in|of|per|by|to|from|for"
_SLOTS = (
    re.compile(rf"\bhow many ((?:[a-z-]+ ){{1,3}}?)(?:{_VERBS})\b"),
    re.compile(r"\b(?:revenue|turnover|sales|units|volume|orders) (?:of|from) ((?:[a-z-]+ ?){1,2})"),
    re.compile(
        r"\b(?:the|through|via|our|to|in) ([a-z-]+) (?:channels?|segments?|category|categories|customers|clients)\b"
    ),
)
_TABLES = (vocabulary.MEASURES, vocabulary.DIMENSIONS, vocabulary.INTENTS)
# Words for the goods as a whole, for the ways they are sold, and for time.
_KNOWN = frozenset(
    """charger chargers wallbox wallboxes device devices item items good goods piece pieces thing things unit units
    day days month months quarter quarters year years week weeks times percent half halves start end beginning last
    next past previous latest recent first second third fourth current so far today now total all whole entire every
    each any different various distinct single other same sale selling distribution sales trade home
    workplace european nordic local national regional domestic private commercial business company average overall
    both during since until before after between within across people countries country region regions market markets
    net gross invoiced points million thousand actual buying
    """.split()  # noqa: SIM905
)


def unknown_goods(text: str) -> list[str]:
    """Nouns of a text, without the values of the data that were found in it, that nothing explains."""
    rest = without_places(text).lower()
    found = [word for slot in _SLOTS for match in slot.finditer(rest) for word in _unexplained(match[1])]
    return list(dict.fromkeys(found))


def _unexplained(phrase: str) -> list[str]:
    """Up to the first word that ends the noun."""
    for table in _TABLES:
        for phrases in table.values():
            phrase = without(phrases, phrase)
    words = [word for word in phrase.split() if word not in _VERBS.split("|")]
    return [word for word in words if not _is_known(word)]


def _is_known(word: str) -> bool:
    return (
        word in _KNOWN | FILLER | COMMON_CAPITALS
        or word in MONTHS
        or word in NUMBERS
        or word.startswith(vocabulary.COMPANY.lower())
        or len(word) < 3
    )

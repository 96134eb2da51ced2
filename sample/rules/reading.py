"""What a question says, before any data is known."""

import re
from dataclasses import dataclass

from app.stand_in.words import FILLER
from sample.rules import vocabulary
from sample.rules.periods import Times, times
from sample.rules.places import places, without_places
from sample.rules.vocabulary import COMMON_CAPITALS, MONTHS, says, spotted, without

MOST_CHARACTERS = 6000
BASIC_MEASURES = ("orders", "units", "revenue")

_RANKING = "top|best|worst|largest|biggest|highest|lowest|smallest|strongest|weakest|main|leading"
_NAME = re.compile(r"(?<![\w'$`])[A-ZÀ-Þ][\w&-]*(?:[ -](?:[A-ZÀ-Þ][\w&-]*|\d+[A-Za-z]?\b))*")
_OWN_NAME = re.compile(rf"\b{vocabulary.COMPANY.lower()} ([a-z]\w* \d+)\b")
_SENTENCE_START = re.compile(r"(?:^|[.?!:;]\s+|\n)\W*$")
_PART = re.compile(r";|\?|,? and ")
_ASKS_WHO = re.compile(
    rf"\b(?:who|whose|whom|which|(?:by|per|each|list|our) (?:customer|client)s?|{_RANKING}|most|least)\b", re.I
)


@dataclass(frozen=True)
class Reading:
    """One text, read. Entries are names of the tables in vocabulary.py."""

    text: str
    places: list[str]
    times: Times
    measures: list[str]
    dimensions: list[str]
    intents: set[str]
    is_of_market: bool

    @property
    def time_dimensions(self) -> list[str]:
        return [each for each in self.dimensions if each in vocabulary.TIME]

    @property
    def _names_goods(self) -> bool:
        """A name with a number behind it (`Home 11`) is a product."""
        return any(re.search(r"\s\d", name) for name in names(self.text))

    @property
    def kinds(self) -> set[str]:
        """Whose facts it asks for: the company's ("own"), the world's ("market"), both or neither."""
        own = says(vocabulary.OWN, self.text)
        market = self.is_of_market or says(vocabulary.MARKET, self.text)
        if not own and not market:
            own = bool(self.measures or self.dimensions) or says(vocabulary.OWN_HINTS, self.text) or self._names_goods
        return ({"own"} if own else set()) | ({"market"} if market else set())


def read(text: str) -> Reading:
    """Reads a text of any length; what follows the first few thousand characters is left out."""
    text = " ".join(text[:MOST_CHARACTERS].split())
    return Reading(
        text=text,
        places=places(text),
        times=times(text),
        measures=_measures(text),
        dimensions=spotted(vocabulary.DIMENSIONS, text),
        intents=set(spotted(vocabulary.INTENTS, text)),
        is_of_market=says((*vocabulary.TOPICS, *vocabulary.RIVALS), _without_own_products(text)),
    )


def names(text: str) -> list[str]:
    """Capitalised names that are no ordinary word, place, month or name of the company."""
    found = []
    for match in _NAME.finditer(without_places(text)):
        parts = [part for part in match.group().split() if not _is_common(part)]
        first = bool(_SENTENCE_START.search(text[: match.start()]))
        if parts and not (first and len(match.group().split()) == 1):
            found.append(" ".join(parts))
    found += [match[1] for match in _OWN_NAME.finditer(text)]
    return list(dict.fromkeys(each for each in found if not each.isdecimal()))


def _measures(text: str) -> list[str]:
    """Those of each part of the text; words like `sold` count only where nothing else is named."""
    parts = [part for part in _PART.split(text) if part.strip()]
    named = {name for part in parts for name in _measures_of(part)}
    plain = {name for part in parts for name in _measures_of(part) if not _is_only_business(part)}
    return [name for name in vocabulary.MEASURES if name in (plain or named)]


def _is_only_business(part: str) -> bool:
    return set(spotted(vocabulary.MEASURES, part)) <= {"business"}


def _measures_of(text: str) -> list[str]:
    """A figure of a special kind hides the basic ones that it is made of ("units returned")."""
    rest = without(vocabulary.DIMENSIONS["segment"], text)
    found = []
    for name, phrases in vocabulary.MEASURES.items():
        if says(phrases, rest):
            found.append(name)
            rest = without(phrases, rest)
    if says(vocabulary.FOREIGN_MEASURES, text):  # "spend on advertising", "satisfied customers": that is what is asked
        found = [name for name in found if name not in {"business", "customers"}]
    if found and found[-1] == "business":
        found = found[:-1] or ["units" if says(("how many",), text) else "revenue"]
    special = [each for each in found if each not in BASIC_MEASURES]
    # "Why do customers return ...", "sold to customers": who does something is not what is asked for.
    others = [each for each in special if each != "customers"]
    basic = [each for each in found if each in BASIC_MEASURES]
    if special == ["customers"] and basic and not _ASKS_WHO.search(text):
        return basic
    return others or special or found


def _without_own_products(text: str) -> str:
    """`Home 11` and `home chargers` are goods, not the topic of charging at home."""
    return re.sub(r"\bhome (?:\d+|chargers?|products?)\b", " ", text, flags=re.IGNORECASE)


def _is_common(word: str) -> bool:
    low = word.lower().removesuffix("'s").strip("-&")
    if low in COMMON_CAPITALS or low in FILLER or low in MONTHS or low.startswith(vocabulary.COMPANY.lower()):
        return True
    known = (vocabulary.MEASURES, vocabulary.DIMENSIONS, vocabulary.INTENTS)
    return any(spotted(table, low) for table in known)

"""Finds the countries and larger regions that a text or a cell names, by their names, codes and demonyms."""

import functools
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from countryinfo import all_countries

_LARGER = {
    name.lower(): name for name in ("Africa", "Asia", "Europe", "EU", "Latin America", "North America", "Oceania")
}
_LARGER["european union"] = "EU"
_FURTHER = {"Britain": "GB", "America": "US"}
_SHORT = ("UK", "US", "USA", "UAE")  # codes that prose uses; others are words in it, too: IT, IN, NO
_CODE = re.compile(r"[A-Z]{2,3}")


class _Known(NamedTuple):
    names: dict[str, frozenset[str]]  # a name with the countries that it may mean
    codes: dict[str, frozenset[str]]
    main: dict[str, str]  # a country's code with its usual name
    pattern: re.Pattern[str]


@functools.lru_cache(maxsize=4096)
def countries(text: str) -> frozenset[str]:
    """The countries that the text names, by ISO 3166 code; a name that may mean several gives all of them.

    A text that is nothing but a code names that country.
    """
    known = _known()
    if _CODE.fullmatch(text):
        return known.codes.get(text, frozenset())
    return frozenset().union(*(known.names[match[0].casefold()] for match in known.pattern.finditer(text)))


def larger(text: str) -> frozenset[str]:
    """The continents and unions that the text names."""
    return frozenset(_LARGER[match[0].casefold()] for match in _LARGER_NAMED.finditer(text))


def named(places: Iterable[str]) -> str:
    """Countries and larger places, as a list for readers."""
    main = _known().main
    return ", ".join(sorted(main.get(each, each) for each in places))


def _any_of(names: Iterable[str]) -> str:
    return rf"\b(?:{'|'.join(re.escape(each) for each in sorted(names, key=len, reverse=True))})\b"


_LARGER_NAMED = re.compile(_any_of([*_LARGER.values(), "European Union"]))


@functools.cache
def _known() -> _Known:
    names: defaultdict[str, set[str]] = defaultdict(set)
    codes: defaultdict[str, set[str]] = defaultdict(set)
    main: dict[str, str] = {}
    for country in all_countries():
        code = country.iso().get("alpha2")
        if not code:
            continue
        main.setdefault(code, country.name())
        for name in filter(None, (country.name(), country.demonym(), country.native_name(), *country.alt_spellings())):
            if _CODE.fullmatch(name):
                codes[name].add(code)
            if name in _SHORT or not _CODE.fullmatch(name):
                names[name.removeprefix("The ")].add(code)
    for name, code in _FURTHER.items():
        names[name].add(code)
    return _Known(
        {name.casefold(): frozenset(each) for name, each in names.items()},
        {name: frozenset(each) for name, each in codes.items()},
        main,
        re.compile(_any_of(names)),
    )

"""Compares what a claim says of a number with what its evidence says: for when, for where, for which row, in what unit.

A number that the evidence has can still be wrong: another year's, another country's, another product's, in another
currency. A claim fails only where the evidence says something else in every place that has the number. Where it says
nothing, the claim stands.
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import zip_longest
from typing import NamedTuple

from graphs.evidence.carriers import Carrier, carriers, dates, tail_end
from graphs.evidence.numbers import Quantity, is_known, quantities
from graphs.evidence.periods import Period, hull, without_year
from graphs.evidence.places import countries, larger, named
from graphs.evidence.store import Evidence
from graphs.evidence.trust import closure
from graphs.evidence.units import CODES, COUNT, COUNTED, PERCENT, noun_after, of_number, of_words
from graphs.state import EvidenceRef

_EARLIER = re.compile(
    r"\b(?:before|earlier|previous|prior|preceding|ago|last|year[- ](?:on|over)[- ]year)\b", re.IGNORECASE
)
_LATER = re.compile(r"\b(?:after|later|next|following)\b", re.IGNORECASE)
_ELLIPTIC = re.compile(  # `after 4,120 in the first`, `and 298 a month later`
    r"\b(?:earlier|later|before|previous|prior|following|next|last|first|second|third|fourth)\b", re.IGNORECASE
)
_TOGETHER = re.compile(
    r"\b(?:together|combined|altogether|jointly|across|total(?:s|l?ed|l?ing)?|sum|overall|regions?|average)\b",
    re.IGNORECASE,
)
_OF_ALL = re.compile(r"\b(?:total|sum|all|overall|combined|average|mean|median)\b", re.IGNORECASE)
YEAR = 12
_SMALL = 50_000  # bytes


class Said(NamedTuple):
    """What a claim says of one of its numbers. `scope` is the text in which names of rows are looked for."""

    number: Quantity
    periods: list[Period]
    countries: frozenset[str]
    larger: frozenset[str]
    unit: str | None
    noun: str
    scope: str


def background(cited: Iterable[str], refs: Mapping[str, EvidenceRef]) -> set[str]:
    """The ids of the evidence that says what the cited one is about: itself, what it was computed on, and the smaller
    tables from the same servers, which show how their data are divided."""
    rests_on = closure(cited, refs)
    servers = {refs[each]["server"] for each in rests_on}
    beside = {name for name, each in refs.items() if each["server"] in servers and each["kind"] == "table"}
    return rests_on | {each for each in beside if refs[each]["size"] <= _SMALL}


def contradicted(
    claim: str, cited: Iterable[str], stored: Mapping[str, Evidence], given: frozenset[Decimal] = frozenset()
) -> list[str]:
    """One sentence for each number of the claim that the cited evidence has only for something else.

    `stored` has the cited evidence and its `background`. The `given` numbers (of the question, say) need no evidence.
    """
    ids = [each for each in cited if each in stored]
    told = [
        (said, [(name, each) for name in ids for each in _telling(carriers(said.number, stored[name], stored))])
        for said in _said(claim)
        if not is_known(said.number, given)
    ]
    explained = {own for _, places in told for _, each in places for own, _ in each.names}
    faults = []
    for said, places in told:
        differences = [
            _difference(said, each, explained) or _not_divided(said, each, stored.values()) for _, each in places
        ]
        if differences and all(differences):
            name, place = places[0]
            faults.append(f"{said.number.text} is not {differences[0]} in {name}, where it stands for: {place.shown}")
    return faults


def _not_divided(said: Said, place: Carrier, stored: Iterable[Evidence]) -> str | None:
    """The countries that the claim names, if the place names none although its data are divided by them: it has the
    number for all of them, or for others."""
    is_sum = len(said.countries) > 1 and _TOGETHER.search(said.scope)
    if not said.countries or is_sum or place.countries or not place.around.servers:
        return None
    known = frozenset[str]()
    for each in stored:
        if each.server in place.around.servers and each.table is not None:
            known = known.union(*(countries(cell) for row in each.table[1] for cell in row if isinstance(cell, str)))
    return f"for {named(said.countries)} alone" if len(known) > 1 and said.countries & known else None


def _telling(places: Iterable[Carrier]) -> list[Carrier]:
    """The places, without sentences that name no period where another sentence with the number does."""
    found = list(places)
    is_dated = any(each.periods for each in found if not each.exact)
    return [each for each in found if each.exact or each.column or each.periods or not is_dated]


def _said(claim: str) -> list[Said]:
    numbers = quantities(claim)
    dated = dates(claim)
    named = [period for _, _, period in dated]
    told, begin = list[Said](), 0
    for each, next_one in zip_longest(numbers, numbers[1:]):
        following = next_one.start if next_one else len(claim)
        end = tail_end(claim, each.end, following)
        tail, after = claim[each.end : end], claim[each.end :]
        near = [period for start, _, period in dated if each.end <= start < end]
        near = near or without_year(tail, named)
        is_elliptic = _ELLIPTIC.search(claim, each.end, following)
        told.append(
            Said(
                each,
                near or ([] if is_elliptic else [*named, *without_year(claim[begin : each.start], named)]),
                countries(tail) or countries(claim),
                larger(tail) or larger(claim),
                of_number(claim[: each.start], each.text, after),
                noun_after(after),
                claim,
            )
        )
        begin = each.end
    return told


def _difference(said: Said, carrier: Carrier, explained: set[str]) -> str | None:
    """What the claim says of the number and the carrier does not; None if they agree."""
    if not _same_period(said, carrier):
        return "for " + ", ".join(map(str, said.periods))
    if said.countries and carrier.countries and not said.countries & carrier.countries:
        return f"for {named(said.countries)}"
    if (
        not (said.countries or carrier.countries)
        and said.larger
        and carrier.larger
        and not said.larger & carrier.larger
    ):
        return f"for {named(said.larger)}"
    if not _same_unit(said, carrier):
        return f"in {said.unit}" if said.unit not in {None, COUNT} else f"a number of {said.noun}"
    for own, names in carrier.names:
        if others := _other_names(said.scope, own, names) - explained:
            return "for " + ", ".join(sorted(others))
    return None


def _same_period(said: Said, carrier: Carrier) -> bool:
    named = carrier.periods or carrier.around.span
    if not said.periods or not named:
        return True
    if not carrier.exact:
        near = [each for each in said.periods if any(each.meets(_reach(own, carrier.shown)) for own in named)]
        return any(each.months <= YEAR or _has_its_ends(each, carrier) for each in near)
    whole = hull(said.periods)
    return any(
        own.within(each)
        or (own.months > YEAR and own.within(whole))
        or (each.within(own) and each in carrier.around.mentioned)
        for each in said.periods
        for own in named
    )


def _reach(period: Period, sentence: str) -> Period:
    """The period, and the year beside it if the sentence may speak of it: `45% more than the year before`."""
    first = period.first - YEAR if _EARLIER.search(sentence) else period.first
    return Period(first, period.last + YEAR if _LATER.search(sentence) else period.last)


def _has_its_ends(period: Period, carrier: Carrier) -> bool:
    """Whether the range begins and ends in years in which something in the evidence does, if that names ranges."""
    known = [*carrier.periods, *carrier.around.mentioned]
    if not carrier.around.mentioned and all(each.months <= YEAR for each in known):
        return True
    starts, ends = {each.first // YEAR for each in known}, {each.last // YEAR for each in known}
    return period.first // YEAR in starts and period.last // YEAR in ends


def _same_unit(said: Said, carrier: Carrier) -> bool:
    around = carrier.around
    is_noun_of_another = carrier.column.intersection(COUNTED) or said.noun in carrier.others
    if said.noun in COUNTED and said.noun not in carrier.column and is_noun_of_another:
        return False
    if said.unit is None or carrier.unit is not None:
        return said.unit in {None, carrier.unit}
    if said.unit == PERCENT:
        return True  # a change or a share is in percent, whatever it was computed on
    if (measured := of_words(around.measured)) is not None:
        return said.unit == measured
    if said.unit == COUNT:
        return not around.currencies or said.noun in around.words
    return said.unit not in CODES or not around.currencies or said.unit in around.currencies


def _other_names(claim: str, own: str, names: frozenset[str]) -> set[str]:
    """The other rows' names in the claim, if the row's own is not in it. Of names within names the longest count. A row
    of a total may be told by the names of its parts."""
    found = {each for each in names if _stands(each, claim)}
    longest = {each for each in found if not any(each != other and each in other for other in found)}
    is_sum = len(longest) > 1 and _OF_ALL.search(own)
    if own in longest or is_sum or countries(own) & countries(claim):
        return set()
    return {each for each in longest if each[0].isupper() or each[0].isdigit()}


def _stands(name: str, claim: str) -> bool:
    return name in claim and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", claim) is not None

"""Finds different values that findings give for the same thing. It prefers missing one to claiming one.

Two findings differ if their claims are the same, word for word, but for one number and who is said to state it, cite
different evidence, and are further apart than their rounding. One finding differs in itself if it says "45% in the
report of A and 43% in the release of B". All else (other words, units, years, places) may be about something else.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from graphs.evidence.numbers import Quantity, quantities
from graphs.state import FindingState

_WHO = (
    r"(?:according to|as (?:reported|stated|given|published|estimated) by|(?:reported|published|estimated) by|says|say)"
)
_TAIL = re.compile(
    rf",?\s+\(?{_WHO}\s[^,;]*$|,\s[^,;]{{2,80}}\s(?:says?|shows?|reports?|estimates?|finds?)$", re.IGNORECASE
)
_LEAD = re.compile(r"^(?:according to|per)\s(?P<who>[^,;]{2,80}),\s+", re.IGNORECASE)
# "A is 45% in the report of B and 43% in the release of C". Places and years are no publications.
_PUBLICATION = re.compile(
    r"\b(?:reports?|releases?|stud(?:y|ies)|surveys?|statistics|articles?|papers?|publications?|yearbooks?|press"
    r"|documents?|databases?|registers?|filings?)\b",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\s(?:is|was|are|were|stands at|stood at|comes to|came to)\s$", re.IGNORECASE)
_SIDE = re.compile(
    r"^\s?(?P<how>in|by|according to|per|as in)\s(?P<who>.+?)(?:,?\s(?:and|but|while|whereas))?\s?$", re.I
)
_INDEFINITE = re.compile(r"^(?:an?|one|some|another|several|many|most|other|each|every)\b", re.IGNORECASE)
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_WORD = re.compile(r"[^\W_]+|[+\-\u2212]", re.UNICODE)
_MASK = "#"


class Estimate(NamedTuple):
    """A value as its finding words it, who states it if that is said, and the evidence."""

    value: str
    number: Decimal
    who: str
    evidence: tuple[str, ...]
    finding: str


class Difference(NamedTuple):
    """What the estimates are of, and the estimates, smallest first."""

    of: str
    estimates: tuple[Estimate, ...]
    percent: bool

    @property
    def spread(self) -> str:
        """How far apart they are."""
        low, high = self.estimates[0].number, self.estimates[-1].number
        if self.percent:
            return f"{_plain(high - low)} percentage points"
        share = f", {_plain((high - low) / low * 100, 1)}% of the smallest" if low else ""
        return f"{_plain(high - low)}{share}"


class _Claim(NamedTuple):
    words: tuple[str, ...]
    text: str
    quantity: Quantity
    who: str
    finding: FindingState


def differences(findings: Iterable[FindingState]) -> list[Difference]:
    """The differences among these verified findings, in their order."""
    all_of_them = list(findings)
    alike: dict[tuple[object, ...], list[_Claim]] = {}
    for claim in filter(None, map(_claim, all_of_them)):
        key = (claim.words, _normal(claim.finding["unit"]), _normal(claim.finding["period"]), claim.quantity.percent)
        alike.setdefault(key, []).append(claim)
    between = [found for claims in alike.values() if (found := _between(claims))]
    return [*between, *(found for each in all_of_them if (found := _within(each)))]


def _between(claims: list[_Claim]) -> Difference | None:
    """The difference between findings with the same words."""
    values: dict[Decimal, _Claim] = {}
    for claim in claims:
        if not any(_agree(claim.quantity, other.quantity) for other in values.values()):
            values[claim.quantity.value] = claim
    sources = {frozenset(each.finding["evidence"]) for each in values.values()}
    if len(values) < 2 or len(sources) < len(values):
        return None
    estimates = [
        Estimate(each.quantity.text, number, each.who, tuple(each.finding["evidence"]), each.finding["id"])
        for number, each in sorted(values.items())
    ]
    return Difference(claims[0].text, tuple(estimates), claims[0].quantity.percent)


def _claim(finding: FindingState) -> _Claim | None:
    """The claim, if it is about one number of something definite."""
    text, who = _unattributed(finding["claim"].strip().rstrip("."))
    found = quantities(text)
    if len(found) != 1 or finding["value"] is None or _INDEFINITE.match(text):
        return None
    (quantity,) = found
    if abs(Decimal(repr(finding["value"]))) not in {quantity.value, quantity.mantissa}:
        return None
    masked = text.replace(quantity.text, _MASK, 1)
    words = tuple(each.lower() for each in _WORD.findall(masked.replace(_MASK, " x ")))
    return _Claim(words, masked.replace(_MASK, "\u2026"), quantity, who, finding)


def _unattributed(text: str) -> tuple[str, str]:
    """The claim without who states it, and who that is."""
    if lead := _LEAD.match(text):
        return text[lead.end() :], lead["who"]
    if tail := _TAIL.search(text):
        who = re.sub(
            rf"^[,\s(]*(?:{_WHO}\s)?|\)$|\s(?:says?|shows?|reports?|estimates?|finds?)$", "", tail[0], flags=re.I
        )
        return text[: tail.start()], who
    return text, ""


def _within(finding: FindingState) -> Difference | None:
    """The difference that one finding states in so many words."""
    text = finding["claim"].strip().rstrip(".")
    found = quantities(text)
    first, second = (found[0], found[1]) if len(found) == 2 else (None, None)
    if first is None or second is None or first.percent != second.percent or first.scale != second.scale:
        return None
    before, rest = text.split(first.text, 1)
    middle, after = rest.split(second.text, 1) if second.text in rest else ("", "")
    subject = _BETWEEN.search(before)
    sides = [_SIDE.fullmatch(middle), _SIDE.fullmatch(after)]
    if not subject or not all(side and _PUBLICATION.search(side["who"]) for side in sides) or _agree(first, second):
        return None
    years = [set(_YEAR.findall(each)) for each in (before, middle, after)]
    if len(years[0] | years[1]) > 1 or (years[1] and years[2] and years[1] != years[2]):
        return None
    told = [side["who"].strip(" ,") for side in sides if side]
    estimates = [
        Estimate(each.text, each.value, who, tuple(finding["evidence"]), finding["id"])
        for each, who in zip((first, second), told, strict=True)
    ]
    return Difference(before[: subject.start()], tuple(sorted(estimates, key=lambda each: each.number)), first.percent)


def _agree(one: Quantity, other: Quantity) -> bool:
    """Whether one number may have been rounded to both."""
    return abs(one.value - other.value) <= one.tolerance * one.scale + other.tolerance * other.scale


def _normal(text: str) -> str:
    return " ".join(text.lower().split())


def _plain(number: Decimal, digits: int | None = None) -> str:
    if digits is not None:
        number = round(number, digits)
    return f"{number.normalize():,f}"

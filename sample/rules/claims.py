"""The sentences in which findings are stated, as templates that are written and read back.

The report writer gets claims, not tables; reading them back lets it set claims of one form as a table.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from agents.base import Finding
from sample.rules.vocabulary import COMPANY

LONGEST_CLAIM = 600
LONGEST_PERIOD = 60

OWN, ANALYSIS, MARKET = "own", "analysis", "market"

_AGAINST_TARGET = "was {after} in {period} against a target of {target}: {value} of it, so the target was {verdict}."
_CAME_BACK = "in {period}, {after} of {before} came back, a return rate of {value}."
_WITHIN = "({interval} interval: {low} to {high})."

# name: theme and template. Templates are tried in this order, the most specific first.
FORMS: Mapping[str, tuple[str, str]] = {
    "disagreement": (MARKET, "Sources disagree: {statement}."),
    "forecast total": (ANALYSIS, "{subject} is forecast to reach {value} in {period} as a whole " + _WITHIN),
    "forecast": (ANALYSIS, "{subject} is forecast at {value} for {period} " + _WITHIN),
    "forecast change": (
        ANALYSIS,
        "The forecast of {subject} for {period} stands {value} {direction} the observed total of {before}.",
    ),
    "growth between": (ANALYSIS, "{subject} {moved} by {value} in total from {start} to {end}."),
    "fastest": (OWN, "{subject} for {item} {moved} by {value} in {period}, from {before} to {after}."),
    "growth": (ANALYSIS, "{subject} {moved} by {value} in {period}, to {after}."),
    "share": (ANALYSIS, "The share of {item} in {subject} was {value} in {period} ({after})."),
    "target for": (OWN, "{subject} for {item} " + _AGAINST_TARGET),
    "target": (OWN, "{subject} " + _AGAINST_TARGET),
    "customer": (OWN, "The customer {item} ({country}, {segment}) brought {value} of revenue in {period}."),
    "returned for": (OWN, "Of the units for {item} that were {where} " + _CAME_BACK),
    "returned": (OWN, "Of the units that were {where} " + _CAME_BACK),
    "measure for two": (OWN, "{subject} for {item} and for {item2} was {value} in {period}."),
    "measure for": (OWN, "{subject} for {item} was {value} in {period}."),
    "measure": (OWN, "{subject} was {value} in {period}."),
}

# What may stand in some places; anything may in the others.
_PLACES = {
    "subject": rf"{COMPANY}'s .+?", "moved": "rose|fell", "direction": "above|below", "where": "sold(?: .+?)?",
}  # fmt: skip
_YEARS = re.compile(r"^\d{4} to \d{4}$")


@dataclass(frozen=True)
class Stated:
    """A claim read back: which form it has and what stands in its places."""

    form: str
    theme: str
    fields: dict[str, str]


def state(form: str, fields: Mapping[str, str]) -> str:
    """The sentence, its first letter a capital; several years read `the years 2022 to 2025`."""
    spoken = {name: _YEARS.sub(r"the years \g<0>", text) if name == "period" else text for name, text in fields.items()}
    sentence = FORMS[form][1].format(**spoken)
    return sentence[:1].upper() + sentence[1:]


def read_back(claim: str) -> Stated | None:
    """Which form a claim has; None for a sentence of other origin, such as a quoted source."""
    for form, (theme, template) in FORMS.items():
        if match := _pattern(template).fullmatch(claim):
            fields = match.groupdict()
            return Stated(form, theme, fields | {"period": fields.get("period", "").removeprefix("the years ")})
    return None


def finding(form: str, evidence: Sequence[str], value: float, unit: str, fields: Mapping[str, str]) -> Finding:
    """A finding whose claim has that form. `value` and `unit` are those of the claim's main number."""
    return Finding(
        claim=state(form, fields)[:LONGEST_CLAIM],
        value=value,
        unit=unit,
        period=fields.get("period", "")[:LONGEST_PERIOD],
        evidence=list(evidence),
        confidence="medium" if form.startswith("forecast") else "high",
    )


def subject(measure: str, filters: Mapping[str, Sequence[str]]) -> str:
    """What a number is about: `Voltbay's revenue from Home 11 in Germany and France`."""
    return f"{COMPANY}'s {measure}{of_filters(filters)}"


def of_filters(filters: Mapping[str, Sequence[str]]) -> str:
    """The filters as words, each with a space before it: ` from Home 11 in Germany and France`."""
    text = ""
    for dimension, phrase in _FILTER_PHRASES.items():
        if values := [without_company(value) for value in filters.get(dimension, ())]:
            text += f" {phrase} {listed(values)}"
    return text


def part(dimension: str, value: str) -> str:
    """One value of a breakdown, as it stands in a claim: `the channel Online shop`, `Germany`."""
    return value if dimension == "country" else f"the {dimension} {value}"


def dimension_and_label(text: str) -> tuple[str, str]:
    """The reverse of `part`."""
    match = re.fullmatch(r"the ([a-z]+) (.+)", text)
    return (match[1], match[2]) if match else ("country", text)


def listed(values: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(values[:-1]), values[-1]]) if len(values) > 1 else "".join(values)


def without_company(value: str) -> str:
    """A product without the company's name in front of it."""
    return value.removeprefix(f"{COMPANY} ")


_FILTER_PHRASES = {
    "product": "from", "category": "in the category",
    "channel": "through the channel", "segment": "in the segment", "country": "in",
}  # fmt: skip


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """Literal text and names of places alternate in a template that is split at its braces."""
    parts = re.split(r"\{(\w+)\}", template)
    named = (rf"(?P<{each}>{_PLACES.get(each, '.+?')})" for each in parts[1::2])
    return re.compile("".join(f"{re.escape(text)}{next(named, '')}" for text in parts[::2]))

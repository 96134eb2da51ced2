"""A sales question in terms of the data: measures, filters, dimensions and period, or why it has none."""

import re
from dataclasses import dataclass, field

from sample.rules import vocabulary
from sample.rules.claims import listed
from sample.rules.periods import Span, hull, month_label, month_name, span
from sample.rules.reading import Reading, read
from sample.rules.sales_schema import Match, Schema, match
from sample.rules.unread import NO_SHARE_OF_MARKET, unread, without_share_of_market
from sample.rules.vocabulary import says

NO_MEASURE = "The question names no figure of the sales data: revenue, units, orders, customers, discounts, returns."
_HOW_IT_GOES = ("do", "doing", "did", "fare", "faring", "going", "results")


@dataclass(frozen=True)
class Ask:
    """`grain` is the time dimension of the answer, or None for one number over the period.

    `keep` are the spans that were named one by one ("2022 and 2024").
    """

    reading: Reading
    schema: Schema
    measures: list[str]
    filters: dict[str, list[str]]
    dimensions: list[str]
    grain: str | None
    period: Span | None
    keep: tuple[Span, ...] = ()
    gaps: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The period as people write it."""
        covered = self.period or self.schema.coverage
        return month_name(covered.label) if covered else "the whole data"


def understand(objective: str, schema: Schema) -> Ask:
    """What of the question the data have, and gaps for what they do not have."""
    own = without_share_of_market(objective)
    reading = read(own)
    found = match(reading.text, schema)
    period, keep, gaps, timeless = _period(reading, schema)
    gaps += _unknown(found, schema) + _foreign(reading, schema) + unread(objective).beside
    gaps += [NO_SHARE_OF_MARKET] if own != objective else []
    measures = [] if timeless or _is_fatal(found) else reading.measures
    if not measures and not gaps:
        measures = _default(reading, found)
        gaps += [] if measures else [NO_MEASURE]
    dimensions = _dimensions(reading, found)
    grain = _grain(reading, period, keep, dimensions)
    return Ask(reading, schema, measures, found.filters, dimensions, grain, period, keep, gaps)


def _is_fatal(found: Match) -> bool:
    """A filter that the data lacks: an answer without it would answer another question."""
    lacks_place = bool(found.unknown_places) and not found.filters.get("country")
    return lacks_place or bool(found.unknown_names or found.unknown_goods)


def _unknown(found: Match, schema: Schema) -> list[str]:
    cite = f" [{schema.evidence}]" if schema.evidence else ""
    gaps = []
    if found.unknown_places:
        known = listed(list(schema.values.get("country", ()))) or "no countries at all"
        gaps.append(f"The sales data has no country {listed(found.unknown_places)}; it has {known}{cite}.")
    unknown = [*found.unknown_names, *found.unknown_goods]
    if unknown:
        products = "; ".join(schema.values.get("product", ())) or "none"
        gaps.append(
            f"No product, channel or segment of the sales data is named {listed(unknown)}; "
            f"its products are: {products}{cite}."
        )
    return gaps


def _foreign(reading: Reading, schema: Schema) -> list[str]:
    """A gap for figures such as profit, unless a column is called so."""
    low = reading.text.lower()
    for phrase in vocabulary.FOREIGN_MEASURES:
        stem = phrase.removesuffix("*").replace(" ", "_")
        if says((phrase,), low) and not any(stem in column.lower() for column in schema.columns):
            name = phrase.removesuffix("*")
            return [f"The sales data has no figures on this: no column tells anything like '{name}'."]
    return []


def _default(reading: Reading, found: Match) -> list[str]:
    """Revenue, when the question asks how things go, and only then."""
    names_data = bool(found.filters or reading.dimensions or reading.intents - {"agreement"})
    return ["revenue"] if names_data or says(_HOW_IT_GOES, reading.text) else []


def _dimensions(reading: Reading, found: Match) -> list[str]:
    """Breakdowns that were named, and those of which several values were."""
    named = [each for each in reading.dimensions if each not in vocabulary.TIME]
    several = [name for name, values in found.filters.items() if len(values) > 1]
    return list(dict.fromkeys([*named, *several]))


def _grain(reading: Reading, period: Span | None, keep: tuple[Span, ...], dimensions: list[str]) -> str | None:
    if reading.time_dimensions:
        return reading.time_dimensions[-1]
    if len(keep) > 1:
        longest = max(each.months for each in keep)
        return "year" if longest >= 12 else "quarter" if longest >= 3 else "month"
    if period and len(period.years) > 1:
        return "year"
    if "growth" in reading.intents and "fastest" not in reading.intents:
        return "year" if not period or period.months >= 12 else "quarter" if period.months >= 3 else "month"
    return "year" if period is None and not dimensions else None


def _period(reading: Reading, schema: Schema) -> tuple[Span | None, tuple[Span, ...], list[str], bool]:
    """Period, spans named one by one, gaps, and whether nothing of the time asked for is in the data."""
    covered, asked = schema.coverage, _asked_spans(reading, schema)
    if covered is None or not asked:
        return None, (), [], False
    inside = tuple(part for each in asked if (part := each.within(covered)))
    outside = [each.label for each in asked if each.within(covered) is None]
    partly = [each.label for each in asked if each.within(covered) not in {None, each}]
    cite = f" [{schema.evidence}]" if schema.evidence else ""
    known = f"{month_label(covered.start)} to {month_label(covered.end)}"
    gaps = [
        f"The sales data covers {known}, so it has {has} {listed(labels)}{cite}."
        for has, labels in (("nothing for", outside), ("only a part of", partly))
        if labels
    ]
    return hull(inside), inside, gaps, not inside


def _asked_spans(reading: Reading, schema: Schema) -> tuple[Span, ...]:
    moments, covered = reading.times, schema.coverage
    spans = moments.spans
    if covered is None:
        return ()
    if "forecast" in reading.intents:
        spans = tuple(each for each in spans if each.start <= covered.end)
    if not spans and moments.past:
        return (span(max(covered.start, covered.end - moments.past.months + 1), covered.end),)
    if not spans and (moments.since or moments.until):
        start = moments.since * 12 if moments.since else covered.start
        end = moments.until * 12 + 11 if moments.until else covered.end
        return (span(start, max(end, start)),)
    return spans


def literal(value: str) -> str:
    """An SQL string."""
    return "'" + re.sub(r"[\x00-\x1f]", " ", value).replace("'", "''") + "'"

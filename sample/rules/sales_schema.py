"""The company's data as `describe_schema` tells it, and the matching of a question's words with its values."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.stand_in.turns import rows_of
from sample.rules.claims import without_company
from sample.rules.periods import Span, month_number, span
from sample.rules.places import REGIONS, places, same_place
from sample.rules.reading import names
from sample.rules.slots import unknown_goods

# A value of one short common word ("home") counts only before one of these ("home chargers").
_GOODS = r"(?:\s+(?:charger|product|categor|line|range|unit|device|item|plan|customer|segment|channel)\w*)"
_SHORT = 7
MATCHED = ("product", "channel", "segment", "category")


@dataclass(frozen=True)
class Schema:
    """Columns by table, values by dimension, and the months the data covers. `evidence` is its id."""

    evidence: str
    tables: Mapping[str, frozenset[str]]
    values: Mapping[str, Sequence[str]]
    coverage: Span | None

    def has(self, table: str, columns: Sequence[str]) -> bool:
        return set(columns) <= self.tables.get(table, frozenset())

    @property
    def columns(self) -> list[str]:
        """Every column name, each once, sorted."""
        return sorted(set().union(*self.tables.values()))


@dataclass(frozen=True)
class Match:
    """What a question's words mean in this data, and the names and goods in it that mean nothing."""

    filters: dict[str, list[str]]
    unknown_places: list[str]
    unknown_names: list[str]
    unknown_goods: list[str]


def schema_of(evidence: str, text: str) -> Schema:
    """Reads the table of `describe_schema`; an odd one gives an empty schema."""
    tables: dict[str, set[str]] = {}
    values: dict[str, list[str]] = {}
    months: list[int] = []
    for row in rows_of(text).rows:
        column, listed = row.get("column", ""), row.get("values", "")
        tables.setdefault(row.get("table", ""), set()).add(column)
        if column in {*MATCHED, "country"} and ";" in listed:
            values.setdefault(column, [each.strip() for each in listed.split(";")])
        if "order_date" in column or column == "month":
            months += [month for each in re.split(r"\.\.|;", listed) if (month := month_number(each.strip()))]
    coverage = span(min(months), max(months)) if months else None
    frozen = {name: frozenset(columns) for name, columns in tables.items()}
    return Schema(evidence, frozen, values, coverage)


def match(text: str, schema: Schema) -> Match:
    """Values named in the text, in full or by a word that only one value has."""
    filters: dict[str, list[str]] = {}
    rest = text
    for dimension in MATCHED:
        for value in sorted(schema.values.get(dimension, ()), key=len, reverse=True):
            found, rest = _take(value, rest)
            if found:
                filters.setdefault(dimension, []).append(value)
    countries, unknown = _countries(text, schema)
    if countries:
        filters["country"] = countries
    return Match(filters, unknown, names(rest), unknown_goods(rest))


def _countries(text: str, schema: Schema) -> tuple[list[str], list[str]]:
    """Values of the data, and named places that it lacks; a region or group of countries is not missed."""
    known = schema.values.get("country", ())
    named = [place for place in places(text) if place not in REGIONS]
    found = [value for value in known if any(same_place(value, place) for place in named)]
    found += [value for value in known if value not in found and re.search(rf"\b{re.escape(value)}\b", text)]
    missing = [place for place in named if not any(same_place(value, place) for value in known)]
    return found, missing


def _take(value: str, text: str) -> tuple[bool, str]:
    """Whether the text names the value, and the text without it."""
    for variant in dict.fromkeys((value, without_company(value))):
        words = [_loose(word) for word in re.split(r"[\s-]+", variant)]
        needs_goods = len(words) == 1 and len(variant) <= _SHORT and variant.islower()
        pattern = r"(?<!\w)" + r"[\s-]*".join(words) + r"(?!\w)" + (_GOODS if needs_goods else "")
        rest = re.sub(pattern, " ", text, flags=re.IGNORECASE)
        if rest != text:
            return True, rest
    return False, text


def _loose(word: str) -> str:
    """A pattern for the word in singular, plural and with a short ending; numbers only as they are."""
    if word[-1:].isdigit():
        return re.escape(word)
    stem = re.sub(r"(?:ies|s|y)$", "", word) if len(word) > 4 else word
    return rf"{re.escape(stem)}\w{{0,3}}"

"""Fills a tool's arguments: the question and earlier results give candidates, and the JSON schema picks valid ones."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from app.stand_in.policy.facts import TIME, Asked
from app.stand_in.results import number
from app.stand_in.schema_walk import target
from app.stand_in.words import stems, years

Json = dict[str, Any]
MOST_REFERENCES, MANY = 4, 10
EVIDENCE = "'evidence_id'"  # in the schema of what is handed the results of other tools
SQL = re.compile(r"(?<![a-z])sql(?![a-z])|\bselect\b", re.IGNORECASE)
SIZE = re.compile(r"limit|max|size|top|count|horizon|num|^[nk]$", re.IGNORECASE)
_FREE = re.compile(r"query|search|keyword|topic|phrase|free text|^(?:q|text|terms?|input)\b", re.IGNORECASE)
_WHOLE = re.compile(r"question|prompt|natural language|title|caption", re.IGNORECASE)
_REFERENCE = re.compile(r"(?:^|_)(?:id|ids|uri|urls?|paths?|slug|key|file|filename|handle)$|[a-z](?:Id|Uri|Url|Path)$")
_MOMENT = re.compile(r"date|year|period|month|quarter|start|since|until|from|after|before|^end|^to$", re.IGNORECASE)
_LAST = re.compile(r"end|until|to$|before|_b$", re.IGNORECASE)


@dataclass(frozen=True)
class Seen:
    """What earlier results gave: values by the name of their field, tables by reference, a statement in SQL."""

    fields: Mapping[str, Sequence[str]]
    series: Sequence[Json] = ()
    sql: str = ""


def fill(parameters: Json, asked: Asked, seen: Seen) -> list[Json]:
    """Valid arguments: one set; several, where earlier results gave several references or tables; or none."""
    found: list[Json] = []
    try:
        for turn in range(MOST_REFERENCES):
            filled = _Filling(parameters, asked, seen, turn).of_object(parameters)
            if filled is not None and filled not in found and _is_valid(filled, parameters):
                found.append(filled)
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError, OverflowError, re.error):
        return []  # what a keyword holds is not what JSON Schema says it holds
    return found


class _Filling:
    """One set of arguments. What is optional stays away, unless the question names it."""

    def __init__(self, root: Json, asked: Asked, seen: Seen, turn: int) -> None:
        self._root, self._asked, self._seen, self._turn = root, asked, seen, turn
        self._scope = {key: root[key] for key in ("$defs", "definitions") if key in root}
        self._years = years(asked.text)
        figures = re.findall(r"(?<![\w.-])\d[\d,.]*\d|(?<![\w.-])\d", asked.text)
        self._figures = [number(each) for each in figures if not years(each)]

    def of_object(self, schema: Json) -> Json | None:
        """The first valid candidate for each property; None where one that is required has none."""
        found: Json = {}
        for name, each in schema.get("properties", {}).items():
            needed = name in schema.get("required", [])
            fits = [value for value in self._candidates(name, each, needed) if _is_valid(value, self._scope | each)]
            if fits:
                found[name] = fits[0]
                self._figures = [figure for figure in self._figures if figure != fits[0]]  # each is for one argument
            elif needed:
                return None
        return found

    def _candidates(self, name: str, schema: Json, needed: bool) -> list[Any]:
        """What may be the value, the likeliest first, alone and in a list. Nothing is made up but sizes and flags."""
        nodes, told = self._nodes(schema), f"{name} {schema.get('description', '')}".replace("_", " ")
        choices = [each for node in nodes for each in node.get("enum", [])]
        defaults = [node["default"] for node in nodes if "default" in node]
        found, together = list[Any](), list[Any]()
        if EVIDENCE in str(nodes):
            found = [*self._seen.series[self._turn :]]
        elif choices:
            shape = ["line" if TIME.search(each["label_column"]) else "bar" for each in self._seen.series[self._turn :]]
            said = stems(" ".join([self._asked.text, *shape[:1]]))  # a chart of categories has no lines
            found = together = [each for each in choices if frozenset() < stems(str(each)) <= said]
        elif inner := [node for node in nodes if "properties" in node]:
            found = [each for each in map(self.of_object, inner) if each]
        elif SQL.search(told):
            found = [self._seen.sql]
        elif _REFERENCE.search(name) or schema.get("format") in {"uri", "uuid"}:
            together = self._references(name)[:MOST_REFERENCES]
            found = together[self._turn :]
        elif _MOMENT.search(name) or schema.get("format") in {"date", "date-time"}:
            found = self._moments(name, schema)
        elif SIZE.search(name) and (needed or ("maximum" in schema and schema.get("default") in range(MANY))):
            found = [*(schema.get("examples", []) if needed else []), MANY, schema.get("maximum")]
        elif needed and not defaults:
            names = [each for group in self._asked.named for each in group if each not in self._years]
            likely = [self._asked.text] if _WHOLE.search(told) else [] if _FREE.search(told) else names
            found = [*likely, self._asked.keywords, *self._asked.keywords.split(), *self._figures]
        found = [each for each in found if each not in (None, "")]
        lists = [together] if together else [[each] for each in found]
        return [*found, *lists, *([*defaults, *choices, False, []] if needed else [])]

    def _references(self, name: str) -> list[str]:
        """Addresses, paths and codes that the question gives, and what results gave under this name."""
        last = re.split(r"_|(?<=[a-z])(?=[A-Z])", name)[-1].lower().removesuffix("s")
        given = [each.rstrip("?.,;") for each in re.findall(r"https?://[^\s\"'<>]+|(?<!\S)/[\w./-]+", self._asked.text)]
        codes = [each for group in self._asked.named for each in group if re.search(r"\d", each) and not years(each)]
        seen = self._seen.fields.get(name) or self._seen.fields.get(last, [])
        return [*given, *seen, *(codes if last not in {"url", "uri"} else [])]

    def _moments(self, name: str, schema: Json) -> list[Any]:
        """The years that are asked for, or their first or last days."""
        ordered, day = (self._years[::-1], "12-31") if _LAST.search(name) else (self._years, "01-01")
        days = [f"{year}-{day}" for year in ordered]
        is_day = re.search(r"\d{4}-\d\d-\d\d", str(schema.get("examples")))
        return [*([] if is_day else ordered), *days, *(map(int, ordered) if "year" in name.lower() else [])]

    def _nodes(self, schema: Any) -> list[Json]:
        """The schema with all that describes the same value or its items: references, alternatives."""
        if not isinstance(schema, dict):
            return []
        inner = [schema.get("items"), *(each for way in ("anyOf", "oneOf", "allOf") for each in schema.get(way, []))]
        inner += [target(schema["$ref"], self._root)] if "$ref" in schema else []
        return [schema, *(node for each in inner for node in self._nodes(each))]


def _is_valid(value: Any, schema: Json) -> bool:
    nothing: Any = {}.__getitem__  # what a schema refers to elsewhere is not fetched
    return jsonschema_rs.is_valid(schema, value, retriever=nothing, validate_formats=True)

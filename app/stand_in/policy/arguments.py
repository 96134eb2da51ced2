"""Fills a tool's arguments from a question, by their JSON schema. A tool that cannot be filled is not called."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Never

import jsonschema_rs

from app.stand_in.policy.facts import TIME, Asked
from app.stand_in.results import number
from app.stand_in.words import stems, years

Json = dict[str, Any]

MOST_REFERENCES, LONGEST_TEXT, FEW, MANY = 4, 300, 5, 10
_ABSENT: Any = object()
_FREE = re.compile(r"query|search|keyword|topic|phrase|free text|^(?:q|text|terms?|input)\b", re.IGNORECASE)
_WHOLE = re.compile(r"question|prompt|natural language|title|caption", re.IGNORECASE)
_REFERENCE = re.compile(r"(?:^|_)(?:id|ids|uri|urls?|paths?|slug|key|file|filename|handle)$|[a-z](?:Id|Uri|Url|Path)$")
_MOMENT = re.compile(r"date|year|period|month|quarter|start|since|until|from|after|before|^end|^to$", re.IGNORECASE)
_LAST = re.compile(r"end|until|to$|before|_b$", re.IGNORECASE)
_SIZE = re.compile(r"limit|max|size|top|count|horizon|page|num|^[nk]$", re.IGNORECASE)
_SQL = re.compile(r"\bsql\b|\bselect\b", re.IGNORECASE)
_MEASURE = re.compile(r"value|number|measure", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """A stored table, which tools that compute are handed by its id."""

    evidence: str
    labels: Sequence[str]
    numbers: Sequence[str]


@dataclass(frozen=True)
class Seen:
    """What earlier results gave: values by the name of their field, tables, and a statement that fits the schema."""

    fields: dict[str, list[str]]
    tables: Sequence[Table] = ()
    sql: str = ""


def is_sql(parameters: Json) -> bool:
    """Whether the tool takes a statement in SQL."""
    return any(_SQL.search(_told(name, each)) for name, each in parameters.get("properties", {}).items())


def takes_evidence(parameters: Json) -> bool:
    """Whether the tool computes on what other tools returned."""
    return "'evidence_id'" in str(parameters)


def is_size(name: str) -> bool:
    """Whether an argument says how much is wanted."""
    return bool(_SIZE.search(name))


def fill(parameters: Json, asked: Asked, seen: Seen) -> list[Json]:
    """Valid arguments: one set; several, where earlier results gave several references; or none."""
    found: list[Json] = []
    try:
        validator: Any = jsonschema_rs.validator_for(parameters, retriever=_not_read)
        for turn in range(MOST_REFERENCES):
            filled = _Filling(parameters, asked, seen, turn).value("", parameters, needed=True)
            if isinstance(filled, dict) and filled not in found and validator.is_valid(filled):
                found.append(filled)
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError, OverflowError, re.error):
        return []  # what a keyword holds is not what JSON Schema says it holds
    return found


def _not_read(uri: str) -> Never:
    raise ValueError(f"{uri}: what is elsewhere is not read")


def _shaped(text: str, told: str) -> list[str]:
    """Words of the question that look like an example in a description: `Asia/Tokyo` like 'America/New_York'."""
    shapes = {re.sub(r"\w+", "w", each) for each in re.findall(r"'([^'\s]+)'", told)} - {"w"}
    return [each for word in text.split() if re.sub(r"\w+", "w", each := word.strip("?.,;")) in shapes]


def _told(name: str, schema: Any) -> str:
    return f"{name} {schema.get('description', '') if isinstance(schema, dict) else ''}".replace("_", " ")


class _Filling:
    """One set of arguments. What is optional stays away, unless the question names it."""

    def __init__(self, root: Json, asked: Asked, seen: Seen, turn: int) -> None:
        self._root, self._asked, self._seen, self._turn = root, asked, seen, turn
        figures = re.findall(r"(?<![\w.-])\d[\d,.]*\d|(?<![\w.-])\d", asked.text)
        self._figures = [each for each in figures if not years(each)]
        self._years = years(asked.text)

    def value(self, name: str, schema: Any, *, needed: bool) -> Any:
        """For one place of the schema; _ABSENT where the question has nothing for it."""
        if not isinstance(schema, dict):
            return _ABSENT
        if isinstance(reference := schema.get("$ref"), str):
            return self.value(name, self._target(reference), needed=needed)
        if options := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
            around = {key: schema[key] for key in ("description", "examples", "default") if key in schema}
            tried = (self.value(name, {**around, **each}, needed=needed) for each in options)
            return next((each for each in tried if each is not _ABSENT), _ABSENT)
        kind = schema.get("type", "object" if "properties" in schema else "")
        kind = next((each for each in kind if each != "null"), "") if isinstance(kind, list) else kind
        fill_in = _BY_TYPE.get("enum" if "enum" in schema else kind)
        found = schema.get("const", _ABSENT) if fill_in is None else fill_in(self, name, schema, needed)
        if found is not _ABSENT or not needed or kind == "object":
            return found
        return next((each for each in (schema.get("default", _ABSENT), *schema.get("examples", [])[:1])), _ABSENT)

    def _choice(self, _: str, schema: Json, needed: bool) -> Any:
        said = [each for each in schema["enum"] if stems(str(each)) and stems(str(each)) <= stems(self._asked.text)]
        table = next(iter(self._seen.tables), None)
        if table and {"line", "bar"} <= {*schema["enum"]}:  # of a chart: lines need labels in time
            return "line" if TIME.search(table.labels[0]) else "bar"
        is_free = needed and "default" not in schema and not schema.get("examples")
        return said[0] if said else schema["enum"][0] if is_free else _ABSENT

    def _text(self, name: str, schema: Json, needed: bool) -> Any:
        asked, told, table = self._asked, _told(name, schema), next(iter(self._seen.tables), None)
        options: list[str] = []
        if name == "evidence_id" or name.endswith("column"):
            columns = () if table is None else table.numbers if _MEASURE.search(name) else table.labels
            options = list(columns[:1]) if name != "evidence_id" else [table.evidence] if table else []
        elif _SQL.search(told):
            options = [self._seen.sql]
        elif _REFERENCE.search(name) or schema.get("format") in {"uri", "uuid"}:
            options = self._references(name)[self._turn :]
        elif _MOMENT.search(name) or schema.get("format") in {"date", "date-time"}:
            options = self._moment(name, schema)
        elif needed and "default" not in schema:
            named = [each for alternatives in asked.named for each in alternatives if each not in self._years]
            named = _shaped(asked.text, told) or named
            options = [asked.text] if _WHOLE.search(told) else [] if _FREE.search(told) else named
            options += [asked.keywords, *(asked.text.split() if "pattern" in schema else [])]
        most = schema.get("maxLength", None if _SQL.search(told) else LONGEST_TEXT)
        cut = (each[:most].strip() for each in options)
        return next((each for each in cut if each and re.search(schema.get("pattern", ""), each)), _ABSENT)

    def _references(self, name: str) -> list[str]:
        """Addresses, paths and codes that the question gives, and what results gave under this name."""
        last = re.split(r"_|(?<=[a-z])(?=[A-Z])", name)[-1].lower().removesuffix("s")
        is_address = last in {"url", "uri"}
        given = re.findall(r"https?://[^\s\"'<>]+" if is_address else r"(?<!\S)/[\w./-]+", self._asked.text)
        codes = [
            each
            for group in self._asked.named
            for each in group
            if re.search(r"\d", each) and not (is_address or years(each))
        ]
        seen = self._seen.fields.get(name) or self._seen.fields.get(last, [])
        return [*(each.rstrip("?.,;") for each in given), *seen, *codes]

    def _moment(self, name: str, schema: Json) -> list[str]:
        """The year that is asked for, or its first or last day."""
        day = "-12-31" if _LAST.search(name) else "-01-01"
        is_day = schema.get("format") == "date" or re.search(r"\d{4}-\d\d-\d\d", str(schema.get("examples", "")))
        end = f"{day}T00:00:00Z" if schema.get("format") == "date-time" else day if is_day else ""
        ordered = reversed(self._years) if _LAST.search(name) else self._years
        return [f"{year}{end}" for year in ordered]

    def _figure(self, name: str, schema: Json, needed: bool) -> Any:
        """A number that the question has. One that nobody gave is not made up, except for how much to return."""
        if "year" in name.lower():
            return int(self._years[0]) if self._years else _ABSENT
        searches = any(map(_FREE.search, self._root.get("properties", {})))
        if searches and is_size(name) and schema.get("maximum", 0) >= MANY:
            return MANY  # what a search finds may be sorted by anything
        if not needed or "default" in schema:
            return _ABSENT
        if is_size(name):
            few = max(schema.get("minimum", 1), min(FEW, schema.get("maximum", FEW)))
            return next(iter(schema.get("examples", [])), few)
        told = number(self._figures.pop(0)) if self._figures else None
        return _ABSENT if told is None else int(told) if told == int(told) else told

    def _flag(self, _: str, schema: Json, needed: bool) -> Any:
        return False if needed and "default" not in schema else _ABSENT

    def _list(self, name: str, schema: Json, needed: bool) -> Any:
        items, least = schema.get("items", {}), schema.get("minItems", 0)
        if _REFERENCE.search(name):
            found: list[Any] = self._references(name)[: schema.get("maxItems", MOST_REFERENCES)]
        elif isinstance(items, dict) and "enum" in items:
            found = [each for each in items["enum"] if stems(str(each)) & stems(self._asked.text)]
        else:
            found = [each for each in [self.value(name, items, needed=needed and least > 0)] if each is not _ABSENT]
        return found if found or (needed and not least and "default" not in schema) else _ABSENT

    def _object(self, _: str, schema: Json, needed: bool) -> Any:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if "evidence_id" in properties and not self._seen.tables:
            return _ABSENT
        if "evidence_id" in properties:  # one of several ways to hand a table over: the others are for numbers typed in
            required = [each for each in properties if each == "evidence_id" or each.endswith("column")]
            properties = {each: properties[each] for each in required}
        found = {key: self.value(key, each, needed=key in required) for key, each in properties.items()}
        if any(found.get(key, _ABSENT) is _ABSENT for key in required):
            return _ABSENT
        kept = {key: each for key, each in found.items() if each is not _ABSENT}
        return kept if kept or needed else _ABSENT

    def _target(self, reference: str) -> Any:
        node: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            node = node.get(step, {}) if step and isinstance(node, dict) else node
        return node


_BY_TYPE = {
    "enum": _Filling._choice, "string": _Filling._text, "integer": _Filling._figure, "number": _Filling._figure,
    "boolean": _Filling._flag, "array": _Filling._list, "object": _Filling._object,
}  # fmt: skip

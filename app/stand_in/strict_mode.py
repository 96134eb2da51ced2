"""What OpenAI's strict mode refuses of a JSON schema: its guide "Structured Outputs", under "Supported schemas" (2026).

Lengths of texts are accepted by its API today, but not documented, and refused by others that speak of strict mode.
"""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

MOST_PROPERTIES, DEEPEST, MOST_ENUM, MOST_CHARACTERS = 5000, 10, 1000, 120_000

_NUMBERS = {"multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum"}
_ALLOWED: dict[str, set[str]] = {
    "string": {"pattern", "format", "enum"},
    "number": _NUMBERS,
    "integer": _NUMBERS,
    "boolean": {"enum"},
    "null": set(),
    "array": {"items", "minItems", "maxItems"},
    "object": {"properties", "required", "additionalProperties", "$defs"},
}
_EVERYWHERE = {"type", "description"}


def violations(schema: Json) -> list[str]:
    """What is not to be in a strict schema, each with where it stands."""
    nodes = list(_nodes(schema, "root", 1))
    found = [] if schema.get("type") == "object" else ["the root is no object"]
    for path, node, depth in nodes:
        found += [f"{path}: {each}" for each in _of_node(node)]
        found += [f"{path}: deeper than {DEEPEST} levels"] if depth > DEEPEST else []
    names = [name for _, node, _ in nodes for name in [*node.get("properties", {}), *node.get("$defs", {})]]
    values = [str(value) for _, node, _ in nodes for value in node.get("enum", [])]
    found += [f"more than {MOST_PROPERTIES} properties"] if len(names) > MOST_PROPERTIES else []
    found += [f"more than {MOST_ENUM} values"] if len(values) > MOST_ENUM else []
    return found + (["too long"] if sum(map(len, [*names, *values])) > MOST_CHARACTERS else [])


def _of_node(node: Json) -> Iterator[str]:
    kind = node.get("type")
    if "$ref" in node:
        yield from ["something stands beside $ref"] if len(node) > 1 else []
    elif "anyOf" in node:
        yield from (f"{each} stands beside anyOf" for each in node.keys() - {"anyOf", "description"})
    elif kind not in _ALLOWED:
        yield f"the type is {kind!r}"
    else:
        yield from (f"'{each}' is not permitted" for each in node.keys() - _EVERYWHERE - _ALLOWED[kind])
        if kind == "object" and node.get("additionalProperties") is not False:
            yield "'additionalProperties' is required to be supplied and to be false"
        if kind == "object" and sorted(node.get("required", [])) != sorted(node.get("properties", {})):
            yield "'required' is required to be an array including every key in properties"
        if kind == "array" and not node.get("items"):
            yield "the items have no type"


def _nodes(node: Json, path: str, depth: int) -> Iterator[tuple[str, Json, int]]:
    yield path, node, depth
    for key in ("properties", "$defs"):
        for name, each in node.get(key, {}).items():
            yield from _nodes(each, f"{path}.{name}", 1 if key == "$defs" else depth + 1)
    for each in [*node.get("anyOf", []), *([node["items"]] if "items" in node else [])]:
        yield from _nodes(each, f"{path}[]", depth + 1)

"""JSON schemas: what they refer to, and the smallest value that one allows, for schemas that no rule knows."""

import re
from collections.abc import Sequence
from typing import Any

from app.stand_in.wire import FunctionSpec

Json = dict[str, Any]

DEPTH = 12
_AS = re.compile(r"as `([^`]+)` of (\S+)$")  # ends the description of a parameter that is told elsewhere


def minimal_instance(schema: Json) -> Any:
    """Follows `$ref`, `const`, `enum`, `anyOf` and the types; required properties only. None for a malformed schema."""
    try:
        return _walk(schema, schema, DEPTH)
    except (TypeError, ValueError, AttributeError, LookupError, OverflowError, MemoryError):
        return None  # what a keyword holds is not what JSON Schema says it holds


def _walk(node: Any, root: Json, depth: int) -> Any:
    if not isinstance(node, dict) or depth == 0:
        return None
    if isinstance(reference := node.get("$ref"), str):
        return _walk(target(reference, root), root, depth - 1)
    for key in ("const", "default"):
        if key in node:
            return node[key]
    if node.get("enum"):
        return node["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if node.get(key):
            return _walk(node[key][0], root, depth - 1)
    return _of_type(node, root, depth)


def _of_type(node: Json, root: Json, depth: int) -> Any:
    kind = node.get("type", "object" if "properties" in node else None)
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        properties = node.get("properties", {})
        required = node.get("required", [])
        return {name: _walk(properties.get(name, {}), root, depth - 1) for name in required}
    if kind == "array":
        return [_walk(node.get("items", {}), root, depth - 1) for _ in range(node.get("minItems", 0))]
    if kind == "string":
        return "none".ljust(node.get("minLength", 0), ".")[: node.get("maxLength", 1000)]
    if kind in {"integer", "number"}:
        return node.get("minimum", 0)
    return False if kind == "boolean" else None


def target(reference: str, root: Json) -> Any:
    """What a `$ref` within the schema refers to."""
    node: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        node = node.get(step, {}) if step and isinstance(node, dict) else node
    return node


def in_full(tools: Sequence[FunctionSpec]) -> list[FunctionSpec]:
    """The tools, with what is told at another tool in its place."""
    told = {tool.name: tool.parameters.get("properties", {}) for tool in tools}
    found = []
    for tool in tools:
        named = {name: _AS.search(str(each.get("description"))) for name, each in told[tool.name].items()}
        meant = {name: told.get(match[2], {}).get(match[1]) for name, match in named.items() if match}
        properties = {**told[tool.name], **{name: each for name, each in meant.items() if each}}
        found.append(tool.model_copy(update={"parameters": {**tool.parameters, "properties": properties}}))
    return found

"""JSON schemas of answers for OpenAI's strict mode, so that decoding can be constrained.

The rules are in OpenAI's guide "Structured Outputs", under "Supported schemas": each object closed and with all of its
properties required, no string lengths, no defaults. All other servers accept this subset.
"""

import functools
import json
from collections.abc import Sequence
from typing import Any

from cachetools import LRUCache, cached
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

Json = dict[str, Any]

_KEPT = frozenset(
    {
        *("type", "description", "enum", "anyOf", "properties", "items", "$ref", "$defs", "required"),
        *("pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minItems", "maxItems", "additionalProperties"),
    }
)
_NAMED = frozenset({"properties", "$defs"})  # their keys are names, not keywords


def strict(schema: Json) -> Json:
    """The schema without what strict mode refuses, and with every object closed."""
    if "$ref" in schema:  # no sibling keys allowed
        return {"$ref": schema["$ref"]}
    kept: Json = {}
    for key, value in schema.items():
        if key == "const":
            kept["enum"] = [value]
        if key not in _KEPT:
            continue
        if key in _NAMED:
            kept[key] = {name: strict(each) for name, each in value.items()}
        elif key == "anyOf":
            kept[key] = [strict(each) for each in value]
        elif key == "items":
            kept[key] = strict(value)
        else:
            kept[key] = value
    if schema.get("type") == "object":
        kept |= {"additionalProperties": False, "required": list(schema.get("properties", {}))}
    return kept


@functools.lru_cache
def response_format(model: type[BaseModel]) -> Json:
    """The `response_format` that requests an answer of this type. Not to be modified."""
    described = {"name": model.__name__, "strict": True, "schema": strict(model.model_json_schema())}
    return {"type": "json_schema", "json_schema": described}


def offered(tool: BaseTool) -> Json:
    """The tool as a request offers it. Not to be modified."""
    return _offered(tool)[1]


@cached(LRUCache(256), key=id)  # with the tool, so that no other one gets its id
def _offered(tool: BaseTool) -> tuple[BaseTool, Json]:
    return tool, convert_to_openai_tool(tool)


_ONLY_CHECKED = frozenset({"title", "$schema", "minLength", "maxLength"})  # the server says so if a value does not fit
_INNER = frozenset({"items", "additionalProperties", "anyOf", "oneOf", "allOf", "prefixItems"})
_NULL = {"type": "null"}
REPEATED = 80  # characters from which a parameter's schema is not repeated
AS = "as `{}` of {}"


def brief(tools: Sequence[Json]) -> list[Json]:
    """The tools as a model needs to read them: with all that may be passed and what it means, each thing once.

    A parameter that an earlier tool has too is described there. Servers validate the arguments by their own schemas, so
    nothing is allowed that was not.
    """
    known: dict[str, str] = {}
    shown = []
    for tool in tools:
        function = tool["function"]
        parameters = _shortened(function.get("parameters", {}))
        if isinstance(properties := parameters.get("properties"), dict):
            defined, tool_name = parameters.get("$defs"), function["name"]
            told = {name: _once(name, each, tool_name, defined, known) for name, each in properties.items()}
            parameters = {**parameters, "properties": told}
        shown.append({**tool, "function": {**function, "parameters": parameters}})
    return shown


def _shortened(schema: Any) -> Any:
    """The schema without what says nothing to who fills it in: titles, lengths, and null for what may be left out.
    What is no JSON Schema stays as it is."""
    if isinstance(schema, list):
        return [_shortened(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key not in _ONLY_CHECKED}
    if kept.get("default", ...) is None:
        del kept["default"]
        kinds = kept.get("anyOf")
        others = [each for each in kinds if each != _NULL] if isinstance(kinds, list) else []
        if len(others) == 1 and isinstance(others[0], dict):
            del kept["anyOf"]
            return _shortened({**others[0], **kept})
        kept |= {"anyOf": others} if others else {}
    if kept.get("properties") and kept.get("additionalProperties") is False:
        del kept["additionalProperties"]
    for key, value in kept.items():
        if key in _NAMED and isinstance(value, dict):
            kept[key] = {name: _shortened(each) for name, each in value.items()}
        elif key in _INNER:
            kept[key] = _shortened(value)
    return kept


def _once(name: str, schema: Any, tool: str, defined: Any, known: dict[str, str]) -> Any:
    """The parameter's schema; its kind and what it means, if it is told at another tool how it is filled in."""
    if not isinstance(schema, dict):
        return schema
    own = {key: schema[key] for key in ("type", "default") if key in schema}
    described = schema.get("description", "")
    written = json.dumps({key: value for key, value in schema.items() if key not in {"description", "examples"}})
    whole = f"{name} {written} {json.dumps(defined) if '$ref' in written else ''}"
    first = known.setdefault(whole, tool) if len(written) >= REPEATED else tool
    return schema if first == tool else {**own, "description": f"{described}; {AS.format(name, first)}".lstrip("; ")}

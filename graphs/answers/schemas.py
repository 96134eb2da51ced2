"""JSON schemas of answers for OpenAI's strict mode, so that decoding can be constrained.

The rules are in OpenAI's guide "Structured Outputs", under "Supported schemas": each object closed and with all of its
properties required, no string lengths, no defaults. All other servers accept this subset.
"""

import functools
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

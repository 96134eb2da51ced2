"""What a request can cost at most, told from the request alone, and which requests have no such bound."""

from typing import Any

import openai
import orjson
from pydantic import BaseModel

from graphs.errors import Unaccounted

TEXT = frozenset({"text", "refusal"})
TIERS = frozenset({None, "default"})
UNBOUNDED = frozenset({"audio", "extra_body", "modalities", "prediction", "web_search_options"})
MARGIN = 256


def bytes_of(payload: dict[str, Any]) -> int:
    """The size of the request as it is sent, in bytes. A token is at least one byte of it, so it bounds the tokens,
    whatever the tokenizer. A schema that is given as a class is sent as the schema of a tool would be, but for a few
    words."""
    given = payload.get("response_format")
    if isinstance(given, type) and issubclass(given, BaseModel):
        payload = {**payload, "response_format": openai.pydantic_function_tool(given)}
    return len(orjson.dumps(payload, default=str, option=orjson.OPT_NON_STR_KEYS)) + MARGIN


def refuse_what_has_no_bound(payload: dict[str, Any], model: str) -> None:
    """The price of a picture does not show in its address, nor that of a search in its size: so only text, functions
    and the model that was priced can be reserved for."""
    if payload["model"] != model:
        raise Unaccounted(
            f"{payload['model']} was asked for through {model}; app/config/models.py builds each model of its own"
        )
    if "messages" not in payload:
        raise Unaccounted(f"{model} is asked through chat completions; of another API nothing here bounds the price")
    extra = sorted(UNBOUNDED & payload.keys()) + [key for key in ["service_tier"] if payload.get(key) not in TIERS]
    if extra:
        raise Unaccounted(f"the price of a request with {', '.join(extra)} has no bound")
    parts = [part for each in payload["messages"] if isinstance(each.get("content"), list) for part in each["content"]]
    if any(part.get("type") not in TEXT for part in parts) or any(
        tool.get("type") != "function" for tool in payload.get("tools", [])
    ):
        raise Unaccounted(
            "only text and functions can be bounded before they are sent; this request holds something else"
        )

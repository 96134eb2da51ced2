"""Which requests have an upper bound of their cost."""

from typing import Any

from graphs.errors import Unaccounted

TEXT = frozenset({"text", "refusal"})
TIERS = frozenset({None, "default"})
UNBOUNDED = frozenset({"audio", "extra_body", "modalities", "prediction", "web_search_options"})


def refuse_what_has_no_bound(payload: dict[str, Any], model: str) -> None:
    """Allow only text, functions and the priced model, because only their cost can be bounded: a picture's address says
    nothing about its price, nor a search's size about its.

    Raises Unaccounted."""
    if payload["model"] != model:
        raise Unaccounted(
            f"{payload['model']} was requested through {model}; build a model for it in app/config/models.py"
        )
    if "messages" not in payload:
        raise Unaccounted(f"{model} must use chat completions: the price of calls to other APIs has no bound")
    extra = sorted(UNBOUNDED & payload.keys()) + [key for key in ["service_tier"] if payload.get(key) not in TIERS]
    if extra:
        raise Unaccounted(f"the price of a request with {', '.join(extra)} has no bound")
    parts = [part for each in payload["messages"] if isinstance(each.get("content"), list) for part in each["content"]]
    if any(part.get("type") not in TEXT for part in parts) or any(
        tool.get("type") != "function" for tool in payload.get("tools", [])
    ):
        raise Unaccounted("this request holds something besides text and functions, and its price has no bound")

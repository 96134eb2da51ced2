"""Which requests have an upper bound of their cost."""

from typing import Any

from graphs.errors import Unaccounted

TEXT = frozenset({"text", "refusal"})
UNBOUNDED = frozenset({"audio", "extra_body", "modalities", "prediction", "web_search_options"})


def refuse_what_has_no_bound(payload: dict[str, Any], model: str, tier: str | None) -> None:
    """Allow only text, functions, and the model and service tier that were priced, because only their cost can be
    bounded: a picture's address says nothing about its price, nor a search's size about its.

    Raises Unaccounted."""
    if payload["model"] != model:
        raise Unaccounted(
            f"{payload['model']} was requested through {model}; build a model for it in app/config/models.py"
        )
    if "messages" not in payload:
        raise Unaccounted(f"{model} must use chat completions: the price of calls to other APIs has no bound")
    extra = sorted(UNBOUNDED & payload.keys())
    if payload.get("service_tier") not in {tier, "default"}:
        extra.append(f"the service tier {payload.get('service_tier') or 'of the project'}")
    if extra:
        raise Unaccounted(f"the price of a request with {', '.join(extra)} has no bound")
    parts = [part for each in payload["messages"] if isinstance(each.get("content"), list) for part in each["content"]]
    if any(
        "ttl" in str(each.get("cache_control")) for each in (*payload["messages"], *parts, *payload.get("tools", []))
    ):
        raise Unaccounted("a cache entry with a lifetime of its own costs more than was priced; leave out its ttl")
    if any(part.get("type") not in TEXT for part in parts) or any(
        tool.get("type") != "function" for tool in payload.get("tools", [])
    ):
        raise Unaccounted("this request holds something besides text and functions, and its price has no bound")

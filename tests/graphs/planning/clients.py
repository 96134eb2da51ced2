"""What Agent Inbox and Agent Chat UI read of an interrupt's value, and what their buttons send (as of August 2026)."""

from collections.abc import Mapping
from typing import Any, Literal

Json = dict[str, Any]


def inbox_shows(value: Json, *, older: bool = False) -> Json:
    """The interrupt as Agent Inbox shows it. Versions before the middleware's form read the value as it is."""
    if older or not value.get("action_requests"):
        return {name: value[name] for name in ("action_request", "config", "description")}
    request, allowed = value["action_requests"][0], value["review_configs"][0]["allowed_decisions"]
    config = {
        "allow_accept": "approve" in allowed,
        "allow_edit": "edit" in allowed,
        "allow_respond": "reject" in allowed,
        "allow_ignore": False,
    }
    action = {"action": request["name"], "args": request["arguments"]}
    return {"action_request": action, "config": config, "description": request["description"]}


def inbox_sends(
    shown: Json,
    button: Literal["accept", "edit", "response", "ignore"],
    text: str = "",
    edits: Mapping[str, str] | None = None,
) -> list[Json]:
    """What Agent Inbox resumes with. Edited arguments are texts."""
    action, config = shown["action_request"], shown["config"]
    assert config[f"allow_{button.replace('response', 'respond')}"], f"there is no button {button}"
    args: Any = {
        "accept": action if config["allow_edit"] else None,
        "edit": {**action, "args": {**action["args"], **(edits or {})}},
        "response": text,
        "ignore": None,
    }
    return [{"type": button, "args": args[button]}]


def chat_shows(value: Json) -> Json:
    """The action as Agent Chat UI shows it, with the decisions it allows. It refuses a value without this schema."""
    request, review = value["action_requests"][0], value["review_configs"][0]
    assert isinstance(request["name"], str)
    assert isinstance(request["args"], dict)
    assert isinstance(review["action_name"], str)
    return {**request, "allowed": review["allowed_decisions"]}


def chat_sends(
    shown: Json, button: Literal["approve", "edit", "reject"], text: str = "", edits: Mapping[str, str] | None = None
) -> Json:
    """What Agent Chat UI resumes with."""
    assert button in shown["allowed"], f"there is no button {button}"
    assert text or button != "reject", "it asks for a reason"
    edited = {"name": shown["name"], "args": {**shown["args"], **(edits or {})}}
    more: Json = {"approve": {}, "edit": {"edited_action": edited}, "reject": {"message": text}}
    return {"decisions": [{"type": button, **more[button]}]}

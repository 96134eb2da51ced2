"""A request to a model, with what it is reserved, sent and read with."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from graphs.spending.sizes import Items
from graphs.spending.spend import Account
from graphs.spending.toll import Emit, Request
from graphs.state import Json

_OPTIONS = frozenset({"extra_headers", "extra_query", "timeout"})  # of a call, which are not in the request's body


class Asking(NamedTuple):
    """A request. `limit` names its token limit, `most` is how many tokens an answer may have, `choices` how many
    answers are asked for, `offered` are the names of its tools."""

    account: Account
    emit: Emit
    payload: Json
    limit: str
    request: Request
    items: Items
    kind: str
    most: int
    choices: int
    offered: list[str]


def as_sent(payload: Json, headers: Mapping[str, str]) -> dict[str, Any]:
    """The arguments with which openai's client sends this request, with these headers.

    The request is its body, because the client takes arguments apart by the types of OpenAI's API, message by message,
    which takes as long as all else that it does.
    """
    body = {name: value for name, value in payload.items() if name not in _OPTIONS}
    sent = {name: payload[name] for name in _OPTIONS & payload.keys()}
    sent["extra_headers"] = {**sent.get("extra_headers", {}), **headers}
    return {"model": payload["model"], "messages": (), "extra_body": body, **sent}

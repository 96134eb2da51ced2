"""Which values a checkpoint may hold, and their encoding.

A value comes back equal and of the same type, or its write is refused. Supported are JSON primitives, the objects that
LangGraph itself leaves in a checkpoint (Send, Interrupt, Overwrite), what its channels keep for an edge (`of_an_edge`),
and LangChain messages. The encoding is msgpack: the packer refuses most foreign types itself, and the walk in `_fault`
finds what it would alter silently (NaN, bytes) and names the place.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ormsgpack
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.types import Interrupt, Overwrite, Send, TimeoutPolicy

_STRICT = (
    ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)
_BIG_INT, _OBJECT = 1, 2


@dataclass(frozen=True, slots=True)
class _Arrived:
    """The nodes that have reached a fan-in edge: in LangGraph a set."""

    names: list[str]


@dataclass(frozen=True, slots=True)
class _Deferred:
    """What reached a deferred node, and whether the node may run: in LangGraph a pair."""

    value: Any
    finished: bool


_FIELDS: dict[type, tuple[str, ...]] = {
    _Arrived: ("names",),
    _Deferred: ("value", "finished"),
    Interrupt: ("value", "id", "response_schema"),
    Overwrite: ("value",),
    Send: ("node", "arg", "timeout"),
    TimeoutPolicy: ("run_timeout", "idle_timeout", "refresh_on"),
}
_MESSAGES: tuple[type[BaseMessage], ...] = (
    AIMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
_KINDS: dict[str, Callable[..., Any]] = {kind.__name__: kind for kind in (*_FIELDS, *_MESSAGES)} | {
    "_Arrived": lambda names: {*names},
    "_Deferred": lambda value, finished: (value, finished),
    "interrupts": lambda all: (*all,),  # noqa: A006 (the stored name)
}


class UnsupportedValueError(TypeError):
    """A value that would not survive a checkpoint unchanged; the message names the channel and the place.

    A TypeError, because a developer must change the type; LangGraph's default retry policy skips TypeErrors.
    """


def of_an_edge(value: Any) -> Any:
    """The value of a channel in a packable form, if LangGraph keeps it for an edge: a set of node names
    (NamedBarrierValue), or a pair with a flag (the channels "AfterFinish", which may also hold a set).

    In state that a node writes, both are refused.
    """
    if type(value) is set and all(type(each) is str for each in value):
        return _Arrived(sorted(value))
    if type(value) is tuple and len(value) == 2 and type(value[1]) is bool:
        return _Deferred(of_an_edge(value[0]), value[1])
    return value


def pack(where: str, value: Any) -> bytes:
    """The bytes of `value`, which error messages call `where`, as in "channel 'findings'".

    Raises UnsupportedValueError. Does not detect what only `check` finds.
    """
    try:
        return ormsgpack.packb(value, default=_dismantle, option=_STRICT)
    except TypeError as error:
        raise UnsupportedValueError(_refusal(where, value, str(error))) from error


def check(where: str, value: Any, new: Any) -> None:
    """Raise UnsupportedValueError if a packed value would come back altered.

    `new` is the part of `value` to check; the rest was checked before.
    """
    if _fault(new):
        raise UnsupportedValueError(_refusal(where, value, ""))


def unpack(data: bytes) -> Any:
    """The value of these bytes."""
    return ormsgpack.unpackb(data, ext_hook=_rebuild)


def _refusal(where: str, value: Any, reason: str) -> str:
    try:
        fault = _fault(value) or f": {reason}"
    except RecursionError:
        fault = " is nested too deeply"
    return (
        f"{where}: value{fault}. A checkpoint holds None, bool, int, finite float, str, list, dict with str keys "
        "and LangChain messages; convert it in the node that returns it."
    )


def _fault(value: Any) -> str | None:  # noqa: PLR0911 (one return per kind of value)
    """Where `value` is unsupported, as in "[0]['price'] is a Decimal"; None if nowhere."""
    kind = type(value)
    if kind is str:
        return None if value.isascii() else _text_fault(value)
    if value is None or kind is bool or kind is int:
        return None
    if kind is float:
        return None if math.isfinite(value) else f" is {value}"
    if kind is list:
        return next((f"[{at}]{fault}" for at, each in enumerate(value) if (fault := _fault(each))), None)
    if kind is dict:
        return next((fault for item in value.items() if (fault := _item_fault(*item))), None)
    if (parts := _parts(value)) is not None:
        return _fault(parts[1])
    return f" is a {kind.__module__}.{kind.__qualname__}".replace(" builtins.", " ")


def _text_fault(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return " is a str with a lone surrogate"
    return None


def _item_fault(key: Any, value: Any) -> str | None:
    if type(key) is not str:
        return f" has a key {key!r} that is a {type(key).__qualname__}"
    fault = _text_fault(key) or _fault(value)
    return f"[{key!r}]{fault}" if fault else None


def _parts(value: Any) -> tuple[str, dict[str, Any]] | None:
    """Name and keyword arguments of a storable object, else None."""
    kind = type(value)
    if fields := _FIELDS.get(kind):
        return kind.__name__, {name: getattr(value, name) for name in fields}
    if kind in _MESSAGES:
        return kind.__name__, value.model_dump()
    if kind is tuple and value and all(type(each) is Interrupt for each in value):
        return "interrupts", {"all": list(value)}
    return None


def _dismantle(value: Any) -> ormsgpack.Ext:
    if type(value) is int:
        return ormsgpack.Ext(_BIG_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    if (parts := _parts(value)) is None:
        raise TypeError(type(value).__qualname__)
    return ormsgpack.Ext(_OBJECT, ormsgpack.packb(list(parts), default=_dismantle, option=_STRICT))


def _rebuild(code: int, data: bytes) -> Any:
    if code == _BIG_INT:
        return int.from_bytes(data, "big", signed=True)
    name, arguments = unpack(data)
    return _KINDS[name](**arguments)

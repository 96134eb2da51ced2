"""How one version of one channel is stored.

A list or dict that only grew since the previous version is stored as the added items, so that a message list of n steps
takes n messages and not n²/2. Everything else is stored whole. A stored blob is `F<msgpack>` (full) or `D<version of
the base>\\x1f<msgpack>` (items added to that base).
"""

from itertools import islice
from typing import Any, NamedTuple

from graphs.checkpoint.values import check, of_an_edge, pack, unpack

_WORTH_BYTES = 512
_LONGEST_CHAIN = 64
_REMEMBERED_BYTES = 16 * 2**20


class _Tail(NamedTuple):
    """The newest stored version of a channel: its packed items, without the header that counts them."""

    version: str
    kind: type[Any]
    items: int
    body: bytes
    chain: int

    def grows_to(self, value: Any, body: bytes) -> bool:
        """Whether `value` extends this one, and the chain may get longer."""
        return type(value) is self.kind and self.chain < _LONGEST_CHAIN and body.startswith(self.body)


class Blobs:
    """Encodes channel values against what this process stored last (a memory of up to 16 MB).

    A base that Redis no longer has is noticed by the put script, not here.
    """

    def __init__(self) -> None:
        self._tails: dict[tuple[str, ...], _Tail] = {}
        self._held = 0

    def encode(self, place: tuple[str, ...], version: str, value: Any) -> bytes:
        """The blob of `value`. `place` is (thread, namespace, channel). Raises UnsupportedValueError."""
        where, value = f"channel {place[-1]!r}", of_an_edge(value)
        packed = pack(where, value)
        if type(value) in (list, dict) and len(packed) >= _WORTH_BYTES:
            return self._grown(place, version, value, packed)
        check(where, value, value)
        self.forget(place)
        return b"F" + packed

    def forget(self, place: tuple[str, ...]) -> _Tail | None:
        """Make the next version of this channel be stored whole."""
        if tail := self._tails.pop(place, None):
            self._held -= len(tail.body)
        return tail

    def _grown(self, place: tuple[str, ...], version: str, value: Any, packed: bytes) -> bytes:
        items, body = len(value), packed[len(_header(value, len(value))) :]
        tail = self.forget(place)
        if tail and tail.grows_to(value, body):
            chain, new = tail.chain + 1, _after(value, tail.items)
            head = _header(value, items - tail.items)
            blob = b"D%b\x1f%b%b" % (tail.version.encode(), head, body[len(tail.body) :])
        else:
            chain, new, blob = 1, value, b"F" + packed
        check(f"channel {place[-1]!r}", value, new)
        self._remember(place, _Tail(version, type(value), items, body, chain))
        return blob

    def _remember(self, place: tuple[str, ...], tail: _Tail) -> None:
        self._tails[place] = tail
        self._held += len(tail.body)
        while self._held > _REMEMBERED_BYTES:
            self.forget(next(iter(self._tails)))


def decode(pieces: list[bytes]) -> Any:
    """The value from its pieces: one full msgpack, then additions in order."""
    value = unpack(pieces[0])
    for each in pieces[1:]:
        if isinstance(value, list):
            value.extend(unpack(each))
        else:
            value.update(unpack(each))
    return value


def _after(value: Any, items: int) -> Any:
    return value[items:] if isinstance(value, list) else dict(islice(value.items(), items, None))


def _header(value: Any, items: int) -> bytes:
    """The msgpack header of an array or map of this many items."""
    short, medium, long = (0x90, 0xDC, 0xDD) if isinstance(value, list) else (0x80, 0xDE, 0xDF)
    if items < 16:
        return bytes([short | items])
    if items < 1 << 16:
        return bytes([medium]) + items.to_bytes(2, "big")
    return bytes([long]) + items.to_bytes(4, "big")

"""Waiting for what another thread or process does."""

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 30.0
LOOK_S = 0.02

T = TypeVar("T")


def soon(look: Callable[[], T], wanted: Callable[[T], bool], what: str) -> T:
    """What `look` gives as soon as it is wanted. Fails after half a minute, with the last that it gave."""
    until = time.monotonic() + PATIENCE_S
    while not wanted(found := look()):
        assert time.monotonic() < until, f"{what} did not happen; last seen: {found!r}"
        time.sleep(LOOK_S)
    return found

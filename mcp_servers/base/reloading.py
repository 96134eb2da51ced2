"""Keeps the newest good version of data that change while a server runs."""

import logging
import threading
import time
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar

RETRY_S = 30.0
RESTLESS_S = 60.0


class Versioned(Protocol):
    """Data that are loaded once and never changed."""

    @property
    def data_version(self) -> str:
        """A short name of the data that changes when the data does."""


T = TypeVar("T", bound=Versioned)
T_co = TypeVar("T_co", bound=Versioned, covariant=True)


class Source(Protocol[T_co]):
    """Where data come from. Both methods block, and raise whatever they like when the data cannot be read."""

    settles: bool
    """Whether data may be seen half written: then a change counts once it has stood still from one look to the next."""

    def state(self) -> object:
        """Something cheap to get that differs when the data may differ."""

    def load(self) -> T_co:
        """The data as they are now."""


class Newest(Generic[T]):
    """The newest version of a source that could be loaded; a thread looks for changes.

    A version that cannot be loaded is logged, and tried again when the source changes or after `RETRY_S`; until then
    the last good one stays. Whoever got a version keeps it for as long as it needs it, whatever comes after.
    """

    def __init__(self, source: Source[T], every_s: float, timer: Callable[[], float] = time.monotonic) -> None:
        """Load once; raises what the source raises. `every_s`: seconds between two looks."""
        self._source = source
        self._timer = timer
        self._state = source.state()  # before loading: what changes meanwhile is seen at the next look
        self._value = source.load()
        self._as_of = datetime.now(UTC)
        self._seen: object = self._state
        self._failed: object = None
        self._retry_at = 0.0
        self._still_at = timer()
        self._told = ""
        self.note: str | None = None
        stop = threading.Event()
        weakref.finalize(self, stop.set)
        threading.Thread(target=_look_again, args=(weakref.ref(self), stop, every_s), daemon=True).start()

    def now(self) -> T:
        """The newest good version. Take it once per call: the next may be another."""
        return self._value

    def ready(self) -> str | None:
        """The version of the data. There is always one."""
        return self._value.data_version

    def look(self) -> None:
        """Load the data anew when they have changed. Raises nothing."""
        try:
            state = self._source.state()
            settled = self._settled(state)
            if state == self._state:
                self._good()
            elif settled and (state != self._failed or self._timer() >= self._retry_at):
                self._failed, self._retry_at = state, self._timer() + RETRY_S
                self._take(self._source.load(), state)
        except Exception as error:  # whatever a source may raise: the data that are there stay
            self._bad(error)

    def _settled(self, state: object) -> bool:
        """Whether the source stands still. Raises RuntimeError when it has not done so for `RESTLESS_S`."""
        settled = state == self._seen or not self._source.settles
        self._seen = state
        if settled:
            self._still_at = self._timer()
        elif self._timer() - self._still_at > RESTLESS_S:
            raise RuntimeError(f"they have been changing for {RESTLESS_S:g} s without a pause; replace them in one go")
        return settled

    def _take(self, value: T, state: object) -> None:
        self._state = state
        self._as_of = datetime.now(UTC)
        if value.data_version != self._value.data_version:
            self._value = value
        self._good()

    def _good(self) -> None:
        self.note = self._failed = None
        self._told = ""

    def _bad(self, error: Exception) -> None:
        as_of = self._as_of.strftime("%Y-%m-%d %H:%M UTC")
        self.note = f"newer data could not be read; these are of {as_of}"
        if (reason := str(error)) != self._told:  # not at every look
            logging.getLogger(__name__).error("%s: %s", self.note, reason)
            self._told = reason


def _look_again(newest: "weakref.ref[Newest[T]]", stop: threading.Event, every_s: float) -> None:
    while not stop.wait(every_s):
        if (here := newest()) is None:
            return
        here.look()
        del here  # or it would never be collected

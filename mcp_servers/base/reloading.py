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
    """Immutable data with a version."""

    @property
    def data_version(self) -> str:
        """A short version that changes when the data change."""


T = TypeVar("T", bound=Versioned)
T_co = TypeVar("T_co", bound=Versioned, covariant=True)


class Source(Protocol[T_co]):
    """A source of data. Both methods block, and raise any exception if the data cannot be read."""

    settles: bool
    """Whether data may be read half written: a change then counts once it is the same in two checks in a row."""

    def state(self) -> object:
        """A cheap value that differs if the data may have changed."""

    def load(self) -> T_co:
        """The current data."""


class Newest(Generic[T]):
    """The newest version of a source that could be loaded; a thread checks for changes.

    A version that cannot be loaded is logged, and retried when the source changes or after `RETRY_S`; until then the
    last good one stays. A version stays usable for whoever holds it.
    """

    def __init__(self, source: Source[T], every_s: float, timer: Callable[[], float] = time.monotonic) -> None:
        """Load once; raises what the source raises. `every_s`: seconds between checks."""
        self._source = source
        self._timer = timer
        self._state = source.state()  # before loading: a change meanwhile is seen at the next check
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
        """The newest good version. Read it once per call: it may change in between."""
        return self._value

    def ready(self) -> str | None:
        """The version of the data, which is never None here."""
        return self._value.data_version

    def look(self) -> None:
        """Reload the data if they have changed. Never raises."""
        try:
            state = self._source.state()
            settled = self._settled(state)
            if state == self._state:
                self._good()
            elif settled and (state != self._failed or self._timer() >= self._retry_at):
                self._failed, self._retry_at = state, self._timer() + RETRY_S
                self._take(self._source.load(), state)
        except Exception as error:  # a source may raise anything: keep the current data
            self._bad(error)

    def _settled(self, state: object) -> bool:
        """Whether the source has stopped changing. Raises RuntimeError if it has not for `RESTLESS_S`."""
        settled = state == self._seen or not self._source.settles
        self._seen = state
        if settled:
            self._still_at = self._timer()
        elif self._timer() - self._still_at > RESTLESS_S:
            raise RuntimeError(f"they have kept changing for {RESTLESS_S:g} s; replace them in one step")
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
        self.note = f"newer data could not be read; these are from {as_of}"
        if (reason := str(error)) != self._told:  # not at every check
            logging.getLogger(__name__).error("%s: %s", self.note, reason)
            self._told = reason


def _look_again(newest: "weakref.ref[Newest[T]]", stop: threading.Event, every_s: float) -> None:
    while not stop.wait(every_s):
        if (here := newest()) is None:
            return
        here.look()
        del here  # or it would never be collected

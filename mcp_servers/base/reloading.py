"""Loads data without blocking the start, and keeps the newest good version of data that change while a server runs."""

import logging
import threading
import time
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar

import anyio
from mcp.server.fastmcp.exceptions import ToolError

START_S = 1.0
LOOK_S = 0.02
SPARE_S = 0.1  # to answer before the deadline
RETRY_S = 30.0
RESTLESS_S = 60.0


class Versioned(Protocol):
    """Immutable data with a version."""

    @property
    def data_version(self) -> str:
        """A short version that changes when the data change."""


T = TypeVar("T", bound=Versioned)


class Progress(Generic[T]):
    """What a load tells while it goes on."""

    def __init__(self) -> None:
        self._how_far: Callable[[], str] = lambda: "just begun"
        self.offered: T | None = None

    def tell(self, how_far: str | Callable[[], str]) -> None:
        """How far it is: `120 of 300 files`, or a function that says so."""
        self._how_far = how_far if callable(how_far) else lambda: how_far

    def offer(self, value: T) -> None:
        """Serve a part of the data until the first load ends. A later load replaces complete data only by such."""
        self.offered = value

    def __str__(self) -> str:
        return self._how_far()


class Source(Protocol[T]):
    """A source of data. Both methods block, and raise any exception if the data cannot be read."""

    settles: bool
    """Whether data may be read half written: a change then counts once it is the same in two checks in a row."""

    def state(self) -> object:
        """A cheap value that differs if the data may have changed."""

    def load(self, progress: Progress[T]) -> T:
        """The current data."""


class Newest(Generic[T]):
    """The newest version of a source that could be loaded; a thread loads it and checks for changes.

    A version that cannot be loaded is logged, and retried when the source changes or after `RETRY_S`; until then the
    last good one stays. A version stays usable for whoever holds it.
    """

    def __init__(
        self,
        source: Source[T],
        every_s: float,
        timer: Callable[[], float] = time.monotonic,
        start_s: float = START_S,
    ) -> None:
        """Begin to load. If that ends within `start_s`, it raises what the source raises; else see `first_load`.

        `every_s`: seconds between checks.
        """
        self._source = source
        self._timer = timer
        self._state = source.state()  # before loading: a change meanwhile is seen at the next check
        self._seen: object = self._state
        self._progress = Progress[T]()
        self._value: T | None = None
        self._failure: Exception | None = None
        self._first_ended = threading.Event()
        self._as_of = datetime.now(UTC)
        self._failed: object = None
        self._retry_at = 0.0
        self._still_at = timer()
        self._told = ""
        self._stale: str | None = None
        stop = threading.Event()
        weakref.finalize(self, stop.set)
        threading.Thread(target=_load_and_look, args=(weakref.ref(self), stop, every_s), daemon=True).start()
        if self._first_ended.wait(start_s):
            self.first_load()

    def first_load(self) -> None:
        """Wait until the first load has ended. Raises what the source raised: there will be no data."""
        self._first_ended.wait()
        if self._failure:
            raise self._failure

    def now(self) -> T | None:
        """The newest good version, else the part offered so far, if any. Read it once per call: it may change."""
        return self._value or self._progress.offered

    async def get(self) -> T:
        """The newest good version or part, as soon as there is one. Raises ToolError shortly before the deadline."""
        return await self._soon(self.now)

    async def whole(self) -> T:
        """The newest good version, as soon as the first load has ended. Raises ToolError like `get`."""
        return await self._soon(lambda: self._value)

    async def _soon(self, look: Callable[[], T | None]) -> T:
        until = anyio.current_effective_deadline() - SPARE_S
        while (value := look()) is None:
            if anyio.current_time() >= until:
                raise ToolError(f"the data are still being loaded ({self.loading}); try again in a minute")
            await anyio.sleep(LOOK_S)
        return value

    def ready(self) -> str | None:
        """The version of the data; None before there are any."""
        return value.data_version if (value := self.now()) else None

    @property
    def loading(self) -> str | None:
        """How far the first load is; None once it has ended."""
        return None if self._first_ended.is_set() else str(self._progress)

    @property
    def note(self) -> str | None:
        """What readers of the data have to know: that they are not all there yet, or not the newest."""
        return f"not all data are loaded yet ({loading})" if (loading := self.loading) else self._stale

    def load(self) -> None:
        """Load for the first time. Never raises."""
        try:
            self._value = self._source.load(self._progress)
        except Exception as error:  # a source may raise anything: told by `first_load`
            self._failure = error
        self._as_of = datetime.now(UTC)
        self._first_ended.set()

    def look(self) -> None:
        """Reload the data if they have changed. Never raises."""
        try:
            state = self._source.state()
            settled = self._settled(state)
            if state == self._state:
                self._good()
            elif settled and (state != self._failed or self._timer() >= self._retry_at):
                self._failed, self._retry_at = state, self._timer() + RETRY_S
                self._take(self._source.load(Progress()), state)
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
        self._good()  # first: no call may get the new data with the note on the old ones
        if value.data_version != self.ready():
            self._value = value

    def _good(self) -> None:
        self._stale = self._failed = None
        self._told = ""

    def _bad(self, error: Exception) -> None:
        as_of = self._as_of.strftime("%Y-%m-%d %H:%M UTC")
        self._stale = f"newer data could not be read; these are from {as_of}"
        if (reason := str(error)) != self._told:  # not at every check
            logging.getLogger(__name__).error("%s: %s", self._stale, reason)
            self._told = reason


def _load_and_look(newest: "weakref.ref[Newest[T]]", stop: threading.Event, every_s: float) -> None:
    if (here := newest()) is not None:
        here.load()
        if here.now() is None:
            return
    del here
    while not stop.wait(every_s):
        if (here := newest()) is None:
            return
        here.look()
        del here  # or it would never be collected

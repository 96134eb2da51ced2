"""The newest good version of changing data: when it is loaded anew, and what becomes of the old one."""

import gc
import threading
import weakref
from dataclasses import dataclass, field

import pytest

from mcp_servers.base.reloading import RESTLESS_S, RETRY_S, Newest, Progress
from tests.mcp_servers.waiting import soon

NEVER_S = 3600.0  # no look but those that a test makes


@dataclass
class Data:
    data_version: str


@dataclass
class Shelf:
    """A source that a test rearranges."""

    content: str = "1"
    broken: bool = False
    settles: bool = False
    loads: int = 0
    lost: bool = False

    def state(self) -> object:
        if self.lost:
            raise FileNotFoundError("it is gone")
        return self.content, self.broken

    def load(self, progress: Progress[Data]) -> Data:
        self.loads += 1
        if self.broken:
            raise ValueError("half a file")
        return Data(self.content)


@dataclass
class Clock:
    now: float = field(default=0.0)

    def __call__(self) -> float:
        return self.now


def told(newest: Newest[Data]) -> str:
    return newest.note or ""


def test_unchanged_data_are_loaded_once() -> None:
    shelf = Shelf()
    newest = Newest(shelf, NEVER_S)
    newest.look()
    newest.look()
    assert (newest.ready(), newest.note, shelf.loads) == ("1", None, 1)


def test_a_change_is_taken_and_who_has_the_old_version_keeps_it() -> None:
    shelf = Shelf()
    newest = Newest(shelf, NEVER_S)
    old = newest.now()
    shelf.content = "2"
    newest.look()
    assert (old, newest.ready()) == (Data("1"), "2")


def test_a_version_that_comes_out_the_same_leaves_everything_as_it_is() -> None:
    shelf = Shelf()
    newest = Newest(shelf, NEVER_S)
    old = newest.now()
    shelf.state = lambda: "touched"  # type: ignore[method-assign]
    newest.look()
    assert shelf.loads == 2
    assert newest.now() is old


def test_what_is_still_being_written_is_left_alone_until_it_stands_still() -> None:
    shelf = Shelf(settles=True)
    newest = Newest(shelf, NEVER_S)
    for shelf.content in ("2", "3"):
        newest.look()
        assert newest.ready() == "1"
    newest.look()
    assert (newest.ready(), shelf.loads) == ("3", 2)


def test_data_that_never_stand_still_are_told_of() -> None:
    clock = Clock()
    shelf = Shelf(settles=True)
    newest = Newest(shelf, NEVER_S, clock)
    shelf.content = "2"
    newest.look()
    assert told(newest) == ""
    clock.now += RESTLESS_S + 1
    shelf.content = "3"
    newest.look()
    assert told(newest).startswith("newer data could not be read; these are from 20")
    newest.look()
    assert (newest.ready(), told(newest)) == ("3", "")


@pytest.mark.parametrize("harm", ["broken", "lost"])
def test_bad_data_keep_the_good_ones_and_are_told_of_until_they_are_mended(
    harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf()
    newest = Newest(shelf, NEVER_S)
    setattr(shelf, harm, True)
    for _ in range(3):
        newest.look()
    assert newest.ready() == "1"
    assert told(newest)
    why = {"broken": "half a file", "lost": "it is gone"}[harm]
    assert len([line for line in caplog.messages if line.endswith(why)]) == 1
    assert shelf.loads <= 2
    setattr(shelf, harm, False)
    shelf.content = "2"
    newest.look()
    assert (newest.ready(), told(newest)) == ("2", "")


def test_the_same_bad_data_are_tried_again_after_a_while() -> None:
    clock = Clock()
    shelf = Shelf()
    newest = Newest(shelf, NEVER_S, clock)
    shelf.broken = True
    newest.look()
    clock.now += RETRY_S
    newest.look()
    assert shelf.loads == 3


def test_a_thread_looks_and_ends_with_the_object() -> None:
    shelf = Shelf()
    before = set(threading.enumerate())
    newest = Newest(shelf, 0.01)
    [thread] = set(threading.enumerate()) - before
    shelf.content = "2"
    soon(newest.ready, lambda version: version == "2", "the reload")
    gone = weakref.ref(newest)
    del newest
    gc.collect()
    soon(thread.is_alive, lambda alive: not alive, "the end of the thread")
    assert gone() is None


@dataclass
class Slow:
    """A source whose load a test lets go on."""

    offered: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)
    fails: bool = False
    settles: bool = False

    def state(self) -> object:
        return None

    def load(self, progress: Progress[Data]) -> Data:
        progress.tell(lambda: "1 of 2 files")
        progress.offer(Data("a part"))
        self.offered.set()
        self.may_end.wait()
        if self.fails:
            raise ValueError("half a file")
        return Data("all")


async def test_a_part_is_served_with_a_note_until_all_is_loaded() -> None:
    slow = Slow()
    newest = Newest(slow, NEVER_S, start_s=0)
    slow.offered.wait()
    assert (await newest.get(), newest.loading) == (Data("a part"), "1 of 2 files")
    assert newest.note == "not all data are loaded yet (1 of 2 files)"
    slow.may_end.set()
    newest.first_load()
    assert await newest.get() == Data("all")
    assert [newest.ready(), newest.loading, newest.note] == ["all", None, None]


def test_a_first_load_that_fails_is_told_whenever_it_ends() -> None:
    broken = Shelf(broken=True)
    with pytest.raises(ValueError, match="half a file"):
        Newest(broken, NEVER_S)
    slow = Slow(fails=True)
    newest = Newest(slow, NEVER_S, start_s=0)
    slow.may_end.set()
    with pytest.raises(ValueError, match="half a file"):
        newest.first_load()

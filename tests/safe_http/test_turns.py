"""Callers take turns: nobody has all places, nobody is passed over, and nothing is lost when one goes away."""

import asyncio

import pytest

from safe_http.turns import Full, Turns


class Queue:
    """Callers at some places. `had` has the names of those that were given one, in order."""

    def __init__(self, places: int, most_waiting: float = 1000) -> None:
        self.places = places
        self.turns = Turns(lambda: self.places, most_waiting=most_waiting)
        self.had: list[str] = []
        self.waits: list[asyncio.Task[None]] = []

    async def asks(self, *names: str) -> None:
        """Each asks for a place, in this order; its caller is the letter that its name begins with."""
        for name in names:
            self.waits.append(asyncio.create_task(self._has(name), name=name))
            await asyncio.sleep(0)

    async def leaves(self, name: str) -> None:
        """Gives its place back."""
        self.turns.give_back(name[0])
        await asyncio.sleep(0)

    async def goes_away(self, name: str) -> None:
        wait = next(each for each in self.waits if each.get_name() == name)
        wait.cancel()
        await asyncio.wait({wait})

    async def _has(self, name: str) -> None:
        await self.turns.take(name[0])
        self.had.append(name)


async def test_a_caller_alone_leaves_a_place_to_others() -> None:
    queue = Queue(3)
    await queue.asks("a1", "a2", "a3", "b1")
    assert queue.had == ["a1", "a2", "b1"]


async def test_of_a_single_place_callers_have_turns() -> None:
    queue = Queue(1)
    await queue.asks("a1", "a2", "a3", "b1", "c1", "b2")
    for expected in ("a1", "b1", "c1", "a2", "b2", "a3"):
        assert queue.had[-1] == expected
        await queue.leaves(expected)
    assert queue.turns.under_way == queue.turns.waiting == 0


async def test_whoever_has_the_fewest_places_is_next() -> None:
    queue = Queue(4)
    await queue.asks("a1", "a2", "a3", "b1", "a4", "b2", "b3")
    await queue.leaves("a1")
    await queue.leaves("a2")
    assert queue.had == ["a1", "a2", "a3", "b1", "b2", "a4"]


async def test_one_who_goes_away_takes_nothing_along() -> None:
    queue = Queue(1)
    await queue.asks("a1", "b1", "c1")
    await queue.goes_away("b1")
    await queue.leaves("a1")
    assert queue.had == ["a1", "c1"]
    await queue.asks("b2")
    queue.turns.give_back("c")
    await queue.goes_away("b2")  # in the moment in which it is given a place
    await queue.asks("d1")
    assert queue.had == ["a1", "c1", "d1"]
    await queue.leaves("d1")
    assert not queue.turns._callers


async def test_whoever_has_the_longest_line_makes_room() -> None:
    queue = Queue(1, most_waiting=2)
    await queue.asks("a1", "a2", "a3", "b1", "b2")
    await asyncio.sleep(0)
    refused = [each.get_name() for each in queue.waits if each.done() and isinstance(each.exception(), Full)]
    assert refused == ["a3", "b2"]
    await queue.goes_away("a2")
    await queue.asks("c1")
    assert queue.turns.waiting == 2


async def test_a_place_that_is_new_is_given_away() -> None:
    queue = Queue(0)
    await queue.asks("a1", "b1")
    assert queue.had == []
    queue.places = 2
    queue.turns.serve()
    await asyncio.sleep(0)
    assert queue.had == ["a1", "b1"]


async def test_a_turn_ends_with_its_block() -> None:
    queue = Turns(lambda: 1)
    with pytest.raises(KeyError):
        async with queue.turn("a"):
            raise KeyError
    assert queue.under_way == 0

"""What a ping says of one session is not held against the next one."""

import asyncio
import contextlib
from typing import cast

import httpx

from graphs.tools.limits import ToolLimits
from graphs.tools.replicas import Replica, Replicas
from graphs.tools.session import KeptSession


class Program:
    """A session over stdio that is pinged, and answers or not when it is told to."""

    def __init__(self) -> None:
        self.alive = self.is_open = True
        self.pinged, self.may_answer = asyncio.Event(), asyncio.Event()
        self.closed = asyncio.Event()

    async def answers(self, _within_s: float) -> bool:
        self.pinged.set()
        await self.may_answer.wait()
        return self.alive

    async def close(self) -> None:
        self.alive = False
        self.closed.set()


async def test_a_session_begun_while_its_forerunner_is_pinged_is_kept() -> None:
    first, second = Program(), Program()
    opened = iter(cast("list[KeptSession]", [first, second]))
    replica = Replica("a program", lambda _: next(opened))
    async with httpx.AsyncClient(verify=False) as http, contextlib.AsyncExitStack() as stack:
        replicas = Replicas("odd", (replica,), ToolLimits(probe_s=0.01), http, lambda _: None)
        stack.push_async_callback(replicas.close)
        replica.alive()
        replicas.there()
        replicas.failed(replica)
        await first.pinged.wait()
        first.alive = False  # it has died, and the next call begins another
        assert cast("object", replica.alive()) is second
        first.may_answer.set()
        await second.pinged.wait()  # in the next round, so the first one is over
        assert not second.closed.is_set()
        second.may_answer.set()

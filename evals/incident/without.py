"""Runs a drill with the team that has no guards.

    python -m evals.incident.without DRILL MODEL_URL SERVERS

is one run in a process of its own, for a drill that kills it: prints one JSON document.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from openai import DefaultAsyncHttpxClient

from evals.incident.drills import DRILLS, Course, Drill
from evals.incident.outcomes import Without, got
from evals.incident.runs import Scene, Servers, scene
from evals.incident.unguarded import Team

NOTHING = "nothing, it "


class CallLimit:
    """Admits a number of requests to the model. The next one waits for ever, and `reached` is set."""

    def __init__(self, most: int) -> None:
        self.reached = asyncio.Event()
        self._left = most

    async def __call__(self, _: Any) -> None:
        self._left -= 1
        if self._left < 0:
            self.reached.set()
            await asyncio.get_running_loop().create_future()


async def without_guards(drill: Drill, servers: Servers) -> Without:
    """Run until it ends, or reaches the drill's own limit."""
    async with scene(drill, servers) as place:
        return await COURSES[drill.course](drill, place)


async def _once(drill: Drill, place: Scene) -> Without:
    limit = CallLimit(drill.calls)
    async with DefaultAsyncHttpxClient(event_hooks={"request": [limit]}) as http:
        team = Team(place.model_url, place.servers, http, drill.habits)
        run = asyncio.create_task(team.answer(drill.question))
        over = asyncio.create_task(limit.reached.wait())
        await asyncio.wait({run, over}, timeout=drill.seconds, return_when=asyncio.FIRST_COMPLETED)
        ended = run.done()
        run.cancel()
        over.cancel()
        [outcome, _] = await asyncio.gather(run, over, return_exceptions=True)
    goes_on = limit.reached.is_set()
    said = got(outcome) if ended else f"{NOTHING}{'went on' if goes_on else 'still waited'}"
    return Without(await place.bill(), goes_on, said, team.counted)


async def _cancelled(drill: Drill, place: Scene) -> Without:
    """The caller is cancelled, as a web framework does when its client leaves; the thread does not hear of it."""
    run = asyncio.create_task(asyncio.to_thread(asyncio.run, _once(drill, place)))
    caller = asyncio.create_task(_shielded(run))
    await place.reached(drill.strikes[0][0])
    caller.cancel()
    before = (await place.bill()).calls
    ended = await run
    late = ended.bill.calls - before
    return replace(ended, got=f"{ended.got}: {late} calls came after the cancel")


async def _shielded(run: asyncio.Task[Without]) -> Without:
    return await asyncio.shield(run)


async def _killed(drill: Drill, place: Scene) -> Without:
    """Killed as often as the drill says, and each time started again by whoever watches over it."""
    for strike in (*drill.strikes[0], None):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "evals.incident.without", drill.name, place.model_url),
            json.dumps(dict(place.servers)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        said = asyncio.create_task(process.communicate())
        if strike is not None:
            struck = asyncio.create_task(place.reached((await place.bill()).calls + strike))
            await asyncio.wait({said, struck}, return_when=asyncio.FIRST_COMPLETED)
            struck.cancel()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        printed, _ = await said
    told = json.loads(printed)
    return Without(await place.bill(), told["goes_on"], told["got"], Decimal(told["counted"]))


COURSES: dict[Course, Callable[[Drill, Scene], Awaitable[Without]]] = {
    "once": _once,
    "approved": _once,
    "cancelled": _cancelled,
    "killed": _killed,
}


def main() -> None:
    """One run, of which its caller may kill this process."""
    name, model_url, servers = sys.argv[1:]
    [drill] = [each for each in DRILLS if each.name == name]
    ended = asyncio.run(_once(drill, Scene(model_url, json.loads(servers), {})))
    print(json.dumps({"goes_on": ended.goes_on, "got": ended.got, "counted": str(ended.counted)}))


if __name__ == "__main__":
    main()

"""Runs a drill with `tollgate`, as a person does."""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from app.jobs.states import TERMINAL
from app.store.embedded_redis import embedded_redis
from evals.incident.drills import Course, Drill
from evals.incident.invoice import Invoice
from evals.incident.outcomes import With, outcome_of
from evals.incident.runs import LOOK_S, Scene, Servers, environment, scene

GRACE_S = 90  # beyond a job's deadline, for starting programs, writing the report and ending programs
QUIET_S = 1  # after a cancelled job has ended: as long as twenty calls take
MOST_DECISIONS = 9
JOB_ID = re.compile(rb"job-\d{8}-\d{6}-[0-9a-f]+")
API_AT = re.compile(rb"http://\S+:\d+")

# What is down in a drill stays down: the drill is about the consequences.
NOT_WAITED_FOR = {"TOLLGATE_TOOL_OUTAGE_S": "0"}

Said = tuple[bytes, bytes]


@dataclass
class Guarded:
    """One guarded run. `struck` are the bills at the moments that its course is about."""

    drill: Drill
    place: Scene
    folder: Path
    struck: list[Invoice] = field(default_factory=list)

    @property
    def ask(self) -> list[str]:
        """The question with its limits, after `run` or `submit`."""
        drill = self.drill
        limits = ["--budget-usd", str(drill.budget_usd), "--deadline", str(drill.deadline_s)]
        return [drill.question, *limits, "--on-limit", drill.on_limit, "--json"]

    async def started(self, *arguments: str) -> asyncio.subprocess.Process:
        """`tollgate` with these arguments."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cli", *arguments),
            cwd=self.folder,  # no .env there
            env={
                **environment(self.place.model_url, self.place.servers, self.folder),
                **NOT_WAITED_FOR,
                **self.drill.settings,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    async def said(self, *arguments: str, killed_after: int | None = None) -> Said:
        """What `tollgate` with these arguments prints; killed when the model has got so many calls more."""
        before = (await self.place.bill()).calls
        process = await self.started(*arguments)
        talk = asyncio.create_task(process.communicate())
        try:
            if killed_after is not None:
                reached = asyncio.create_task(self.place.reached(before + killed_after))
                await asyncio.wait({talk, reached}, return_when=asyncio.FIRST_COMPLETED)
                if reached.done():
                    process.kill()
                    self.struck.append(await self.place.bill())
                reached.cancel()
            return await talk
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            talk.cancel()


async def with_guards(drill: Drill, servers: Servers, folder: Path) -> With:
    """The same question by `tollgate run`, as a person runs it, with this existing data folder."""
    async with scene(drill, servers) as place:
        run = Guarded(drill, place, folder)
        try:
            async with asyncio.timeout(drill.deadline_s + GRACE_S):
                with embedded_redis(folder):  # it survives what is killed, and ends with us
                    said, errors = await COURSES[drill.course](run)
        except TimeoutError:
            return With(await place.bill(), None, "", "nothing", "it did not end")
        return outcome_of(drill, await place.bill(), place.asked, said, errors, run.struck)


async def _once(run: Guarded) -> Said:
    return await run.said("run", *run.ask)


async def _killed(run: Guarded) -> Said:
    said, errors = await run.said("run", *run.ask, killed_after=run.drill.strikes[1][0])
    if said:  # it ended by itself
        return said, errors
    return await run.said("resume", _found(JOB_ID, errors), "--json")


async def _approved(run: Guarded) -> Said:
    said, errors = await run.said("run", *run.ask)
    for _ in range(MOST_DECISIONS):
        result = json.loads(said)
        if not result["escalation"]:
            break
        run.struck.append(await run.place.bill())
        yes = ("--action", "approve_more", "--amount-usd", "0", "--json")
        said, errors = await run.said("decide", result["job_id"], *yes)
    return said, errors


async def _cancelled(run: Guarded) -> Said:
    """The job is an API's, as where somebody else may cancel it."""
    service = await run.started("serve", "--port", "0")
    try:
        async with httpx.AsyncClient(base_url=await _address(service), timeout=GRACE_S) as api:
            drill = run.drill
            asked = {"question": drill.question, "budget_usd": float(drill.budget_usd), "deadline_s": drill.deadline_s}
            accepted = await api.post("/v1/jobs", json=asked, headers={"idempotency-key": drill.name.replace(" ", "-")})
            job = f"/v1/jobs/{accepted.raise_for_status().json()['id']}"
            await run.place.reached(drill.strikes[1][0])
            run.struck.append(await run.place.bill())
            (await api.post(f"{job}/cancel")).raise_for_status()
            while (ended := (await api.get(job)).raise_for_status().json())["status"] not in TERMINAL:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)
            run.struck.append(await run.place.bill())
            await asyncio.sleep(QUIET_S)  # a call that nobody waits for would come now
            spend = (await api.get(f"{job}/trace", params={"limit": "1"})).raise_for_status().json()["spend"]
    finally:
        service.terminate()
        _, errors = await service.communicate()
    return json.dumps({"report_path": None, **spend, **ended}).encode(), errors


async def _address(service: asyncio.subprocess.Process) -> str:
    """Where the API listens, by its own words."""
    assert service.stderr
    while line := await service.stderr.readline():
        if line.startswith(b"api: http"):
            return _found(API_AT, line)
    raise RuntimeError("`tollgate serve` ended before it listened")


def _found(pattern: re.Pattern[bytes], text: bytes) -> str:
    match = pattern.search(text)
    if match is None:
        raise RuntimeError(f"no {pattern.pattern!r} in {text[-2000:]!r}")
    return match[0].decode()


COURSES: dict[Course, Callable[[Guarded], Awaitable[Said]]] = {
    "once": _once,
    "approved": _approved,
    "killed": _killed,
    "cancelled": _cancelled,
}

"""Runs a recorded job again, on its record and nothing else: no provider, no MCP server, a store of its own."""

import contextlib
import difflib
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from redis.asyncio import Redis

from app.config.settings import OPENAI_URL, Settings
from app.errors import BadInput
from app.jobs.jobs import Jobs
from app.jobs.records import Record, Records
from app.jobs.reports import ReportFolder
from app.jobs.results import JobResult
from app.observing.redaction import Redaction
from app.recording.cassette import Cassette
from app.recording.factories import replaying
from app.recording.player import Clock, Differs, Player
from app.recording.recorder import record_of
from app.recording.run_line import learned
from app.running.processes import Addresses
from app.running.replay_from import Beginning, beginning
from app.running.runtime import Parts, assembled, dependencies, tool_gateway
from app.store.embedded_redis import embedded_redis
from app.store.redis import connect
from graphs.checkpoint.saver import RedisSaver
from graphs.deps import Deps
from graphs.planning.decision import NO_ANSWER
from graphs.research import ResearchGraph, build_research_graph
from graphs.state import Json

NOWHERE = "http://127.0.0.1:9/v1"  # the discard port
PAGE = 200
Build = Callable[[Deps, RedisSaver], ResearchGraph]
OF_THE_JOB = ("job_id", "question", "tenant", "limits", "created_at", "behaviour_version")


@dataclass(frozen=True)
class Replayed:
    """How a replay ended: the first thing that differs, in words; None if all is equal. `exchanges` counts what was
    asked again, and `notes` says what the record lacks."""

    differs: str | None
    exchanges: int
    notes: list[str]


@contextlib.asynccontextmanager
async def store_of(settings: Settings, redis_url: str) -> AsyncIterator[Parts]:
    """The jobs in a store, to be read, until the block ends."""
    async with contextlib.AsyncExitStack() as stack:
        nowhere = Addresses(NOWHERE, {}, ())
        settings = settings.model_copy(update={"cassette": None})
        yield await assembled(stack, settings, redis_url, nowhere, build_research_graph)


async def recorded(settings: Settings, redis_url: str, job_id: str) -> Cassette:
    """The record of a job in the store, with the job and its end. Raises NoSuchJob; BadInput: it was not recorded."""
    async with store_of(settings, redis_url) as parts:
        record = await parts.records.get(job_id)
        found = await parts.jobs.report(record)
        lines = [line async for line in _lines(parts.client, job_id)]
        if not lines:
            raise BadInput(f"{job_id} was not recorded; set TOLLGATE_RECORD=true before a job is run")
        told = record.model_dump(mode="json", include=set(OF_THE_JOB))
        result = record.result or {}
        end = {
            "status": record.status,
            "stop_reason": result.get("stop_reason"),
            "report": found.text if found else None,
        }
        return Cassette([{"kind": "job", **told}, *lines, {"kind": "end", **end}])


async def _lines(client: Redis, job_id: str) -> AsyncIterator[Json]:
    after = "0"
    while page := await record_of(client, job_id, after, most=PAGE):
        for _, line in page:
            yield line
        after = page[-1][0]


async def replayed(
    settings: Settings, cassette: Cassette, build: Build = build_research_graph, start: Beginning | None = None
) -> Replayed:
    """Run the job of this cassette again, from its question or from `start` on, on the graph that `build` makes."""
    clock = Clock(start.at if start else datetime.fromisoformat(cassette.runs[0]["at"]))
    past, rest = cassette.before(clock.time)
    player = Player(rest, Redaction(settings.secrets), clock)
    async with _apart(settings, player, clock, build) as (jobs, records):
        record = Record.model_validate({**_submitted(cassette), "status": "queued", "updated_at": clock()})
        await records.add(record)
        if start:
            await start.put(record.job_id, jobs, past)
        differs = None
        try:
            result = await _driven(jobs, rest, clock)
            differs = await _otherwise(jobs, cassette, await records.get(record.job_id), result)
        except Differs as found:
            if not (found.is_past_the_end and cassette.end["report"] is None):  # it was stopped there
                differs = str(found)
    return Replayed(differs, player.exchanges, cassette.incomplete)


async def replayed_from(settings: Settings, redis_url: str, job_id: str, step: str | None) -> Replayed:
    """Run a job of this store again, from this step on if one is given (see `beginning`). Raises as `recorded`."""
    cassette, start = await recorded(settings, redis_url, job_id), None
    if step is not None:
        async with store_of(settings, redis_url) as parts:
            start = await beginning(parts, cassette, step)
    return await replayed(settings, cassette, start=start)


def _submitted(cassette: Cassette) -> Json:
    return {name: cassette.job[name] for name in OF_THE_JOB}


async def _driven(jobs: Jobs, cassette: Cassette, clock: Clock) -> JobResult:
    """Run the job, and answer its escalations as they were answered."""
    job_id, ignored = cassette.job["job_id"], _ignored
    result = await jobs.run(job_id, ignored)
    for run in cassette.decisions:
        if result.status != "awaiting_human":
            break
        clock.reaches(datetime.fromisoformat(run["at"]))
        if run["decision"] == NO_ANSWER:
            result = await jobs.run(job_id, ignored)
        else:
            result = await jobs.decide(job_id, run["decision"], ignored)
    return result


async def _otherwise(jobs: Jobs, cassette: Cassette, record: Record, result: JobResult) -> str | None:
    """How the end differs, if it does."""
    then, end = cassette.end["report"], cassette.end["status"]
    found = await jobs.report(record)
    now = found.text if found else None
    if then == now and result.status == end:
        return None
    diff = difflib.unified_diff((then or "").splitlines(), (now or "").splitlines(), "then", "now", lineterm="", n=0)
    return "\n  ".join([f"the end: it was {end}, and is {result.status}; the reports differ", *list(diff)[2:20]])


def _ignored(_: Json) -> None:
    """Nobody follows a replay."""


@contextlib.asynccontextmanager
async def _apart(settings: Settings, player: Player, clock: Clock, build: Build) -> AsyncIterator[tuple[Jobs, Records]]:
    """Jobs in a store and a folder that are gone afterwards."""
    run = player.cassette.runs[0]
    with tempfile.TemporaryDirectory(prefix="replay-") as folder, embedded_redis(Path(folder)) as url:
        async with contextlib.AsyncExitStack() as stack:
            client = await stack.enter_async_context(contextlib.aclosing(connect(url)))
            factories, ttl = replaying(player), settings.ttl_seconds
            http = await stack.enter_async_context(factories.http())
            gateway = tool_gateway(settings, {}, client, now=clock, factories=factories)
            await stack.enter_async_context(gateway)
            model = OPENAI_URL if run["openai"] else NOWHERE
            deps: Deps = dependencies(settings, model, http, gateway, client, clock, factories)
            learned(deps, run)
            graph = build(deps, RedisSaver(client, ttl_seconds=ttl))
            reports = ReportFolder(Path(folder) / "reports", deps.evidence, ttl_seconds=ttl, notice=run["notice"])
            yield Jobs(graph, deps, client, reports, ttl_seconds=ttl), Records(client, ttl_seconds=ttl, now=clock)

"""What is kept of a job, in its several places: read together, and deleted together."""

from dataclasses import dataclass
from typing import NamedTuple

from langgraph.types import StateSnapshot
from redis.asyncio import Redis

from app.jobs.events import EventLog
from app.jobs.records import Record, Records
from app.jobs.reports import ReportFolder
from app.jobs.results import JobResult, result_of
from app.recording.recorder import forget_record
from graphs.checkpoint.saver import RedisSaver
from graphs.deps import Deps
from graphs.evidence.rendering import Parts
from graphs.research import ResearchGraph
from graphs.spending.spend import Spend
from graphs.state import ResearchState
from graphs.upgrade import upgraded


class Reported(NamedTuple):
    """A report as Markdown and in parts, and the job that it is of."""

    text: str
    parts: Parts
    state: ResearchState
    record: Record
    used: Spend
    result: JobResult


@dataclass(frozen=True)
class Kept:
    """The state of jobs, their records, events, evidence and reports."""

    graph: ResearchGraph
    deps: Deps
    records: Records
    log: EventLog
    reports: ReportFolder
    client: Redis

    async def snapshot(self, job_id: str) -> StateSnapshot:
        """The job's state at its last checkpoint, and its open interrupts."""
        snapshot = await self.graph.aget_state({"configurable": {"thread_id": job_id}})
        return snapshot._replace(values=upgraded(snapshot.values))

    async def result(self, record: Record, snapshot: StateSnapshot) -> JobResult:
        """The job's result at this checkpoint. Writes the files of its report, if it has one."""
        state: ResearchState = snapshot.values  # type: ignore[assignment]
        report = state.get("report") if state.get("status") else None
        used = await self.deps.ledger.spend(record.job_id)
        told: ResearchState = {**state, "used": used.model_dump(mode="json")}  # including the last step
        path = await self.reports.write(told, report) if report else None
        return result_of(record, snapshot, used, path)

    async def report(self, record: Record) -> Reported | None:
        """The report; None if there is none."""
        snapshot = await self.snapshot(record.job_id)
        state: ResearchState = snapshot.values  # type: ignore[assignment]
        report = state.get("report")
        if not report or not state.get("status"):
            return None
        used = await self.deps.ledger.spend(record.job_id)
        told: ResearchState = {**state, "used": used.model_dump(mode="json")}
        result = result_of(record, snapshot, used, None)
        return Reported(self.reports.text(told, report), self.reports.parts(told, report), told, record, used, result)

    async def forget(self, job_id: str) -> None:
        """Delete everything but the job's sums in the ledger; its record last, so that this can be repeated."""
        if isinstance(self.graph.checkpointer, RedisSaver):
            await self.graph.checkpointer.adelete_thread(job_id)
        await self.deps.evidence.remove(job_id)
        await self.log.remove(job_id)
        await forget_record(self.client, job_id)
        await self.reports.remove(job_id)
        await self.records.remove(job_id)

"""Order, run, resume, answer and cancel one job. This is the only caller of the graph."""

import uuid
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langgraph.runtime import RunControl
from langgraph.types import StateSnapshot
from pydantic import ValidationError
from redis.asyncio import Redis

from app.errors import BadInput, Busy, DecisionRefused, LeaseLost, StoreOutage
from app.jobs.decisions import Decisions
from app.jobs.driver import Driver, OnEvent, Run, last_words
from app.jobs.events import EventLog
from app.jobs.lease import Leases
from app.jobs.records import Record, Records
from app.jobs.reports import ReportFolder
from app.jobs.results import JobResult, result_of
from app.jobs.states import TERMINAL
from app.observing.redaction import Redaction, redacted
from graphs.deps import Deps
from graphs.errors import Fenced
from graphs.planning.decision import decided, in_the_way
from graphs.redis.failures import STORE_FAILED, explained, is_outage
from graphs.research import ResearchGraph
from graphs.spending.limits import Limits
from graphs.state import Json, ResearchState
from graphs.untrusted.screening import refused


class Jobs:
    """Jobs over one compiled graph.

    Args:
        graph: compiled with a checkpointer.
        deps: what the graph was built with: its ledger, its evidence, its limits.
        client: the Redis that holds records, leases and events.
        reports: writes what a finished job leaves on disk.
        ttl_seconds: how long a record lives after its last change.
        lease_s: how long a run may be silent before another process may take its job over.
        callbacks: tracers for every run.
        redact: what keeps secrets out of events and records.
    """

    def __init__(  # noqa: PLR0913  all by name but the first
        self,
        graph: ResearchGraph,
        deps: Deps,
        client: Redis,
        reports: ReportFolder,
        *,
        ttl_seconds: int,
        lease_s: float = 10.0,
        callbacks: list[BaseCallbackHandler] | None = None,
        redact: Redaction = redacted,
    ) -> None:
        self._deps = deps
        self._redact = redact
        self._reports = reports
        self._decisions = Decisions(client, ttl_seconds=ttl_seconds)
        self._leases = Leases(client, ttl_seconds=ttl_seconds, seconds=lease_s, now=deps.now)
        self._log = EventLog(client, ttl_seconds=ttl_seconds, redact=redact)
        self._records = Records(client, ttl_seconds=ttl_seconds, now=deps.now)
        parts = (self._records, self._decisions, self._log, reports)
        self._driver = Driver(graph, deps, *parts, callbacks or [], redact)

    async def create(self, question: str, limits: Limits, tenant: str = "local", **ordered: Any) -> str:
        """Record a job and return its id. See `order`."""
        return (await self.order(question, limits, tenant, **ordered)).job_id

    async def order(self, question: str, limits: Limits, tenant: str, **ordered: Any) -> Record:
        """Record a job; its record.

        Args:
            question: what is to be answered.
            limits: what the job may use.
            tenant: whose job it is, and whose day budget it uses.
            ordered: more fields of `Record`: actor, metadata, webhook_url.

        Raises:
            BadInput: the question is empty or too long, or a limit is above the deployment's ceiling.
        """
        if problem := refused(question):
            raise BadInput(problem)
        if above := limits.above(self._deps.ceiling):
            raise BadInput(f"{above}; ask for less, or raise the maximum (.env.example lists the settings)")
        now = self._deps.now()
        job_id = f"job-{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:10]}"
        told = {"question": question, "limits": limits, "tenant": tenant, **ordered}
        record = Record(job_id=job_id, status="queued", created_at=now, updated_at=now, **told)
        await self._records.add(record)
        return record

    async def run(
        self, job_id: str, on_event: OnEvent, control: RunControl | None = None, attempts: int | None = None
    ) -> JobResult:
        """Run the job from where it stands: its start, or its last checkpoint. An ended job is not run again.

        A job that waits for a human goes on when one has decided, or when the time to decide is over.

        Args:
            job_id: the job.
            on_event: gets the events of the run.
            control: with it the run can be asked to stop at its next step.
            attempts: runs that may begin at the same checkpoint; the next one ends the job as dead.
                Without it, any number may, and the lease of a process that died is waited for.

        Raises:
            NoSuchJob: there is no such job.
            Busy: another process drives it.
            StoreOutage: the store is out of order; what the record has to say of it is still to be written.
            Draining: `control` was asked to drain; the job can be run on from where it stands.
        """
        record = await self._records.get(job_id)
        if record.status in TERMINAL:
            return await self._driver.result(record, await self.snapshot(job_id))

        def waiting() -> None:
            on_event({"type": "warning", "message": "another process drives this job, or died; waiting for its lease"})

        run = None
        try:
            async with self._leases.held(job_id, waiting if attempts is None else None) as token:
                run = Run(job_id, token, on_event, control or RunControl(), attempts)
                return await self._driver.driven(run)
        except Fenced as error:
            raise Busy(str(error)) from error
        except Exception as error:
            if run and run.attempt and (is_outage(error) or isinstance(error, LeaseLost)):
                await self._taken_back(run, error)
            raise

    async def _taken_back(self, run: Run, error: Exception) -> None:
        """Take this attempt back. Raises StoreOutage when the store does not take even that."""
        anew = {"attempts": run.attempt - 1, **last_words(error, self._redact)}
        try:
            await self._records.write(run.job_id, anew, fence=run.token)
        except STORE_FAILED as failed:
            raise StoreOutage(f"{run.job_id} stands where it was: {explained(failed)}", run.token, anew) from error
        except Busy:  # another goes on with it, and has counted anew
            return

    async def decide(
        self, job_id: str, answer: Json, on_event: OnEvent, *, escalation_id: str | None = None
    ) -> JobResult:
        """Answer the escalation that the job waits for, and run on. See `claim` and `run`."""
        await self.claim(job_id, answer, escalation_id=escalation_id)
        return await self.run(job_id, on_event)

    async def claim(self, job_id: str, answer: Json, *, escalation_id: str | None = None, actor: str = "") -> Json:
        """Answer the escalation that the job waits for; the next run goes on with it. The first answer counts.

        Args:
            job_id: the job.
            answer: one of the choices of the escalation.
            escalation_id: the escalation that is meant; without it, the one that is open.
            actor: who decides.

        Returns: the answer, complete.

        Raises:
            NoSuchJob: there is no such job.
            BadInput: the answer is none of the choices.
            DecisionRefused: the job waits for nothing, or not for this; it was decided already; it came too late.
        """
        record, before = await self._records.get(job_id), await self.snapshot(job_id)
        if not before.interrupts or record.status in TERMINAL:
            raise DecisionRefused(f"{job_id} waits for no decision; its status is {record.status}")
        state: ResearchState = before.values  # type: ignore[assignment]
        used, blocked = await self._deps.ledger.spend(job_id), await in_the_way(state, self._deps)
        try:
            decision = decided(state, used, answer, self._deps.ceiling, blocked)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(each) for each in first["loc"][1:]) or "action"
            raise BadInput(f"the decision does not fit: {place}: {first['msg']}") from error
        except ValueError as error:
            raise BadInput(f"the decision does not fit: {error}") from error
        document = decision.model_dump(mode="json")
        await self._decisions.claim(job_id, before, document, self._deps.now(), escalation_id)
        await self._log.append(job_id, [{"type": "decision", **document, **({"actor": actor} if actor else {})}])
        return document

    async def cancel(self, job_id: str) -> None:
        """Want the job to stop. A run under way stops at its next step; one that waits has to be run to end.

        Raises:
            NoSuchJob: there is no such job.
            DecisionRefused: it has ended.
        """
        record = await self._records.get(job_id)
        if record.status in TERMINAL:
            raise DecisionRefused(f"{job_id} has ended already; its status is {record.status}")
        if record.cancel_at is None:
            await self._records.write(job_id, {"cancel_at": self._deps.now().isoformat()})

    async def snapshot(self, job_id: str) -> StateSnapshot:
        """The state of the job at its last checkpoint, and the questions it waits with."""
        return await self._driver.snapshot(job_id)

    async def tidy(self) -> None:
        """Remove the files of jobs that are gone."""
        await self._reports.tidy(self._records)

    async def report(self, record: Record) -> tuple[str, JobResult] | None:
        """The report as Markdown, and what the job came to; None while there is no report."""
        snapshot = await self.snapshot(record.job_id)
        state: ResearchState = snapshot.values  # type: ignore[assignment]
        report = state.get("report")
        if not report or not state.get("status"):
            return None
        used = await self._deps.ledger.spend(record.job_id)
        text = self._reports.text({**state, "used": used.model_dump(mode="json")}, report)
        return text, result_of(record, snapshot, used, None)

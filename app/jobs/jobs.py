"""Submit, run, resume, decide and cancel a job. This is the only caller of the graph."""

import uuid
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langgraph.runtime import RunControl
from langgraph.types import StateSnapshot
from pydantic import ValidationError
from redis.asyncio import Redis

from app.errors import BadInput, Busy, DecisionRefused, LeaseLost, StoreOutage, TakenOver
from app.jobs.budgets import Budgets
from app.jobs.decisions import Decisions
from app.jobs.driver import Driver, OnEvent, Run, last_words
from app.jobs.events import EventLog
from app.jobs.kept import Kept, Reported
from app.jobs.lease import Leases
from app.jobs.records import Record, Records
from app.jobs.reports import ReportFolder
from app.jobs.results import JobResult
from app.jobs.states import TERMINAL
from app.observing.redaction import Redaction, redacted
from app.recording.behaviour import behaviour_version
from app.recording.recorder import Recorder
from graphs.deps import Deps
from graphs.errors import Fenced
from graphs.planning.decision import ApproveMore, Redirect, decided
from graphs.redis.failures import STORE_FAILED, explained, is_outage
from graphs.research import ResearchGraph
from graphs.spending.limits import MICRO, Limits
from graphs.state import Json, ResearchState
from graphs.telemetry import in_job, note, traceparent
from graphs.untrusted.screening import refused

_AGAIN_S = 86_400.0  # for how long deletions are repeated


class Jobs:
    """Jobs over one compiled graph.

    Args:
        graph: compiled with a checkpointer.
        deps: the graph's dependencies.
        client: the Redis with records, leases and events.
        reports: writes the files of a finished job.
        ttl_seconds: how long a record is kept after its last change.
        lease_s: how long a run may be silent before another process may take over its job.
        callbacks: tracers for every run.
        content: whether spans have the contents of messages and tool calls, redacted.
        redact: removes secrets from events and records.
        recorder: records what jobs exchange with models and tools, if anybody does.
    """

    def __init__(  # noqa: PLR0913  keyword-only but for the first
        self,
        graph: ResearchGraph,
        deps: Deps,
        client: Redis,
        reports: ReportFolder,
        *,
        ttl_seconds: int,
        lease_s: float = 10.0,
        callbacks: list[BaseCallbackHandler] | None = None,
        content: bool = False,
        redact: Redaction = redacted,
        recorder: Recorder | None = None,
    ) -> None:
        self.deps = deps
        self.graph = graph
        self._redact = redact
        self._reports = reports
        self._decisions = Decisions(client, ttl_seconds=ttl_seconds)
        self._leases = Leases(client, ttl_seconds=ttl_seconds, seconds=lease_s, now=deps.now)
        self._log = EventLog(client, ttl_seconds=ttl_seconds, redact=redact)
        self._records = Records(client, ttl_seconds=ttl_seconds, now=deps.now)
        self.budgets = Budgets(client, self._records, self._limits, deps, ttl_seconds=ttl_seconds)
        self._kept = Kept(graph, deps, self._records, self._log, reports, client)
        self.behaviour_version = behaviour_version(deps, graph.name)
        how = (callbacks or [], redact, redact if content else None, self.behaviour_version, recorder)
        self._driver = Driver(self._kept, self._decisions, *how)

    async def create(self, question: str, limits: Limits, tenant: str = "local", **more: Any) -> str:
        """Record a job and return its id. See `submit`."""
        return (await self.submit(question, limits, tenant, **more)).job_id

    async def submit(self, question: str, limits: Limits, tenant: str, **more: Any) -> Record:
        """Record a job and return its record.

        Args:
            question: the question to answer.
            limits: the limits of the job.
            tenant: owns the job and pays for it.
            more: more fields of `Record`: actor, metadata, webhook_url, parent.

        Raises:
            BadInput: the question is empty or too long, a limit is above the deployment's ceiling, or the parent does
                not pay for it.
        """
        if problem := refused(question):
            raise BadInput(problem)
        if above := limits.above(self.deps.ceiling):
            raise BadInput(f"{above}; ask for less, or raise the maximum (.env.example lists the settings)")
        now = self.deps.now()
        job_id = f"job-{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:10]}"
        fields = {"question": question, "limits": limits, "tenant": tenant, "traceparent": traceparent(), **more}
        fields["behaviour_version"] = self.behaviour_version
        record = Record(job_id=job_id, status="queued", created_at=now, updated_at=now, **fields)
        await self.budgets.grant(record, limits.budget_micro_usd)
        await self._records.add(record)
        return record

    async def accepted(self, record: Record) -> None:
        """Keep what the parent gave the job, which would go back by itself otherwise."""
        if record.parent:
            await self.deps.ledger.keep(record.job_id)

    async def withdraw(self, record: Record) -> None:
        """Forget a job that was not accepted."""
        await self._records.remove(record.job_id)
        await self.deps.ledger.give_back(record.job_id)

    async def run(
        self, job_id: str, on_event: OnEvent, control: RunControl | None = None, attempts: int | None = None
    ) -> JobResult:
        """Run the job from its start or its last checkpoint. An ended job is not run again.

        A job that waits for a human goes on after the decision, or after the time to decide.

        Args:
            job_id: the job.
            on_event: called with each event of the run.
            control: lets the caller stop the run at its next step.
            attempts: runs that may begin at the same checkpoint; the next one dead-letters the job. Without it there is
                no limit, and a dead process's lease is waited for.

        Raises:
            NoSuchJob: there is no such job.
            Busy: another process drives it; TakenOver: it took the job over during this run.
            StoreOutage: the store is broken; the error has the record's pending update.
            Draining: `control` asked to drain; the job can be continued from its last checkpoint.
        """
        record = await self._records.get(job_id)
        if record.status in TERMINAL:
            return await self._kept.result(record, await self.snapshot(job_id))

        def waiting() -> None:
            on_event({"type": "warning", "message": "another process drives this job, or died; waiting for its lease"})

        run = None
        try:
            async with self._leases.held(job_id, waiting if attempts is None else None) as token:
                run = Run(job_id, token, on_event, control or RunControl(), attempts)
                return await self._driver.driven(run)
        except Fenced as error:
            raise TakenOver(str(error)) from error
        except Exception as error:
            if run and run.attempt and (is_outage(error) or isinstance(error, LeaseLost)):
                await self._taken_back(run, error)
            raise

    async def _taken_back(self, run: Run, error: Exception) -> None:
        """Uncount this attempt. Raises StoreOutage if the store refuses even that."""
        pending = {"attempts": run.attempt - 1, **last_words(error, self._redact)}
        try:
            await self._records.write(run.job_id, pending, fence=run.token)
        except STORE_FAILED as failed:
            raise StoreOutage(f"{run.job_id} is unchanged: {explained(failed)}", run.token, pending) from error
        except Busy:  # another process continues it, with its own count
            return

    async def decide(
        self, job_id: str, answer: Json, on_event: OnEvent, *, escalation_id: str | None = None
    ) -> JobResult:
        """Decide about the job's escalation, and continue it. See `claim` and `run`."""
        await self.claim(job_id, answer, escalation_id=escalation_id)
        return await self.run(job_id, on_event)

    async def claim(self, job_id: str, answer: Json, *, escalation_id: str | None = None, actor: str = "") -> Json:
        """Decide about the job's escalation; the next run continues with it. The first decision counts.

        Args:
            job_id: the job.
            answer: one of the escalation's choices.
            escalation_id: the escalation; default: the open one.
            actor: who decides.

        Returns: the complete decision.

        Raises:
            NoSuchJob: there is no such job.
            BadInput: the answer is not one of the choices.
            DecisionRefused: the job does not wait for this decision, it was already decided, or it is too late.
        """
        record, before = await self._records.get(job_id), await self.snapshot(job_id)
        if not before.interrupts or record.status in TERMINAL:
            raise DecisionRefused(f"{job_id} waits for no decision; its status is {record.status}")
        with in_job("decide", job_id, record.traceparent):
            return await self._claimed(record, before, answer, escalation_id, actor)

    async def _claimed(
        self, record: Record, before: StateSnapshot, answer: Json, escalation_id: str | None, actor: str
    ) -> Json:
        job_id = record.job_id
        state: ResearchState = before.values  # type: ignore[assignment]
        used = await self.deps.ledger.spend(job_id)
        try:
            decision = decided(state, used, answer, self.deps.ceiling)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(each) for each in first["loc"][1:]) or "action"
            raise BadInput(f"the decision does not fit: {place}: {first['msg']}") from error
        except ValueError as error:
            raise BadInput(f"the decision does not fit: {error}") from error
        raised = 0
        if isinstance(decision, ApproveMore | Redirect) and decision.amount_usd:
            limits = Limits.model_validate(state["limits"])
            raised = limits.budget_micro_usd + round(decision.amount_usd * MICRO)
            await self.budgets.grant(record, raised)
        document = decision.model_dump(mode="json")
        note(decision=decision.action)
        await self._decisions.claim(job_id, before, document, self.deps.now(), escalation_id)
        if raised:
            await self._records.write(job_id, {"raised_micro_usd": raised})
        await self._log.append(job_id, [{"type": "decision", **document, **({"actor": actor} if actor else {})}])
        return document

    async def cancel(self, job_id: str) -> None:
        """Ask the job to stop. A current run stops at its next step; a waiting job must be run to end.

        Raises:
            NoSuchJob: there is no such job.
            DecisionRefused: it has ended.
        """
        record = await self._records.get(job_id)
        if record.status in TERMINAL:
            raise DecisionRefused(f"{job_id} has already ended; its status is {record.status}")
        if record.cancel_at is None:
            await self._records.write(job_id, {"cancel_at": self.deps.now().isoformat()})

    async def snapshot(self, job_id: str) -> StateSnapshot:
        """The job's state at its last checkpoint, and its open interrupts."""
        return await self._kept.snapshot(job_id)

    async def _limits(self, record: Record) -> Limits:
        state = (await self.snapshot(record.job_id)).values
        return Limits.model_validate(state["limits"]) if "limits" in state else record.limits

    async def delete(self, record: Record) -> None:
        """Delete everything of an ended job but its sums in the ledger. Can be repeated.

        Raises:
            Busy: a process still drives it.
        """
        job_id = record.job_id
        async with self._leases.held(job_id):
            await self._records.mark_deleted(record.tenant, job_id)
            await self.deps.ledger.give_back(job_id)
            await self._kept.forget(job_id)
        await self._leases.forget(job_id)

    async def tidy(self) -> None:
        """Remove the files of expired and deleted jobs, and what is left of deleted ones: a deletion may have been cut
        off, and a process that was suspended meanwhile may have written afterwards."""
        for job_id in await self._records.deleted(_AGAIN_S):
            await self._kept.forget(job_id)
            await self._leases.forget(job_id)
        await self._reports.tidy(self._records)

    async def report(self, record: Record) -> Reported | None:
        """The report; None if there is none."""
        return await self._kept.report(record)

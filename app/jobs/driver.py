"""One run of one job, under its lease: decides what to do next, runs the graph, and publishes the result."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphDrained, GraphRecursionError
from langgraph.runtime import RunControl
from langgraph.types import Command, StateSnapshot

from app.errors import BadInput, Draining
from app.jobs.decisions import Decisions
from app.jobs.kept import Kept
from app.jobs.records import Record
from app.jobs.results import JobResult
from app.jobs.states import TERMINAL
from app.observing.logs import about_job
from app.observing.redaction import Redaction, redacted
from app.recording.recorder import AT_ONCE
from app.recording.recorder import Recorder as JobRecorder
from app.recording.run_line import run_line
from graphs.checkpoint.saver import RedisSaver
from graphs.clock import end_of_day
from graphs.deps import WAITED
from graphs.errors import DayUsedUp, Fenced, for_tenants
from graphs.redis.failures import STORE_FAILED, is_outage
from graphs.redis.fencing import FENCE
from graphs.spending.days import told
from graphs.state import SCHEMA_VERSION, Json
from graphs.stop_reasons import EXPLAINED, StopReason
from graphs.telemetry import Recorder, failed, note, run_of_job, trace_id, traceparent

OnEvent = Callable[[Json], None]
CANCELLED = "cancelled"
SHOWN = 500  # characters of an error
BETWEEN_EXCHANGES = {"plan", "verified", "budget", "report_verified", "job"}  # events of steps of the graph
LOOK_S = 0.5  # how often a run checks whether its job was cancelled


@dataclass
class Run:
    """One run of a job: its fencing token, listener, stop control, and limit of attempts. `attempt` is this attempt's
    number, once it counts."""

    job_id: str
    token: int
    on_event: OnEvent
    control: RunControl
    attempts: int | None
    attempt: int = 0


@dataclass(frozen=True)
class Driver:
    """Drives jobs over one compiled graph. All its writes carry the run's fencing token. `content` records the contents
    of messages and tool calls on spans; without it they are not recorded. `recorder` keeps them with the job."""

    kept: Kept
    decisions: Decisions
    callbacks: list[BaseCallbackHandler]
    redact: Redaction = redacted
    content: Recorder | None = None
    behaviour_version: str | None = None
    recorder: JobRecorder | None = None

    async def driven(self, run: Run) -> JobResult:
        """Continue the job from its last checkpoint, under its lease.

        Raises:
            BadInput: another version started it, and nobody can requeue it.
            Draining: the run was asked to drain; the job can be continued from its last checkpoint.
            Fenced: another process has the lease by now.
        """
        await self.kept.deps.ledger.fence(run.job_id, run.token)
        await self.kept.deps.ledger.reap()  # what dead processes of other jobs have left reserved
        record = await self.kept.records.get(run.job_id)
        with run_of_job(run.job_id, str(self.kept.graph.name), record.traceparent, self.content, harmless=(Draining,)):
            about_job(run.job_id)
            result = await self._continued(run, record)
            note(status=result.status, stop_reason=result.stop_reason or "", tenant=record.tenant, attempt=run.attempt)
            if result.status in {"failed", "dead"}:
                failed(result.stop_reason or result.status)
            return result

    async def _continued(self, run: Run, record: Record) -> JobResult:
        before = await self.kept.snapshot(run.job_id)
        ended = before.values.get("status") or record.status in TERMINAL
        if not ended and record.cancel_at is None:
            version = before.values.get("schema_version", SCHEMA_VERSION)
            if version != SCHEMA_VERSION:
                return await self._left(
                    run, record, f"its state has version {version}, and this program reads {SCHEMA_VERSION}"
                )
            given: Any = None if before.values else {"job_id": run.job_id, **_start(record)}
            claim = None
            if before.interrupts:
                claim = await self.decisions.waiting_for(run.job_id, before, self.kept.deps.now())
                if claim is None:
                    return await self._concluded(run, record)
                given = Command(resume=claim["answer"])
            elif used_up := await self.kept.deps.used_up(record.tenant):
                return await self._concluded(run, record, self._suspended(used_up))
            if begun := await self._begun(run, record, before, claim):
                if self.recorder:
                    self.recorder.begin(run.job_id, run.token, self._run_line(begun, claim))
                return await self._concluded(run, begun, await self._streamed(run, begun, given))
            return await self._concluded(run, record, {"status": "dead"})
        return await self._concluded(run, record, {} if ended else {"status": "cancelled"})

    async def _left(self, run: Run, record: Record, why: str) -> JobResult:
        """Leave a job of another version of this program untouched, for a human."""
        if run.attempts is None:
            raise BadInput(f"{run.job_id} cannot be continued: {why}; resume it with the version that started it")
        last_error = f"{why}; requeue it while only workers of the version that started it run, or discard it"
        told = {"last_error": last_error, "last_reason": last_error}
        await self._write(run, told)
        return await self._concluded(run, record.model_copy(update=told), {"status": "dead"})

    async def _begun(self, run: Run, record: Record, before: StateSnapshot, claim: Json | None) -> Record | None:
        """Count this attempt, and how long the job was suspended before it; None if it may not begin. Its event says
        what the job has waited for, once: a worker, or the decision in `claim`."""
        position = before.config["configurable"].get("checkpoint_id", "")
        attempts = record.attempts + 1 if record.attempts and position == record.attempted_at else 1
        if run.attempts is not None and attempts > run.attempts:
            return None
        counted: Json = {"status": "running", "attempts": attempts, "attempted_at": position}
        if not record.traceparent and (current := traceparent()):
            counted["traceparent"] = current
        counted["behaviour_version"] = self.behaviour_version
        if record.suspended_at:
            waited_s = record.waited_s + (self.kept.deps.now() - record.suspended_at).total_seconds()
            counted |= {"suspended_at": None, "waited_s": waited_s}
        await self._write(run, counted)
        run.attempt = attempts
        begun = record.model_copy(update=counted)
        waited: Json = {}
        if attempts == 1 and claim:
            waited = {"action": claim["answer"]["action"], "decided_s": _seconds(before.created_at, claim["at"])}
        elif attempts == 1 and not before.values:
            waited = {"queued_s": max(0.0, self._age_s(record) - begun.waited_s)}
        await self._tell(run, {"type": "job", "job_id": run.job_id, "status": "running", **waited})
        return begun

    async def _streamed(self, run: Run, record: Record, given: Any) -> Json:
        """Run the graph to its end, an escalation or a limit; return how it stopped if the state does not say."""
        config = self._config(record, run.token)
        try:
            # Closed here, even if event delivery is cancelled: its tasks must not outlive the run.
            events = self.kept.graph.astream(
                given, config, stream_mode="custom", durability="sync", control=run.control
            )
            async with self._watched(run, record), contextlib.aclosing(events):  # type: ignore[type-var]
                async for event in events:
                    await self._tell(run, event)
        except GraphDrained:
            if await self._is_to_stop(record):
                return {"status": "cancelled"}
            await self._write(run, {"status": "queued", "attempts": 0})
            raise Draining(f"{run.job_id} was stopped at a step; another run continues from there") from None
        except DayUsedUp as used_up:
            return self._suspended(used_up.reason)
        except GraphRecursionError:
            # The nodes normally stop earlier; this is the last safety net.
            await self._tell(run, {"type": "warning", "message": EXPLAINED[StopReason.STEPS]})
            return {"stop_reason": StopReason.STEPS.value}
        except Exception as error:
            if run.attempts is not None and not is_outage(error):
                await self._write(run, last_words(error, self.redact))
            raise
        finally:
            await self._recorded(run)
        return {}

    def _run_line(self, begun: Record, claim: Json | None) -> Json:
        return run_line(self.kept.deps, begun.attempts, self.kept.reports.notice, claim["answer"] if claim else None)

    async def _recorded(self, run: Run) -> None:
        """Close the record of this run. One without this end is of a process that died."""
        if self.recorder:
            self.recorder.note(run.job_id, {"kind": "ended"})
            with contextlib.suppress(Fenced, *STORE_FAILED):
                await self.recorder.flush(run.job_id)
            self.recorder.forget(run.job_id)

    def _suspended(self, reason: StopReason) -> Json:
        ends = end_of_day(self.kept.deps.now())
        why = {"stop_reason": reason.value, "stop_detail": told(reason, ends)}
        return {"status": "suspended", **why, "resumes_at": ends.isoformat()}

    @contextlib.asynccontextmanager
    async def _watched(self, run: Run, record: Record) -> AsyncIterator[None]:
        """Ask the run to drain if the job, or its parent, is cancelled while the block runs."""

        over = asyncio.Event()

        async def watch() -> None:
            while not (over.is_set() or run.control.drain_requested):
                await asyncio.sleep(LOOK_S)
                with contextlib.suppress(*STORE_FAILED):
                    if await self._is_to_stop(record):
                        run.control.request_drain(CANCELLED)

        watching = asyncio.create_task(watch(), name=f"cancellation of {run.job_id}")
        try:
            yield
        finally:
            over.set()  # because Python 3.11's wait_for, under the Redis client, can swallow a cancellation
            watching.cancel()
            await asyncio.wait({watching})  # otherwise it would open connections of a client that is closed by then

    async def _is_to_stop(self, record: Record) -> bool:
        return any([await self.kept.records.wants_to_stop(each) for each in (record.job_id, record.parent) if each])

    async def _concluded(self, run: Run, record: Record, stopped: Json | None = None) -> JobResult:
        """Publish the result of the job: its event once, then its record. Idempotent."""
        stopped = stopped or {}
        record = record.model_copy(update={"status": stopped["status"]} if "status" in stopped else {})
        result = await self.kept.result(record, await self.kept.snapshot(run.job_id))
        if "stop_reason" in stopped:
            result = result.model_copy(update=stopped)
        last = await self.kept.log.last(run.job_id)
        if last is None or last.type != "job" or last.data.get("status") != result.status:
            ended = {"job_id": run.job_id, "status": result.status, "stop_reason": result.stop_reason}
            until: Json = {name: stopped[name] for name in ("stop_detail", "resumes_at") if name in stopped}
            used: Json = {"cost_usd": result.cost_usd, "seconds": self._age_s(record)}
            await self._tell(run, {"type": "job", **ended, **until, **used})
        if result.status in TERMINAL - {"dead"}:  # a dead letter may be requeued
            await self.kept.deps.ledger.give_back(run.job_id)
        fields: Json = {"status": result.status, "result": result.model_dump(mode="json")}
        if result.status == "suspended":  # no fault of the job: neither its time nor this attempt counts
            fields["suspended_at"] = (record.suspended_at or self.kept.deps.now()).isoformat()
            fields["attempts"] = max(0, record.attempts - bool(run.attempt))
        await self._write(run, fields)
        return result

    def _age_s(self, record: Record) -> float:
        return round((self.kept.deps.now() - record.created_at).total_seconds(), 3)

    async def _tell(self, run: Run, event: Json) -> None:
        run.on_event(event)
        # In its own task: Python 3.11's wait_for, under the Redis client, can swallow a cancellation (Ctrl-C).
        await asyncio.shield(self._kept(run, event))

    async def _kept(self, run: Run, event: Json) -> None:
        await self.kept.log.append(run.job_id, [event], fence=run.token)
        if self.recorder:
            await self.recorder.flush(run.job_id, at_least=1 if event["type"] in BETWEEN_EXCHANGES else AT_ONCE)

    async def _write(self, run: Run, fields: Json) -> None:
        await self.kept.records.write(run.job_id, fields, fence=run.token)
        await self.kept.deps.evidence.renew(run.job_id)
        if isinstance(self.kept.graph.checkpointer, RedisSaver):
            await self.kept.graph.checkpointer.renew(run.job_id)

    def _config(self, record: Record, token: int) -> RunnableConfig:
        limits, trace = record.limits, trace_id()
        return {
            "configurable": {"thread_id": record.job_id, FENCE: token, WAITED: record.waited_s},
            "run_name": "research job",
            "recursion_limit": limits.steps + 20,
            "callbacks": list(self.callbacks),
            "metadata": {
                "job_id": record.job_id,
                **({"trace_id": trace} if trace else {}),
                **{f"limit_{key}": value for key, value in limits.model_dump().items()},
            },
            "tags": ["tollgate", f"on_limit:{limits.on_limit}"],
        }


def last_words(error: Exception, redact: Redaction) -> Json:
    """The record's fields about an error that ended a run."""
    told = {"last_error": f"{type(error).__name__}: {error}", "last_reason": for_tenants(error)}
    return {name: str(redact(text))[:SHOWN] for name, text in told.items()}


def _seconds(since: str | None, until: str) -> float:
    """Seconds between two times in ISO 8601; 0 if they are not in this order, or the first is unknown."""
    return max(0.0, (datetime.fromisoformat(until) - datetime.fromisoformat(since or until)).total_seconds())


def _start(record: Record) -> Json:
    return {"question": record.question, "tenant": record.tenant, "limits": record.limits.model_dump(mode="json")}

"""Create, run, resume and answer one job. This is the only caller of the graph."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import Callable
from typing import Any, Literal

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphRecursionError
from langgraph.types import Command, StateSnapshot
from pydantic import BaseModel, ConfigDict, ValidationError
from redis.asyncio import Redis

from app.decisions import Decisions, escalated, record_key
from app.errors import BadInput, Busy, DecisionRefused
from app.events import EventLog
from app.lease import Leases
from app.reports import ReportFolder
from graphs.decision import decided, in_the_way
from graphs.deps import Deps
from graphs.errors import Fenced
from graphs.fencing import FENCE
from graphs.governance.limits import MICRO, Limits, StopReason
from graphs.screening import refused
from graphs.state import Json, ResearchState, of_status
from graphs.supervisor import ResearchGraph

Status = Literal["queued", "running", "awaiting_human", "completed", "partial", "failed"]
OnEvent = Callable[[Json], None]


class JobResult(BaseModel):
    """What a job came to, or what it waits for. This is the document that `--json` prints.

    `estimated_usd` is the part of the cost for which the provider reported no usage: the most it can have been.
    `reserved_usd` is what may come on top, for calls of a process that died: it is charged when it expires.
    """

    model_config = ConfigDict(frozen=True)

    job_id: str
    status: Status
    stop_reason: str | None
    stop_detail: str
    report_path: str | None
    cost_usd: float
    estimated_usd: float
    reserved_usd: float
    budget_usd: float
    model_calls: int
    tool_calls: int
    steps: int
    handoffs: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    findings: list[Json]
    evidence: list[Json]
    gaps: list[str]
    escalation: Json | None


class Jobs:
    """Jobs over one compiled graph. A job's record is a Redis hash beside its checkpoints.

    Args:
        graph: compiled with a checkpointer.
        deps: what the graph was built with: its ledger, its evidence, its limits.
        client: the Redis that holds the records.
        reports: writes what a finished job leaves on disk.
        ttl_seconds: how long a record lives after its last change.
        callbacks: tracers for every run.
    """

    def __init__(
        self,
        graph: ResearchGraph,
        deps: Deps,
        client: Redis,
        reports: ReportFolder,
        *,
        ttl_seconds: int,
        callbacks: list[BaseCallbackHandler] | None = None,
    ) -> None:
        self._graph = graph
        self._deps = deps
        self._client = client
        self._reports = reports
        self._ttl = ttl_seconds
        self._callbacks = callbacks or []
        self._decisions = Decisions(client, ttl_seconds=ttl_seconds)
        self._leases = Leases(client, ttl_seconds=ttl_seconds)
        self._log = EventLog(client, ttl_seconds=ttl_seconds)

    async def create(self, question: str, limits: Limits, tenant: str = "local") -> str:
        """Record a job and return its id.

        Raises:
            BadInput: the question is empty or too long, or a limit is above the deployment's ceiling.
        """
        if problem := refused(question):
            raise BadInput(problem)
        if above := limits.above(self._deps.ceiling):
            raise BadInput(f"{above}; ask for less, or raise the maximum (.env.example lists the settings)")
        job_id = f"job-{self._deps.now():%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
        record = {"question": question, "limits": limits.model_dump_json(), "status": "queued", "tenant": tenant}
        await self._write(job_id, record)
        return job_id

    async def run(self, job_id: str, on_event: OnEvent) -> JobResult:
        """Run the job from where it stands: its start, or its last checkpoint. An ended job is not run again.

        A job that waits for a human goes on when one has decided, or when the time to decide is over.

        Raises:
            BadInput: there is no such job.
        """
        record, before = await self._record(job_id), await self.snapshot(job_id)
        if before.values.get("status"):
            return await self._result(job_id, before)
        if before.interrupts:
            answer = await self._decisions.waiting_for(job_id, before, self._deps.now())
            if answer is None:
                return await self._result(job_id, before)
            return await self._drive(job_id, record, Command(resume=answer), on_event)
        start = {key: record[key] for key in ("question", "tenant", "limits")}
        return await self._drive(job_id, record, None if before.values else {"job_id": job_id, **start}, on_event)

    async def decide(
        self, job_id: str, answer: Json, on_event: OnEvent, *, escalation_id: str | None = None
    ) -> JobResult:
        """Answer the escalation that the job waits for, and run on. Of several answers the first one counts.

        Args:
            job_id: the job.
            answer: one of the choices of the escalation.
            on_event: gets the events of the run.
            escalation_id: the escalation that is meant; without it, the one that is open.

        Raises:
            BadInput: there is no such job, or the answer is none of the choices.
            DecisionRefused: the job waits for nothing, or not for this; it was decided already; it came too late.
        """
        record, before = await self._record(job_id), await self.snapshot(job_id)
        if not before.interrupts:
            raise DecisionRefused(f"{job_id} waits for no decision; its status is {record['status']}")
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
        await self._log.append(job_id, [{"type": "decision", **document}])
        return await self._drive(job_id, record, Command(resume=document), on_event)

    async def snapshot(self, job_id: str) -> StateSnapshot:
        """The state of the job at its last checkpoint, and the questions it waits with."""
        return await self._graph.aget_state({"configurable": {"thread_id": job_id}})

    async def _drive(self, job_id: str, record: Json, given: Any, on_event: OnEvent) -> JobResult:
        def waiting() -> None:
            on_event({"type": "warning", "message": "another process drives this job, or died; waiting for its lease"})

        async with self._leases.held(job_id, waiting) as token:
            try:
                return await self._driven(job_id, record, given, on_event, token)
            except Fenced as error:
                raise Busy(str(error)) from error

    async def _driven(self, job_id: str, record: Json, given: Any, on_event: OnEvent, token: int) -> JobResult:
        await self._deps.ledger.fence(job_id, token)
        await self._deps.ledger.reap()  # what a process of this job that died has left reserved

        async def tell(event: Json) -> None:
            on_event(event)
            # In a task of its own: Python 3.11's wait_for, under the Redis client, can swallow a cancellation (Ctrl-C).
            await asyncio.shield(self._log.append(job_id, [event], fence=token))

        await self._write(job_id, {"status": "running"})
        await tell({"type": "job", "job_id": job_id, "status": "running"})
        config = self._config(job_id, record)
        config["configurable"][FENCE] = token
        cut_off = {}
        try:
            # Closed here and now, also when telling is cancelled: its tasks must not outlive the run.
            events = self._graph.astream(given, config, stream_mode="custom", durability="sync")
            async with contextlib.aclosing(events):  # type: ignore[type-var]
                async for event in events:
                    await tell(event)
        except GraphRecursionError:
            # The nodes stop earlier by themselves; this is the last net, and the job stays resumable.
            await tell({"type": "warning", "message": "LangGraph's recursion limit ended this run"})
            cut_off = {"stop_reason": StopReason.STEPS.value}
        result = (await self._result(job_id, await self.snapshot(job_id))).model_copy(update=cut_off)
        await self._write(job_id, {"status": result.status})
        ended = {"job_id": job_id, "status": result.status, "stop_reason": result.stop_reason}
        await tell({"type": "job", **ended, "cost_usd": result.cost_usd})
        return result

    async def _result(self, job_id: str, snapshot: StateSnapshot) -> JobResult:
        state: ResearchState = snapshot.values  # type: ignore[assignment]
        ended = state.get("status")
        report = state.get("report")
        used = await self._deps.ledger.spend(job_id)
        told: ResearchState = {**state, "used": used.model_dump(mode="json")}  # with the last step of all
        path = await self._reports.write(told, report) if ended and report else None
        counts = ("model_calls", "tool_calls", "steps", "handoffs", "input_tokens", "cached_tokens", "output_tokens")
        findings = [
            {key: value for key, value in each.items() if key not in {"status", "refused"}}
            for each in of_status(state, "verified")
        ]
        return JobResult(
            job_id=job_id,
            status=ended or ("awaiting_human" if snapshot.interrupts else "failed"),
            stop_reason=state["stop_reason"],
            stop_detail=state.get("stop_detail", ""),
            report_path=str(path) if path else None,
            cost_usd=used.micro_usd / MICRO,
            estimated_usd=used.estimated_micro_usd / MICRO,
            reserved_usd=used.reserved_micro_usd / MICRO,
            budget_usd=state["limits"]["budget_micro_usd"] / MICRO,
            **{name: getattr(used, name) for name in counts},
            findings=findings,
            evidence=[dict(each) for each in state["evidence"].values()],
            gaps=[gap for task in state["tasks"].values() for gap in task["gaps"]],
            escalation=escalated(snapshot),
        )

    def _config(self, job_id: str, record: Json) -> RunnableConfig:
        limits = Limits.model_validate(record["limits"])
        return {
            "configurable": {"thread_id": job_id},
            "run_name": "research job",
            "recursion_limit": limits.steps + 20,
            "callbacks": list(self._callbacks),
            "metadata": {"job_id": job_id, **{f"limit_{key}": value for key, value in limits.model_dump().items()}},
            "tags": ["tollgate", f"on_limit:{limits.on_limit}"],
        }

    async def _record(self, job_id: str) -> Json:
        stored = await self._client.hgetall(record_key(job_id))
        if not stored:
            raise BadInput(
                f"there is no job {job_id}; the ids of finished jobs are the folders in {self._reports.root}"
            )
        record: Json = {_text(key): _text(value) for key, value in stored.items()}
        return {**record, "limits": json.loads(record["limits"])}

    async def _write(self, job_id: str, fields: dict[str, str]) -> None:
        async with self._client.pipeline(transaction=True) as pipe:
            for name, value in fields.items():
                pipe.hset(record_key(job_id), name, value)
            pipe.expire(record_key(job_id), self._ttl)
            await pipe.execute()
        await self._deps.evidence.renew(job_id)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value

"""Create, run, resume and answer one job. This is the only caller of the graph."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphRecursionError
from langgraph.types import Command, StateSnapshot
from pydantic import BaseModel, ConfigDict, ValidationError
from redis.asyncio import Redis

from app.errors import BadInput
from app.reports import ReportFolder
from graphs.decision import decided
from graphs.evidence import EvidenceStore
from graphs.governance.limits import MICRO, JobLimits, StopReason
from graphs.screening import refused
from graphs.state import Json, ResearchState, of_status
from graphs.supervisor import ResearchGraph

Status = Literal["queued", "running", "awaiting_human", "completed", "partial", "failed"]
OnEvent = Callable[[Json], None]


class JobResult(BaseModel):
    """What a job came to, or what it waits for. This is the document that `--json` prints."""

    model_config = ConfigDict(frozen=True)

    job_id: str
    status: Status
    stop_reason: str | None
    report_path: str | None
    cost_usd: float
    model_calls: int
    tool_calls: int
    steps: int
    handoffs: int
    findings: list[Json]
    evidence: list[Json]
    gaps: list[str]
    escalation: Json | None


class Jobs:
    """Jobs over one compiled graph. A job's record is a Redis hash beside its checkpoints.

    Args:
        graph: compiled with a checkpointer.
        client: the Redis that holds the records.
        evidence: lives as long as the record does.
        reports: writes what a finished job leaves on disk.
        ttl_seconds: how long a record lives after its last change.
        callbacks: tracers for every run.
    """

    def __init__(
        self,
        graph: ResearchGraph,
        client: Redis,
        evidence: EvidenceStore,
        reports: ReportFolder,
        *,
        ttl_seconds: int,
        callbacks: list[BaseCallbackHandler] | None = None,
    ) -> None:
        self._graph = graph
        self._client = client
        self._evidence = evidence
        self._reports = reports
        self._ttl = ttl_seconds
        self._callbacks = callbacks or []

    async def create(self, question: str, limits: JobLimits) -> str:
        """Record a job and return its id.

        Raises:
            BadInput: the question is empty or too long.
        """
        if problem := refused(question):
            raise BadInput(problem)
        job_id = f"job-{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
        record = {"question": question, "limits": limits.model_dump_json(), "status": "queued"}
        await self._write(job_id, record)
        return job_id

    async def run(self, job_id: str, on_event: OnEvent) -> JobResult:
        """Run the job from where it stands: its start, or its last checkpoint. An ended job is not run again.

        Raises:
            BadInput: there is no such job.
        """
        record = await self._record(job_id)
        before = await self._graph.aget_state(self._config(job_id, record))
        if before.values.get("status") or before.interrupts:
            return await self._result(job_id, before)
        given = (
            None if before.values else {"job_id": job_id, "question": record["question"], "limits": record["limits"]}
        )
        return await self._drive(job_id, record, given, on_event)

    async def decide(self, job_id: str, answer: Json, on_event: OnEvent) -> JobResult:
        """Answer the escalation that the job waits for, and run on.

        Raises:
            BadInput: there is no such job, it waits for nothing, or the answer is none of the choices.
        """
        record = await self._record(job_id)
        before = await self._graph.aget_state(self._config(job_id, record))
        if not before.interrupts:
            raise BadInput(f"{job_id} waits for no decision; its status is {record['status']}")
        try:
            decision = decided(before.values, answer)  # type: ignore[arg-type]
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(each) for each in first["loc"][1:]) or "action"
            raise BadInput(f"the decision does not fit: {place}: {first['msg']}") from error
        except ValueError as error:
            raise BadInput(f"the decision does not fit: {error}") from error
        return await self._drive(job_id, record, Command(resume=decision.model_dump(mode="json")), on_event)

    async def _drive(self, job_id: str, record: Json, given: Any, on_event: OnEvent) -> JobResult:
        config = self._config(job_id, record)
        await self._write(job_id, {"status": "running"})
        cut_off = {}
        try:
            async for event in self._graph.astream(given, config, stream_mode="custom", durability="sync"):
                on_event(event)
        except GraphRecursionError:
            # The nodes stop earlier by themselves; this is the last net, and the job stays resumable.
            on_event({"type": "warning", "message": "LangGraph's recursion limit ended this run"})
            cut_off = {"stop_reason": StopReason.STEPS.value}
        after = await self._graph.aget_state(config)
        result = (await self._result(job_id, after)).model_copy(update=cut_off)
        await self._write(job_id, {"status": result.status})
        return result

    async def _result(self, job_id: str, snapshot: StateSnapshot) -> JobResult:
        state: ResearchState = snapshot.values  # type: ignore[assignment]
        ended = state.get("status")
        report = state.get("report")
        path = await self._reports.write(state, report) if ended and report else None
        used = state["counters"]
        findings = [
            {key: value for key, value in each.items() if key not in {"status", "refused"}}
            for each in of_status(state, "verified")
        ]
        return JobResult(
            job_id=job_id,
            status=ended or ("awaiting_human" if snapshot.interrupts else "failed"),
            stop_reason=state["stop_reason"],
            report_path=str(path) if path else None,
            cost_usd=used.get("cost_micro_usd", 0) / MICRO,
            model_calls=used.get("model_calls", 0),
            tool_calls=used.get("tool_calls", 0),
            steps=used.get("steps", 0),
            handoffs=used.get("handoffs", 0),
            findings=findings,
            evidence=[dict(each) for each in state["evidence"].values()],
            gaps=[gap for task in state["tasks"].values() for gap in task["gaps"]],
            escalation=snapshot.interrupts[0].value if snapshot.interrupts else None,
        )

    def _config(self, job_id: str, record: Json) -> RunnableConfig:
        limits = JobLimits.model_validate(record["limits"])
        return {
            "configurable": {"thread_id": job_id},
            "run_name": "research job",
            "recursion_limit": limits.steps + 20,
            "callbacks": list(self._callbacks),
            "metadata": {"job_id": job_id, **{f"limit_{key}": value for key, value in limits.model_dump().items()}},
            "tags": ["tollgate", f"on_limit:{limits.on_limit}"],
        }

    async def _record(self, job_id: str) -> Json:
        stored = await self._client.hgetall(_key(job_id))
        if not stored:
            raise BadInput(
                f"there is no job {job_id}; the ids of finished jobs are the folders in {self._reports.root}"
            )
        record: Json = {_text(key): _text(value) for key, value in stored.items()}
        return {**record, "limits": json.loads(record["limits"])}

    async def _write(self, job_id: str, fields: dict[str, str]) -> None:
        async with self._client.pipeline(transaction=True) as pipe:
            for name, value in fields.items():
                pipe.hset(_key(job_id), name, value)
            pipe.expire(_key(job_id), self._ttl)
            await pipe.execute()
        await self._evidence.renew(job_id)


def _key(job_id: str) -> str:
    return f"tollgate:{{{job_id}}}:job"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value

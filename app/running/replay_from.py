"""Where a replay begins if not at the start: at a step of the job, with all that was known there."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.types import StateSnapshot

from app.errors import BadInput
from app.jobs.jobs import Jobs
from app.recording.cassette import Cassette
from app.recording.taps import COST
from app.running.runtime import Parts
from graphs.checkpoint.saver import RedisSaver
from graphs.evidence.store import Evidence
from graphs.research import ResearchGraph
from graphs.state import Json

WAITED_S = 60.0  # that a reservation lasts


@dataclass(frozen=True)
class Beginning:
    """A step of a job: its state and evidence, and how many steps and hand-offs there were before."""

    state: Json
    checkpoint: CheckpointTuple
    evidence: dict[str, Evidence]
    steps: int
    handoffs: int

    @property
    def at(self) -> datetime:
        """When it began, in UTC."""
        return datetime.fromisoformat(self.checkpoint.checkpoint["ts"])

    async def put(self, job_id: str, jobs: Jobs, past: list[Json]) -> None:
        """Let a job in another store begin here, with what was spent before: the cost of these exchanges."""
        deps, saver = jobs.deps, cast("RedisSaver", jobs.graph.checkpointer)
        checkpoint = self.checkpoint.checkpoint
        place: Any = {"configurable": {"thread_id": job_id, "checkpoint_ns": ""}}
        await saver.aput(place, checkpoint, self.checkpoint.metadata, checkpoint["channel_versions"])
        for evidence_id, each in self.evidence.items():
            await deps.evidence.put(job_id, evidence_id, each)
        await deps.ledger.count(job_id, steps=self.steps, handoffs=self.handoffs)
        for number, line in enumerate(each for each in past if each["kind"] in {"model", "tool"}):
            account = deps.account(self.state, line["agent"], {})
            if line["kind"] == "tool":
                await deps.ledger.count_tool_call(account)
            if COST in line or "bounds" in line:
                counted: Literal["model_calls"] | None = "model_calls" if line["kind"] == "model" else None
                call_id = f"{job_id}.{number}"
                await deps.ledger.reserve(call_id, account, line.get(COST, 0), expires_in_s=WAITED_S, counted=counted)
                await deps.ledger.settle(call_id, line.get(COST, 0))


async def beginning(parts: Parts, cassette: Cassette, step: str) -> Beginning:
    """The step of this number, or the last one of this node.

    Raises:
        BadInput: there is none; the message lists them.
    """
    job_id, graph = cassette.job["job_id"], parts.jobs.graph
    steps = [each async for each in _steps(graph, job_id)]
    numbers = [number for number, each in enumerate(steps, start=1) if step in {str(number), *each.next}]
    if not numbers:
        known = ", ".join(f"{number} {'+'.join(sorted(set(each.next)))}" for number, each in enumerate(steps, start=1))
        raise BadInput(f"{job_id} has no step {step}; it has: {known}")
    *before, chosen = steps[: numbers[-1]]
    saver: Any = graph.checkpointer
    found = await saver.aget_tuple(chosen.config)
    evidence = await parts.deps.evidence.many(job_id, chosen.values.get("evidence", {}))
    agents = {agent.name for agent in parts.deps.agents}
    handoffs = [task for each in (*before, chosen) for task in each.tasks if task.name in agents]  # counted before
    return Beginning(chosen.values, found, evidence, sum(len(each.tasks) for each in before), len(handoffs))


async def _steps(graph: ResearchGraph, job_id: str) -> AsyncIterator[StateSnapshot]:
    """The job's checkpoints that something followed, oldest first, without the input."""
    found = [each async for each in graph.aget_state_history({"configurable": {"thread_id": job_id}})]
    for each in reversed(found):
        if each.next and each.metadata and each.metadata["step"] >= 0:
            yield each

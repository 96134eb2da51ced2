"""One decision per escalation: the first claim counts, whoever else sends one.

A claim is a field of the job's record, named by the interrupt and the checkpoint it answers, and set only if absent
(compare-and-set). A decision for an earlier escalation of the job therefore never applies to a later one.
"""

import json
import uuid
from collections.abc import Awaitable
from datetime import datetime
from typing import cast

from langgraph.types import StateSnapshot
from redis.asyncio import Redis

from app.errors import DecisionRefused, TooLate
from app.jobs.records import record_key
from graphs.planning.decision import NO_ANSWER
from graphs.planning.review import Review
from graphs.state import Json


class Decisions:
    """Claims of decisions, in the Redis with the jobs' records."""

    def __init__(self, client: Redis, *, ttl_seconds: int) -> None:
        self._client = client
        self._ttl = ttl_seconds

    async def claim(
        self, job_id: str, paused: StateSnapshot, answer: Json, now: datetime, escalation_id: str | None = None
    ) -> Json:
        """Make this the decision about the open escalation. Returns the claim.

        Raises:
            DecisionRefused: another escalation is meant, or this one was already decided.
            TooLate: the time limit has passed.
        """
        escalation = _open(paused)
        open_id = escalation["escalation_id"]
        if escalation_id is not None and escalation_id != open_id:
            raise DecisionRefused(
                f"{job_id} no longer waits for a decision about {escalation_id}; its open escalation is {open_id}: "
                f"{escalation['what_happened']}"
            )
        if answer != NO_ANSWER and _is_over(escalation, now):
            raise TooLate(
                f"the time to decide ended at {escalation['answer_by']}; "
                f"a worker, or `tollgate resume {job_id}`, finishes the report from what there is"
            )
        claim = {"answer": answer, "at": now.isoformat(timespec="seconds"), "token": uuid.uuid4().hex}
        first = await self._first(job_id, open_id, claim)
        if first["token"] != claim["token"]:
            raise DecisionRefused(f"{job_id} was already decided: {first['answer']['action']}, at {first['at']}")
        return first

    async def waiting_for(self, job_id: str, paused: StateSnapshot, now: datetime) -> Json | None:
        """The claim to continue with, its `answer` and when it was made (`at`): the decision, or NO_ANSWER after the
        time limit; None to wait."""
        escalation = _open(paused)
        stored = await cast("Awaitable[bytes | None]", self._client.hget(*_field(job_id, escalation["escalation_id"])))
        if stored is not None:
            claim: Json = json.loads(stored)
            return claim
        if not _is_over(escalation, now):
            return None
        return await self.claim(job_id, paused, NO_ANSWER, now)

    async def _first(self, job_id: str, escalation_id: str, claim: Json) -> Json:
        """The claim that counts. The client may send a command twice: the token identifies our own."""
        key, field = _field(job_id, escalation_id)
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.hsetnx(key, field, json.dumps(claim))
            pipe.hget(key, field)
            pipe.expire(key, self._ttl)
            _, stored, _ = await pipe.execute()
        first: Json = json.loads(stored)
        return first


def escalated(snapshot: StateSnapshot) -> Json | None:
    """The job's open escalation with its id, in our own form; None if there is none."""
    if not snapshot.interrupts:
        return None
    checkpoint = snapshot.config["configurable"]["checkpoint_id"]
    asked = snapshot.interrupts[0]
    ours = {name: value for name, value in asked.value.items() if name not in Review.__annotations__}
    return {"escalation_id": f"{asked.id}@{checkpoint}", **ours}


def _open(paused: StateSnapshot) -> Json:
    escalation = escalated(paused)
    if escalation is None:
        raise RuntimeError("the job waits for no decision; callers must check its interrupts first")
    return escalation


def _is_over(escalation: Json, now: datetime) -> bool:
    by = escalation.get("answer_by")
    return by is not None and now >= datetime.fromisoformat(by)


def _field(job_id: str, escalation_id: str) -> tuple[str, str]:
    return record_key(job_id), f"decision:{escalation_id}"

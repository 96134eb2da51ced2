"""verify: no model, no opinion. A finding stands when its evidence exists and has its numbers for what it claims."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from langgraph.runtime import Runtime

from agents.base import AgentSpec
from graphs.deps import Deps
from graphs.evidence.numbers import quantities, unknown
from graphs.evidence.store import Evidence
from graphs.evidence.support import background, contradicted
from graphs.evidence.trust import at_most, marks_of
from graphs.planning.handoff import is_briefing
from graphs.state import FindingState, FindingStatus, HandoffRecord, ResearchState, TaskState, of_status
from graphs.telemetry import note
from graphs.untrusted.injections import flags_of

ATTEMPTS = 2


def verify(deps: Deps) -> Any:
    """The node. What fails is sent back to its agent once, then dropped and listed."""

    async def verify_node(state: ResearchState, runtime: Runtime) -> dict[str, Any]:
        fresh = of_status(state, "unverified")
        ids = [evidence_id for each in fresh for evidence_id in each["evidence"]]
        stored = await deps.evidence.many(state["job_id"], [*ids, *background(ids, state["evidence"])])
        findings: dict[str, FindingState] = {}
        tasks: dict[str, TaskState] = {}
        known = {(each["task"], each["claim"]) for each in of_status(state, "verified")}
        refusals = await asyncio.to_thread(lambda: {each["id"]: problem_with(each, stored) for each in fresh})
        for finding in fresh:
            if (finding["task"], finding["claim"]) in known:
                findings[finding["id"]] = FindingState(**{**finding, "status": "repeated"})
                continue
            refused = refusals[finding["id"]]
            task = state["tasks"][finding["task"]]
            again = refused is not None and task["attempts"] < ATTEMPTS
            findings[finding["id"]] = _judged(_believed(finding, state), refused, again=again)
            if again:
                sent_back = tasks.get(task["id"], task)
                quoted = "a finding" if flags_of(finding["claim"]) else f"'{finding['claim']}'"
                feedback = [*sent_back["feedback"], f"{quoted}: {refused}"]
                tasks[task["id"]] = TaskState(**{**sent_back, "status": "pending", "feedback": feedback})
        doubtful = sum(bool(each["marks"]) and each["status"] == "verified" for each in findings.values())
        _tell(state, runtime)
        counts = _count(findings)
        note(marked=doubtful, **{f"findings_{status}": number for status, number in counts.items()})
        runtime.stream_writer({"type": "verified", "findings": counts, "marked": doubtful})
        return {"findings": findings, "tasks": tasks, "handoffs": _brought(state, findings, deps.agents)}

    return verify_node


def _tell(state: ResearchState, runtime: Runtime) -> None:
    """Emit how the dispatched tasks ended. Agents do not, because only here is it about to be checkpointed: a task that
    was reported as finished never starts again, unless its findings are sent back."""
    for task in (state["tasks"][each] for each in state["dispatch"]):
        kind = "task_paused" if task["status"] == "pending" else "task_finished"
        runtime.stream_writer({"type": kind, **task})


def _believed(finding: FindingState, state: ResearchState) -> FindingState:
    """The finding with its marks and capped confidence: code decides, whatever the agent claims."""
    marks = marks_of(state, finding["evidence"], finding["task"])
    return FindingState(**{**finding, "marks": marks, "confidence": at_most(finding["confidence"], marks)})


def _brought(state: ResearchState, judged: dict[str, FindingState], agents: Sequence[AgentSpec]) -> list[HandoffRecord]:
    """The hand-offs, with what this round's brought: evidence with new content, and verified findings. What an agent
    was briefed with is no progress of its own."""
    evidence = list(state["evidence"].values())
    seen = {each["digest"] for each in evidence[: state["evidence_before"]]}
    fresh = dict.fromkeys(state["dispatch"], 0)
    for each in evidence[state["evidence_before"] :]:
        if not is_briefing(each, agents) and each["digest"] not in seen and each["task"] in fresh:
            seen.add(each["digest"])
            fresh[each["task"]] += 1
    for finding in judged.values():
        if finding["status"] == "verified":
            fresh[finding["task"]] += 1
    before = len(state["handoffs"]) - len(fresh)
    now = [HandoffRecord(**{**each, "fresh": fresh[each["task"]]}) for each in state["handoffs"][before:]]
    return [*state["handoffs"][:before], *now]


def problem_with(finding: FindingState, stored: dict[str, Evidence]) -> str | None:
    """Why the finding fails, as its agent is told; None when it stands.

    `stored` has the cited evidence and its background (graphs/evidence/support.py).
    """
    if orders := flags_of(finding["claim"]):
        return f"it reads like instructions ({', '.join(orders)}); say what the source states, in words of your own"
    if not finding["evidence"]:
        return "it cites no evidence; cite the id of the tool result that supports it"
    if missing := [each for each in finding["evidence"] if each not in stored]:
        return f"there is no evidence {', '.join(missing)}"
    numbers: frozenset[Decimal] = frozenset().union(*(stored[each].numbers for each in finding["evidence"]))
    cited = ", ".join(finding["evidence"])
    if ungrounded := unknown(finding["claim"], numbers):
        return f"{', '.join(ungrounded)} is not in {cited}"
    if finding["value"] is not None and not _is_stated(finding["value"], finding["claim"], numbers):
        return f"its value {finding['value']:g} is neither in the claim nor in {cited}"
    return "; ".join(contradicted(finding["claim"], finding["evidence"], stored)) or None


def _is_stated(value: float, claim: str, numbers: frozenset[Decimal]) -> bool:
    """Whether the value is the claim's number, as written or scaled, or one of the evidence's."""
    own = {number for each in quantities(claim) for number in each.values}
    return not unknown(format(Decimal(repr(value)), "f"), numbers | own)


def _judged(finding: FindingState, refused: str | None, *, again: bool) -> FindingState:
    status: FindingStatus = "verified" if refused is None else "sent_back" if again else "dropped"
    return FindingState(**{**finding, "status": status, "refused": refused})


def _count(findings: dict[str, FindingState]) -> dict[str, int]:
    statuses = [each["status"] for each in findings.values()]
    return {status: statuses.count(status) for status in sorted(set(statuses))}

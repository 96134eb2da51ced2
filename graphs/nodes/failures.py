"""Why a task failed: what readers are told, its stop reason, and whether the whole job stops."""

import logging
from typing import NamedTuple

from graphs.deps import Deps
from graphs.errors import (
    INTERNAL,
    AccountRefused,
    GraphError,
    LimitReached,
    ModelRefused,
    ModelUnavailable,
    ServerUnavailable,
    UnusableAnswer,
)
from graphs.spending.limits import dollars
from graphs.spending.spend import Account, AgentSpend
from graphs.state import Halt, halt
from graphs.stop_reasons import EXPLAINED, StopReason

logger = logging.getLogger(__name__)

FOR_THE_TASK = {"agent", "request"}  # these limits fail the task; any other halts the job
PERCENT = 100


class Failure(NamedTuple):
    """What stopped a task. With `halts` the job stops too, and the task stays pending."""

    reason: StopReason
    error: str
    halts: Halt | None = None


async def failure_of(error: Exception, account: Account, deps: Deps) -> Failure:
    """The failure that an error in a task amounts to. Siblings go on in any case."""
    if isinstance(error, TimeoutError):
        return _timed_out(account, deps)
    if isinstance(error, LimitReached):
        return await _limited(error, account, deps)
    for kind, reason, halts in _KINDS:
        if isinstance(error, kind):
            return Failure(reason, str(error), halt(reason, str(error)) if halts else None)
    logger.error("%s: a task of the %s broke off", account.job_id, account.agent, exc_info=error)
    return Failure(StopReason.TASK_FAILED, INTERNAL)


_KINDS: tuple[tuple[type[GraphError], StopReason, bool], ...] = (
    (AccountRefused, StopReason.MODEL_ACCOUNT, True),
    (ModelUnavailable, StopReason.MODEL_UNAVAILABLE, True),  # the task can be done when the provider recovers
    (ModelRefused, StopReason.MODEL_REFUSED, False),
    (UnusableAnswer, StopReason.NO_USABLE_ANSWER, False),
    (ServerUnavailable, StopReason.SOURCE_UNAVAILABLE, False),
    (GraphError, StopReason.TASK_FAILED, False),
)


def _timed_out(account: Account, deps: Deps) -> Failure:
    if deps.now() >= account.deadline_at:
        reason = StopReason.DEADLINE
        return Failure(reason, EXPLAINED[reason], halt(reason))
    return Failure(StopReason.AGENT_DEADLINE, f"no result within {account.limits.agent_deadline_s} s")


async def _limited(limit: LimitReached, account: Account, deps: Deps) -> Failure:
    """A limit of money halts the job and names the budget that would be enough: a human may raise it."""
    used = await deps.ledger.spend(account.job_id, account.task)
    kept = deps.costs_of_report(account.limits)
    needed = limit.budget_after(used.micro_usd + kept)
    if limit.reason is StopReason.AGENT_BUDGET:
        share, budget = account.limits.agent_share_percent, account.limits.budget_micro_usd
        own = used.agents.get(account.agent, AgentSpend()).micro_usd
        needed = max(needed, limit.budget_after(own + kept) * PERCENT // share + 1)
        detail = (
            f"the agent {account.agent} has spent {own * PERCENT / budget:.0f}% of the budget and may spend {share}%; "
            f"its next call may cost {dollars(limit.wanted_micro_usd)}"
        )
        return Failure(limit.reason, f"{EXPLAINED[limit.reason]} ({detail})", halt(limit.reason, detail, needed))
    halts = limit.scope not in FOR_THE_TASK
    return Failure(limit.reason, str(limit), halt(limit.reason, limit.detail, needed) if halts else None)

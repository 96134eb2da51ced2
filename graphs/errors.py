"""What can go wrong in the graph, grouped by who must act.

GraphError
├── ModelMustAct            the model is told and may try again
│   ├── PlanError           an invalid plan
│   ├── ToolFailure         a tool call that failed or was refused
│   ├── HandoffRefused      an incomplete hand-off
│   └── UnusableAnswer      an answer that cannot be read as what was requested
│       ├── AnswerCut       it ended at its token limit
│       └── AnswerWithheld  the model refused, or a content filter withheld it
├── HumanMustAct            a human decides whether it goes on
│   └── LimitReached        a limit refused what was about to happen
│       └── DayUsedUp       the limit of a day: it ends by itself, so the job waits and nobody decides
└── OperatorMustAct         retrying will not help until somebody fixes it
    ├── ServerUnavailable   an MCP server gave no answer: down, hanging, busy, or rate limited
    │   └── ServerRefused   an MCP server rejects our token
    ├── ModelUnavailable    the model provider gave no answer, after all retries
    │   ├── CircuitOpen     it failed repeatedly and is not called for a while
    │   └── NoCompletion    its answer is not a completion
    ├── ModelRefused        the model provider refuses the request
    │   └── AccountRefused  it refuses every request until the key, quota or bill is fixed
    ├── LedgerUnavailable   no ledger, no call
    ├── Fenced              another process has taken over this job
    └── Unaccounted         a model call without an account

All are RuntimeErrors, which LangGraph's default retry policy does not retry. No node handles those in `ENDS_THE_RUN`.
"""

from langchain_core.messages.ai import UsageMetadata
from langgraph.errors import GraphBubbleUp

from graphs.redis.failures import STORE_FAILED
from graphs.stop_reasons import EXPLAINED, ScopeName, StopReason

INTERNAL = "an internal error, which the log has"  # what tenants see of unexpected errors
DAYS: frozenset[ScopeName] = frozenset({"tenant_day", "deployment_day"})  # limits that begin anew each day
STORE = "the store of jobs and money cannot be used"  # and of those that the operator must fix


class GraphError(RuntimeError):
    """Base of every error that `graphs` raises on purpose."""


class ModelMustAct(GraphError):
    """The message goes to the model."""


class HumanMustAct(GraphError):
    """The message goes to the submitter of the job."""


class OperatorMustAct(GraphError):
    """The message goes to the operator."""


class PlanError(ModelMustAct):
    """The plan names unknown agents or tasks, repeats an id, or has a cycle."""


class ToolFailure(ModelMustAct):
    """A tool call without a result; the message says what the model can do instead."""


class HandoffRefused(ModelMustAct):
    """A hand-off that lacks a part or is too large. It is never shortened instead."""


class UnusableAnswer(ModelMustAct):
    """A paid answer that is not what was requested. `said` is what the model gave instead, as far as it is worth
    showing."""

    def __init__(self, message: str, said: str = "") -> None:
        super().__init__(message)
        self.said = said


class AnswerCut(UnusableAnswer):
    """The answer ended at its token limit. It is never passed on as if it were complete."""


class AnswerWithheld(UnusableAnswer):
    """The model refused to answer, or its provider's content filter withheld the answer."""


class LimitReached(HumanMustAct):
    """A limit refused a call before it was made.

    `scope` says whose limit it is. `passing` means that only open reservations are in the way, so waiting helps.
    `wanted_micro_usd` is what the call would have reserved, for limits of money.
    """

    def __init__(
        self,
        reason: StopReason,
        scope: ScopeName,
        detail: str = "",
        *,
        passing: bool = False,
        wanted_micro_usd: int = 0,
    ) -> None:
        super().__init__(f"{EXPLAINED[reason]}{f' ({detail})' if detail else ''}")
        self.reason = reason
        self.scope = scope
        self.detail = detail
        self.passing = passing
        self.wanted_micro_usd = wanted_micro_usd

    def budget_after(self, spent_micro_usd: int) -> int:
        """A budget that pays for the refused call and one like it, so that the job does not stop again at once; 0 if
        the limit is not about money."""
        return spent_micro_usd + 2 * self.wanted_micro_usd if self.wanted_micro_usd else 0


class DayUsedUp(LimitReached, GraphBubbleUp):
    """The day's budget of the tenant or of the deployment pays for no more. LangGraph lets parallel siblings finish
    before it ends the run with a GraphBubbleUp; what they did is kept."""


class ServerUnavailable(OperatorMustAct):
    """An MCP server that gave no answer: it is down, hangs, is busy, or is rate limited. The message names it.

    When the server answers and its tool refuses or fails, that is a ToolFailure.
    """


class ServerRefused(ServerUnavailable):
    """An MCP server that rejects our token. It is up, so this does not count against it."""


class ModelUnavailable(OperatorMustAct):
    """The provider refused, failed or timed out, after every worthwhile retry."""


class CircuitOpen(ModelUnavailable):
    """The provider's circuit breaker is open; try again in `wait_s` seconds."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class NoCompletion(ModelUnavailable):
    """The provider's answer is not a completion: a page, an error, nothing.

    `may_be_billed` is set when part of a completion came. `usage` holds the tokens that it reports, which are billed.
    """

    def __init__(self, message: str, *, may_be_billed: bool = False, usage: UsageMetadata | None = None) -> None:
        super().__init__(message)
        self.may_be_billed = may_be_billed
        self.usage = usage


class ModelRefused(OperatorMustAct):
    """The provider refused the request: an unknown model, or something that it does not accept."""


class AccountRefused(ModelRefused):
    """The provider refuses every request until somebody fixes the key, the quota or the bill."""


class LedgerUnavailable(OperatorMustAct):
    """The ledger is unreachable, so nothing may be spent."""


class Unaccounted(OperatorMustAct):
    """A model was called without an account: `charged_to` was not called on it."""


class Fenced(OperatorMustAct):
    """A process that no longer holds the job's lease tried to write. Nothing was written; another process goes on."""


# The store of money and state is unreachable, another process has the job, or the day is used up: no fault of a task,
# its model or a tool, so no agent is told to go on without it. Another run goes on from the last checkpoint.
ENDS_THE_RUN = (LedgerUnavailable, Fenced, DayUsedUp, *STORE_FAILED)


def for_tenants(error: Exception) -> str:
    """What a job's submitter is told about an error that ended a run."""
    if isinstance(error, (LedgerUnavailable, *STORE_FAILED)):
        return STORE
    return str(error) if isinstance(error, GraphError) else INTERNAL

"""What can go wrong in the graph, grouped by who must act.

GraphError
├── ModelMustAct            the model is told and may try again
│   ├── PlanError           a plan that cannot be carried out
│   ├── ToolFailure         a tool call that failed or was refused
│   ├── HandoffRefused      a hand-off that is not whole
│   └── UnusableAnswer      an answer of the model that cannot be read as what was asked for
│       ├── AnswerCut       it ended at its token limit
│       └── AnswerWithheld  the model refused, or a content filter kept it back
├── HumanMustAct            a human decides whether it goes on
│   └── LimitReached        a limit refused what was about to happen
└── OperatorMustAct         retrying will not help until somebody mends it
    ├── ServerUnavailable   an MCP server that gave no answer: away, hanging, busy, or asked too often
    │   └── ServerRefused   one that does not take our token
    ├── ModelUnavailable    a model provider that gives no answer, after all retries
    │   ├── CircuitOpen       it failed several times in a row, so it is not asked for a while
    │   └── NoCompletion    it answered with something that is no completion
    ├── ModelRefused        a model provider that refuses the request as it is
    │   └── AccountRefused  it refuses every request: a key, a quota or a bill is to be mended first
    ├── LedgerUnavailable   no ledger, no call
    ├── Fenced              another process has taken over this job
    └── Unaccounted         a model call that nobody pays for

All are RuntimeErrors: LangGraph's default retry policy leaves those alone.

`ENDS_THE_RUN` are those that no node makes the best of.
"""

from langchain_core.messages.ai import UsageMetadata

from graphs.redis.failures import STORE_FAILED
from graphs.stop_reasons import EXPLAINED, ScopeName, StopReason

INTERNAL = "an internal error, which the log has"  # what tenants are told of what nobody has raised on purpose
STORE = "the store of jobs and money cannot be used"  # and of what whoever runs the service has to mend in it


class GraphError(RuntimeError):
    """Base of every error that `graphs` raises on purpose."""


class ModelMustAct(GraphError):
    """The message goes to the model."""


class HumanMustAct(GraphError):
    """The message goes to whoever ordered the job."""


class OperatorMustAct(GraphError):
    """The message goes to whoever runs the service."""


class PlanError(ModelMustAct):
    """The plan names unknown agents or tasks, repeats an id, or has a cycle."""


class ToolFailure(ModelMustAct):
    """A tool call that gave no result; the message says what the model can do instead."""


class HandoffRefused(ModelMustAct):
    """A hand-off that lacks a part or is too large. It is refused, never shortened on the way."""


class UnusableAnswer(ModelMustAct):
    """An answer that is paid for and is not what was asked for. `said` is what the model gave instead, as far as it is
    worth showing it."""

    def __init__(self, message: str, said: str = "") -> None:
        super().__init__(message)
        self.said = said


class AnswerCut(UnusableAnswer):
    """The answer ended at its token limit. It is never passed on as if it were whole."""


class AnswerWithheld(UnusableAnswer):
    """The model refused to answer, or a content filter of its provider kept the answer back."""


class LimitReached(HumanMustAct):
    """A limit refused a call before it was made.

    `scope` says whose limit it is. With `passing` it is only a matter of time: reservations in flight are in the way.
    `wanted_micro_usd` is what a call would have reserved, where money is what it is about.
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
        """A budget that pays for the call that was refused and for one like it, so that the same is not asked again at
        once; 0 when it is not about money."""
        return spent_micro_usd + 2 * self.wanted_micro_usd if self.wanted_micro_usd else 0


class ServerUnavailable(OperatorMustAct):
    """An MCP server that gave no answer: it is away, hangs, is busy, or is asked too often. The message names it.

    What a tool refuses or does badly is a ToolFailure, for then its server has answered.
    """


class ServerRefused(ServerUnavailable):
    """An MCP server that does not take our token: it is there, and says nothing against itself."""


class ModelUnavailable(OperatorMustAct):
    """The provider refused, failed or took too long, after every retry that was worth making."""


class CircuitOpen(ModelUnavailable):
    """The breaker of the provider is open; it may be asked again in `wait_s` seconds."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class NoCompletion(ModelUnavailable):
    """The provider answered, with something that is no completion: a page, an error, nothing.

    `may_be_billed` when a part of a completion came. `usage` is what it tells of tokens, if it does: those are billed.
    """

    def __init__(self, message: str, *, may_be_billed: bool = False, usage: UsageMetadata | None = None) -> None:
        super().__init__(message)
        self.may_be_billed = may_be_billed
        self.usage = usage


class ModelRefused(OperatorMustAct):
    """The provider refused the request: an unknown model, or something it cannot take."""


class AccountRefused(ModelRefused):
    """The provider refuses whatever is asked, until somebody mends the key, the quota or the bill."""


class LedgerUnavailable(OperatorMustAct):
    """The ledger could not be asked, so nothing may be spent."""


class Unaccounted(OperatorMustAct):
    """A model was called that no account pays for: `charged_to` was not called on it."""


class Fenced(OperatorMustAct):
    """A write of a process that no longer holds the job's lease. It was not made; another process goes on."""


# What keeps money and state does not answer, or the job is another process's: not the fault of a task, of its model or
# of a tool, so nobody is told to go on without it. Another run goes on from the last checkpoint.
ENDS_THE_RUN = (LedgerUnavailable, Fenced, *STORE_FAILED)


def for_tenants(error: Exception) -> str:
    """What whoever ordered a job is told of an error that ended a run of it."""
    if isinstance(error, (LedgerUnavailable, *STORE_FAILED)):
        return STORE
    return str(error) if isinstance(error, GraphError) else INTERNAL

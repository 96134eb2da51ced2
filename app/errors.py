"""The app's own errors, with who must act. The command line turns each into one line and an exit code.

AppError
├── BadInput            the user: a command or setting is wrong
│   ├── NoSuchJob       the user: the job is unknown
│   └── IdempotencyKeyReused  the submitter: the key was used for another request
├── QueueFull           the submitter: too many of their jobs are waiting
├── NoBudgetToday       the submitter: the day's budget is used up
├── Busy                the caller: another process drives the job
│   ├── TakenOver       nobody: another process took the job over during the run, and goes on
│   └── LeaseLost       nobody: its lease could not be renewed, because the store did not answer
├── StoreOutage         the worker: the run ended because the store is broken, which is no fault of the job
├── Draining            the queue: this process is about to exit, another one goes on
├── DecisionRefused     the decider: not first, or about something else
│   └── TooLate         the decider: after the time limit
├── NotTypeset          the reader: there are other forms than PDF
├── ApiRefused          the API's caller: the message says why
├── OperatorMustAct     the operator: a program that was started does not answer
│   └── ApiFailed       the operator, or whoever gave the address: no answer, or not from a Tollgate API
├── WebhookFailed       the queue: another attempt may succeed
├── WebhookRefused      the submitter: the webhook is rejected or not allowed
└── RedisError          whoever set up the store (its own tree, in app.store.embedded_redis)
"""


class AppError(Exception):
    """Base of the app's own errors. The message is one line and says what to do."""


class BadInput(AppError):
    """An unusable question, option, setting or file."""


class NoSuchJob(BadInput):
    """There is no record of this job: it never existed, it expired, or it was deleted."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id}")


class IdempotencyKeyReused(BadInput):
    """An idempotency key that was used for another request."""


class QueueFull(AppError):
    """A submission of a tenant that has the maximum number of jobs waiting."""


class NoBudgetToday(AppError):
    """A submission on a day whose budget is used up; the day ends in `left_s` seconds."""

    def __init__(self, message: str, left_s: float) -> None:
        super().__init__(message)
        self.left_s = left_s


class DecisionRefused(AppError):
    """A decision that nothing waits for (any more). The message says what happened to the question."""


class TooLate(DecisionRefused):
    """A decision after the time limit."""


class Busy(AppError):
    """Another process holds the job's lease."""


class TakenOver(Busy):
    """Another process has taken over the job: it has the lease, or the store refused a write for its newer token."""


class LeaseLost(Busy):
    """The lease could not be renewed in time because the store did not answer. Another process may have it."""


class StoreOutage(AppError):
    """A run that ended because the store is down, full or read-only. The attempt does not count.

    Attributes:
        token: the run's fencing token.
        pending: fields to write to the record once the store accepts writes, unless another process has taken over.
    """

    def __init__(self, message: str, token: int, pending: dict[str, object]) -> None:
        super().__init__(message)
        self.token = token
        self.pending = pending


class Draining(AppError):
    """The run stopped at a step because its process is about to exit. The job can be resumed from there."""


class NotTypeset(AppError):
    """A report that cannot be made into a PDF."""


class OperatorMustAct(AppError):
    """Something that the job needs is not running."""


class ApiRefused(AppError):
    """A request that an API refused because of the caller."""


class ApiFailed(OperatorMustAct):
    """An API that is unreachable, has failed, or is not a Tollgate API."""


class WebhookRefused(AppError):
    """A webhook that must not be retried: the receiver rejects it, or its address is not allowed."""


class WebhookFailed(AppError):
    """A failed webhook attempt that is worth retrying.

    Attributes:
        retry_after_s: seconds that the receiver asked to wait, at most an hour; None if it did not.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

"""What the app raises on purpose, grouped by who must act. The command line turns each into one line and a code.

AppError
├── BadInput            whoever typed the command or the setting
│   ├── NoSuchJob       whoever named the job
│   └── IdempotencyKeyReused  whoever sent another order under a key that was used
├── QueueFull           whoever ordered: too many of their jobs wait already
├── Busy                whoever wants to drive a job that another process drives
│   └── LeaseLost       nobody: its lease could not be renewed, because the store did not answer
├── StoreOutage         the worker: the run ended because the store is out of order, which is no fault of the job
├── Draining            the queue: this process is about to end, another one goes on
├── DecisionRefused     whoever decided: not first, or about something else
│   └── TooLate         whoever decided after the time to decide
├── NotTypeset          whoever asked for a PDF: there are other forms
├── ApiRefused          whoever asked an API for something: it said no, and why
├── OperatorMustAct     whoever runs the machine: a program that was started does not answer
│   └── ApiFailed       whoever runs the API, or gave its address: no answer, or one that is not an API's
├── WebhookFailed       the queue: another attempt may succeed
├── WebhookRefused      whoever ordered the job: its webhook is not wanted, or not to be reached
└── RedisError          whoever set up the store (its own tree, in app.store.embedded_redis)
"""


class AppError(Exception):
    """Base of every error that `app` raises on purpose. The message is one line and says what to do."""


class BadInput(AppError):
    """A question, option, setting or file that cannot be used as it is."""


class NoSuchJob(BadInput):
    """There is no record of this job: it never was, or it expired."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id}")


class IdempotencyKeyReused(BadInput):
    """An idempotency key that stands for another order."""


class QueueFull(AppError):
    """An order of a tenant that has as many jobs waiting as it may."""


class DecisionRefused(AppError):
    """A decision that nothing waits for (any more). The message says what became of the question."""


class TooLate(DecisionRefused):
    """A decision that came when its time was over."""


class Busy(AppError):
    """Another process holds the job's lease."""


class LeaseLost(Busy):
    """The lease could not be renewed in time, for the store did not answer. Nobody knows whether another has it."""


class StoreOutage(AppError):
    """A run that ended because the store is away, full or read-only. The attempt does not count.

    Attributes:
        token: under which the run was made.
        anew: what its record has to say as soon as the store takes it, if nobody else has gone on with the job.
    """

    def __init__(self, message: str, token: int, anew: dict[str, object]) -> None:
        super().__init__(message)
        self.token = token
        self.anew = anew


class Draining(AppError):
    """The run stopped at a step because its process is about to end. The job stands where it was."""


class NotTypeset(AppError):
    """A report that cannot be made into a PDF."""


class OperatorMustAct(AppError):
    """Something the job needs does not run."""


class ApiRefused(AppError):
    """A request that an API answered with a problem of the caller's."""


class ApiFailed(OperatorMustAct):
    """An API that cannot be reached, has failed, or is none."""


class WebhookRefused(AppError):
    """A webhook that is not to be sent again: the receiver does not want it, or must not be reached."""


class WebhookFailed(AppError):
    """An attempt at a webhook that may succeed later.

    Attributes:
        retry_after_s: seconds that the receiver asked to wait, at most an hour; None if it did not ask.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

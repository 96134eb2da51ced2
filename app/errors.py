"""What the app raises on purpose, grouped by who must act. The command line turns each into one line and a code.

AppError
├── BadInput            whoever typed the command or the setting
├── Busy                whoever wants to drive a job that another process drives
├── DecisionRefused     whoever decided: too late, not first, or about something else
├── OperatorMustAct     whoever runs the machine: a program that was started does not answer
└── RedisError          whoever set up the store (its own tree, in app.embedded_redis)
"""


class AppError(Exception):
    """Base of every error that `app` raises on purpose. The message is one line and says what to do."""


class BadInput(AppError):
    """A question, option, setting or file that cannot be used as it is."""


class DecisionRefused(AppError):
    """A decision that nothing waits for (any more). The message says what became of the question."""


class Busy(AppError):
    """Another process holds the job's lease."""


class OperatorMustAct(AppError):
    """Something the job needs does not run."""

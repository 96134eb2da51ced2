"""What the app raises on purpose, grouped by who must act. The command line turns each into one line and a code.

AppError
├── BadInput            whoever typed the command or the setting
├── OperatorMustAct     whoever runs the machine: a program that was started does not answer
└── RedisError          whoever set up the store (its own tree, in app.embedded_redis)
"""


class AppError(Exception):
    """Base of every error that `app` raises on purpose. The message is one line and says what to do."""


class BadInput(AppError):
    """A question, option, setting or file that cannot be used as it is."""


class OperatorMustAct(AppError):
    """Something the job needs does not run."""

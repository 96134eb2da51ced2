"""When the store fails: which errors say so, and what to do about one. Every place that has to know asks here."""

import re
from collections.abc import Iterator, Sequence

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
)
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import TimeoutError as NoAnswer

# What a client of Redis raises, whatever is wrong. The second is no RedisError; an OSError comes as a ConnectionError.
STORE_FAILED = (RedisError, RedisClusterException)
# Of these, those that say nothing of the command: nobody has answered it.
STORE_AWAY = (NoConnection, NoAnswer, ClusterError, RedisClusterException)

# By their types where a command is sent by itself, by their words where a script has sent it. All but the last say that
# the store is out of order, whatever it was asked for.
_Refusal = tuple[tuple[type[BaseException], ...], str, str, str]
_OUT_OF_ORDER: tuple[_Refusal, ...] = (
    (
        (AuthenticationError, AuthorizationError),
        r"\b(?:NOAUTH|WRONGPASS)\b",
        "Redis refuses the login",
        "put the right user and password in REDIS_URL",
    ),
    (
        (NoPermissionError,),
        r"\bNOPERM\b|ACL failure",
        "Redis forbids this user a command or a key",
        "give the user of REDIS_URL the rights to it (ACL SETUSER)",
    ),
    (
        (OutOfMemoryError,),
        r"\bOOM\b",
        "Redis has no memory left",
        "raise its maxmemory, or delete what is not needed in it",
    ),
    (
        (ReadOnlyError,),
        r"\bREADONLY\b",
        "Redis is a replica, which cannot be written to",
        "point REDIS_URL at its primary",
    ),
    ((), r"\bNOREPLICAS\b", "Redis has lost its replicas", "start them, or lower its min-replicas-to-write"),
    ((), r"\bMISCONF\b", "Redis cannot write its data to disk", "mend what its log says, or make room on that disk"),
    ((BusyLoadingError,), r"\bLOADING\b", "Redis is still loading its data", "wait until it has finished"),
    (STORE_AWAY, r"(?!)", "Redis does not answer", "start it, or correct REDIS_URL"),
)
_WRONG_TYPE: _Refusal = (
    (),
    r"\bWRONGTYPE\b",
    "a key in Redis holds what Tollgate did not put there",
    "see who else writes to this database, and give Tollgate one of its own",
)


def explained(error: BaseException) -> str:
    """What an error of the store is, its words, and what to do: one line, for whoever runs the service."""
    what, remedy = _refusal(error)
    return f"{what} ({_line(error)}); {remedy}"


def briefly(error: BaseException) -> str:
    """What an error of the store is, without its words, which may hold an address: fit for everybody."""
    return _refusal(error)[0]


def _refusal(error: BaseException) -> tuple[str, str]:
    """What it is, and what to do."""
    if found := _found(error, (*_OUT_OF_ORDER, _WRONG_TYPE)):
        return found[2], found[3]
    return "Redis refuses a command", "see its version and its log"


def is_outage(error: BaseException) -> bool:
    """Whether the store was away, full, read-only or closed to us: no job is to blame for that. For any other command
    that it refused one may be."""
    return _found(error, _OUT_OF_ORDER) is not None


def _found(error: BaseException, refusals: Sequence[_Refusal]) -> _Refusal | None:
    chain = [each for each in _chain(error) if isinstance(each, STORE_FAILED)]
    for refusal in refusals:
        kinds, words, _, _ = refusal
        if any(isinstance(each, kinds) or re.search(words, str(each)) for each in chain):
            return refusal
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The client tells a login that was refused as the cause of a lost connection."""
    while error is not None:
        yield error
        error = error.__cause__


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())

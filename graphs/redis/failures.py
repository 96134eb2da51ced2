"""Failures of the store: which errors mean one, and the remedy for each."""

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

# What a Redis client raises. The second is not a RedisError; an OSError comes as a ConnectionError.
STORE_FAILED = (RedisError, RedisClusterException)
# Those that say nothing about the command: there was no answer.
STORE_AWAY = (NoConnection, NoAnswer, ClusterError, RedisClusterException)

# By type when the client sent the command, by message when a script did. All but the last mean that the store is
# broken for every command.
_Refusal = tuple[tuple[type[BaseException], ...], str, str, str]
_OUT_OF_ORDER: tuple[_Refusal, ...] = (
    (
        (AuthenticationError, AuthorizationError),
        r"\b(?:NOAUTH|WRONGPASS)\b",
        "Redis rejects the login",
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
        "raise its maxmemory, or delete keys that are not needed",
    ),
    (
        (ReadOnlyError,),
        r"\bREADONLY\b",
        "Redis is a replica, which cannot be written to",
        "point REDIS_URL at its primary",
    ),
    ((), r"\bNOREPLICAS\b", "Redis has lost its replicas", "start them, or lower its min-replicas-to-write"),
    ((), r"\bMISCONF\b", "Redis cannot write its data to disk", "fix what its log reports, or free space on that disk"),
    ((BusyLoadingError,), r"\bLOADING\b", "Redis is still loading its data", "wait until it has finished"),
    (STORE_AWAY, r"(?!)", "Redis does not answer", "start it, or correct REDIS_URL"),
)
_WRONG_TYPE: _Refusal = (
    (),
    r"\bWRONGTYPE\b",
    "a key in Redis has a type that Tollgate did not write",
    "find what else writes to this database, and give Tollgate a database of its own",
)


def explained(error: BaseException) -> str:
    """A store error, its message and the remedy, in one line for the operator."""
    what, remedy = _refusal(error)
    return f"{what} ({_line(error)}); {remedy}"


def briefly(error: BaseException) -> str:
    """A store error without its message, which may contain an address: safe for everyone."""
    return _refusal(error)[0]


def _refusal(error: BaseException) -> tuple[str, str]:
    """The error and its remedy."""
    if found := _found(error, (*_OUT_OF_ORDER, _WRONG_TYPE)):
        return found[2], found[3]
    return "Redis refuses a command", "check its version and its log"


def is_outage(error: BaseException) -> bool:
    """Whether the store was down, full, read-only or closed to us, which is no job's fault. Other refused commands may
    be."""
    return _found(error, _OUT_OF_ORDER) is not None


def _found(error: BaseException, refusals: Sequence[_Refusal]) -> _Refusal | None:
    chain = [each for each in _chain(error) if isinstance(each, STORE_FAILED)]
    for refusal in refusals:
        kinds, words, _, _ = refusal
        if any(isinstance(each, kinds) or re.search(words, str(each)) for each in chain):
            return refusal
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes: the client reports a rejected login as the cause of a lost connection."""
    while error is not None:
        yield error
        error = error.__cause__


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())

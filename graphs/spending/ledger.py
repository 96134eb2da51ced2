"""The ledger: what each call may cost is reserved before it is made, and settled after.

A call is charged to four scopes at once: its job, its agent in that job, its tenant's day and the deployment's day (the
UTC day it was reserved on). A reservation is made in all of them or in none. One that nobody settles in time, because
its worker died, is reaped: charged as reserved, and flagged as estimated.

All of it is in Redis, outside the state, so that neither a resume nor a fork starts a count anew. Every key has the
hash tag `{ledger}`, so that one atomic script spans the scopes on a cluster too:

    tollgate:{ledger}:job:<job id>    hash of counters; `<counter>:<agent>` is one agent's part
    tollgate:{ledger}:day:<date>      hash of counters of the deployment; `<counter>:<tenant>` is one tenant's part
    tollgate:{ledger}:minute:<n>      hash of what was settled in a minute, by job id
    tollgate:{ledger}:call:<call id>  hash, one call
    tollgate:{ledger}:open            sorted set of the open calls, by when they expire
"""

import asyncio
import contextlib
import json
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

from redis.asyncio import Redis, RedisCluster

from graphs.clock import utc_now
from graphs.errors import Fenced, LedgerUnavailable, LimitReached, ScopeName
from graphs.redis.failures import STORE_FAILED, explained
from graphs.redis.script import Script
from graphs.spending.limits import dollars
from graphs.spending.spend import NO_TOKENS, Account, Amount, DaySpend, Spend, Tokens
from graphs.stop_reasons import StopReason

DAY_TTL_SECONDS = 40 * 86_400
CLOSED_TTL_SECONDS = 3600  # a command that is sent again comes within a minute
REAPED_AT_ONCE = 100
MAX_MICRO_USD = 2**53 - 1  # Lua's numbers are exact up to here

FENCED = [0]

_PREFIX = "tollgate:{ledger}"
_KEYS = (f"{_PREFIX}:open",)
_SCRIPT = Script(Path(__file__).with_suffix(".lua"))


class _Scope(NamedTuple):
    reason: StopReason
    name: ScopeName
    of: str = ""  # what it counts, where that is not money


# In the order in which the script takes the limits, and answers with the place of the one that refuses.
_RESERVE = (
    _Scope(StopReason.BUDGET, "job"),
    _Scope(StopReason.AGENT_BUDGET, "agent"),
    _Scope(StopReason.MODEL_CALLS, "job", "model calls"),
    _Scope(StopReason.AGENT_MODEL_CALLS, "agent", "model calls"),
    _Scope(StopReason.TENANT_DAY, "tenant_day"),
    _Scope(StopReason.DEPLOYMENT_DAY, "deployment_day"),
    _Scope(StopReason.SPEND_RATE, "job"),
)
_TOOL_CALL = (
    _Scope(StopReason.TOOL_CALLS, "job", "tool calls"),
    _Scope(StopReason.AGENT_TOOL_CALLS, "agent", "tool calls"),
)


class Ledger:
    """Reserves, settles and counts. Each method takes one round trip, and raises LedgerUnavailable when Redis fails.

    The Redis client may send a command again when a connection breaks. What has a `call_id` still happens once, for as
    long as the call is remembered: an hour after it was closed. Counts may come out too high then, never too low.

    Args:
        client: a client that talks bytes.
        ttl_seconds: how long a job is remembered after its last change, and a reaped call can be corrected.
        day_ttl_seconds: how long a day is remembered after its last change: at least a day.
        now: the time, in UTC.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        *,
        ttl_seconds: int,
        day_ttl_seconds: int = DAY_TTL_SECONDS,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        if client.get_encoder().decode_responses:
            raise ValueError("the ledger reads bytes: give it a Redis client with decode_responses=False")
        if ttl_seconds < 1:
            raise ValueError(f"ttl_seconds is {ttl_seconds}: give a positive number of seconds")
        if day_ttl_seconds < 86_400:
            raise ValueError(f"day_ttl_seconds is {day_ttl_seconds}: a day's budget must be remembered for that day")
        self._client = client
        self._ttls = (str(ttl_seconds), str(day_ttl_seconds), str(CLOSED_TTL_SECONDS))
        self._now = now

    async def reserve(self, call_id: str, account: Account, micro_usd: int, *, expires_in_s: float) -> None:
        """Set aside the most that a call can cost, in every scope, or in none.

        It counts as a model call, also when it is released later. With a `call_id` that is known already, open or
        closed, nothing changes. First some of what has expired is reaped, whoever's it is.

        Args:
            call_id: one attempt's own.
            account: who pays, and the limits that hold.
            micro_usd: the worst case. The limits hold as far as it is an upper bound.
            expires_in_s: when the call is given up for lost. A settle that comes later still corrects it.

        Raises:
            LimitReached: it does not fit; nothing was reserved.
            Fenced: another process has taken over the job; nothing was reserved.
            LedgerUnavailable: no call may be made.
        """
        limits, now = account.limits, self._now()
        most = (
            limits.budget_micro_usd,
            limits.budget_micro_usd * limits.agent_share_percent // 100,
            limits.model_calls,
            limits.agent_model_calls,
            limits.tenant_day_micro_usd,
            limits.deployment_day_micro_usd,
            limits.spend_per_minute_micro_usd,
        )
        names = (account.job_id, account.agent, account.tenant, _day(now))
        expires = _ms(now) + math.ceil(expires_in_s * 1000)
        wanted = _exact(micro_usd)
        try:
            given = (str(expires), *names, *map(str, most), _token(account.fence))
            refusal = await self._run("reserve", now, call_id, wanted, *given)
        except (asyncio.CancelledError, LedgerUnavailable):  # it may have been carried out, or may be yet
            await asyncio.shield(self._take_back(call_id))
            raise
        _refuse(refusal, _RESERVE, most, micro_usd)

    async def settle(self, call_id: str, micro_usd: int | None, tokens: Tokens = NO_TOKENS) -> int:
        """Charge what the call has cost, to the scopes and the day of its reservation. What it was charged.

        A cost above the reservation is charged too. A scope may pass its limit so, and its next `reserve` is refused.
        A call that was reaped is corrected. One that is settled or released already stays as it is. One that the ledger
        does not know, or no longer, is charged nothing, and 0 returned: it does not say who would pay. Without a cost,
        because nobody knows it, the call is charged as reserved, and flagged as estimated.
        """
        amount = "" if micro_usd is None else _exact(micro_usd)
        charged: int = await self._run("settle", self._now(), call_id, amount, *map(_exact, tokens))
        return charged

    async def release(self, call_id: str) -> None:
        """Charge nothing: the provider did not bill the call. One that is settled or released is left as it is."""
        await self._run("release", self._now(), call_id)

    async def count(self, job_id: str, *, steps: int = 0, handoffs: int = 0, fence: int | None = None) -> None:
        """Add to what the job has done, whatever its limits. Raises Fenced when a newer token is known."""
        given = (job_id, _exact(steps), _exact(handoffs), _token(fence))
        _refuse(await self._run("count", self._now(), *given), (), (), 0)

    async def count_tool_call(self, account: Account) -> None:
        """Count a tool call of the job and of the agent, or neither.

        Raises:
            LimitReached: there have been as many as may be; nothing was counted.
            LedgerUnavailable: no call may be made.
        """
        most = (account.limits.tool_calls, account.limits.agent_tool_calls)
        names = (account.job_id, account.agent)
        given = (*names, *map(str, most), _token(account.fence))
        refusal = await self._run("count_tool_call", self._now(), *given)
        _refuse(refusal, _TOOL_CALL, most, 1)

    async def fence(self, job_id: str, token: int) -> None:
        """From now on, runs of this job with an older fencing token reserve and count nothing. Raises Fenced."""
        _refuse(await self._run("fence", self._now(), job_id, _token(token)), (), (), 0)

    async def spend(self, job_id: str) -> Spend:
        """What the job has used; zeros for a job that the ledger does not know."""
        with _available():
            found = await cast("Awaitable[dict[bytes, bytes]]", self._client.hgetall(f"{_PREFIX}:job:{job_id}"))
        job: dict[str, int] = {}
        agents: dict[str, dict[str, int]] = {}
        for field, value in found.items():
            counter, of_agent, agent = field.decode().partition(":")
            (agents.setdefault(agent, {}) if of_agent else job)[counter] = int(value)
        return Spend.model_validate({**job, "agents": agents})

    async def spent_today(self, tenant: str) -> DaySpend:
        """What the tenant and the deployment have used of this UTC day's budgets."""
        counters = ["micro_usd", "reserved_micro_usd"]
        fields = [*(f"{counter}:{tenant}" for counter in counters), *counters]
        with _available():
            key = f"{_PREFIX}:day:{_day(self._now())}"
            found = await cast("Awaitable[list[bytes | None]]", self._client.hmget(key, fields))
        spent, reserved, all_spent, all_reserved = (int(value or 0) for value in found)
        return DaySpend(
            tenant=Amount(micro_usd=spent, reserved_micro_usd=reserved),
            deployment=Amount(micro_usd=all_spent, reserved_micro_usd=all_reserved),
        )

    async def reap(self) -> int:
        """Charge every call that has expired as reserved, flagged as estimated. How many there were."""
        total, reaped, now = 0, REAPED_AT_ONCE, self._now()
        while reaped == REAPED_AT_ONCE:
            reaped = await self._run("reap", now, str(REAPED_AT_ONCE))
            total += reaped
        return total

    async def _take_back(self, call_id: str) -> None:
        with contextlib.suppress(LedgerUnavailable):  # then it is reaped
            await self.release(call_id)

    async def _run(self, operation: str, now: datetime, *arguments: str) -> Any:
        # In one document: the client takes longer to pack twenty arguments than all else of a call.
        given = json.dumps((operation, str(_ms(now)), *self._ttls, *arguments))
        with _available():
            return await _SCRIPT.run(self._client, _KEYS, given)


@contextlib.contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except STORE_FAILED as error:
        raise LedgerUnavailable(
            f"the ledger cannot be used, and without it nothing is spent: {explained(error)}, then resume"
        ) from error


def _refuse(refusal: list[int], scopes: Sequence[_Scope], limits: Sequence[int], wanted: int) -> None:
    """Raises LimitReached unless the script has nothing to refuse."""
    if refusal == []:
        return
    if refusal == FENCED:
        raise Fenced("another process has taken over this job; this one spends nothing more")
    place, used, reserved, passing = refusal
    scope, limit = scopes[place - 1], limits[place - 1]
    detail = f"{used} of {limit} {scope.of} made"
    if not scope.of:
        named = {"spent": used, "reserved": reserved, "wanted": wanted, "limit": limit}
        detail = ", ".join(f"{name} {dollars(amount)}" for name, amount in named.items())
    money = 0 if scope.of else wanted
    raise LimitReached(scope.reason, scope.name, detail, passing=bool(passing), wanted_micro_usd=money)


def _token(fence: int | None) -> str:
    return "" if fence is None else str(fence)


def _exact(amount: int) -> str:
    if not 0 <= amount <= MAX_MICRO_USD:
        raise ValueError(f"{amount} cannot be booked: give an integer from 0 to {MAX_MICRO_USD}")
    return f"{amount:d}"


def _day(now: datetime) -> str:
    return now.astimezone(UTC).date().isoformat()


def _ms(now: datetime) -> int:
    return round(now.timestamp() * 1000)
